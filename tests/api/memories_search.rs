//! Searches of memories.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::memories::ids;
use crate::support::{Caller, TestApp, TestDatabase};

/// Stores memories for a new caller.
async fn with(app: &TestApp, memories: Value) -> Caller {
    let caller = app.caller().await;
    caller.post("/v1/memories/batch", json!({"memories": memories})).await.ok();
    caller
}

#[tokio::test]
async fn text_search_matches_stems_and_ranks_exact_words_higher() {
    let app = TestApp::spawn().await;
    let caller = with(
        &app,
        json!([
            {"id": "runs", "content": "She runs the nightly builds on build-box-7."},
            {"id": "running", "content": "Running is what she likes."},
            {"id": "umlaut", "content": "\u{c4}RGER mit dem Caf\u{e9} \u{201c}Zentral\u{201d}"},
            {"id": "tokyo", "content": "\u{6771}\u{4eac}\u{90fd}\u{306b}\u{4f4f}\u{3093}\u{3067}\u{3044}\u{307e}\u{3059}"},
            {"id": "ratio", "content": "It's a/b: 'quoted' and C:\\temp\\x, isn't it?"},
            {"id": "long", "content": format!("the builds {}", "and other things of no importance ".repeat(50))},
            {"id": "mail", "content": "Write to ada@example.com about https://shop.example/sale"}
        ]),
    )
    .await;
    let found = async |query: &str| caller.found(json!({"query": query})).await;
    assert_eq!(
        found("run").await.into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(["runs".into(), "running".into()])
    );
    assert_eq!(found("running").await[0], "running", "the exact word ranks above its stem");
    assert_eq!(found("builds").await, ["runs", "long"], "the shorter text ranks higher");
    assert_eq!(found("\u{e4}rger").await, ["umlaut"]);
    assert_eq!(found("caf\u{e9} zentral").await, ["umlaut"]);
    assert_eq!(found("\u{4eac}\u{90fd}").await, ["tokyo"], "a part of a sentence without spaces");
    assert_eq!(found("\\temp 'quoted'").await, ["ratio"]);
    assert_eq!(found("ada@example.com").await, ["mail"]);
    assert!(
        found("the and is it's").await.contains(&"long".to_owned()),
        "stop words match if the query has no other words"
    );
    assert!(
        !found("the builds").await.contains(&"ratio".to_owned()),
        "stop words are ignored if the query has other words"
    );
    assert!(found("nothing-similar").await.is_empty());
    assert!(found("?!, --").await.is_empty());
    let answer = caller.search(json!({"query": "builds"})).await.ok();
    assert_eq!((&answer["mode"], &answer["scoring"], &answer["exact"]), (&json!("text"), &json!("bm25"), &json!(true)));
    assert_eq!((&answer["searched"], &answer["skipped"]), (&json!(7), &json!(0)));
    let scores: Vec<f64> = answer["results"].as_array().unwrap().iter().map(|r| r["score"].as_f64().unwrap()).collect();
    assert!(scores[0] > scores[1] && scores[1] > 0.0, "{scores:?}");
    let between = (scores[0] + scores[1]) / 2.0;
    assert_eq!(caller.found(json!({"query": "builds", "minScore": between})).await, ["runs"]);
}

#[tokio::test]
async fn vector_search_ranks_by_cosine_similarity() {
    let app = TestApp::spawn().await;
    let caller = with(
        &app,
        json!([
            {"id": "same", "content": "a", "embedding": [3, 4]}, {"id": "near", "content": "b", "embedding": [4, 3]},
            {"id": "across", "content": "c", "embedding": [-8, 6]}, {"id": "against", "content": "d", "embedding": [-3, -4]},
            {"id": "none", "content": "e"}
        ]),
    )
    .await;
    let answer = caller.search(json!({"embedding": [0.3, 0.4]})).await.ok();
    assert_eq!(ids(&answer["results"]), ["same", "near", "across", "against"]);
    for (place, cosine) in [1.0, 0.96, 0.0, -1.0].into_iter().enumerate() {
        let score = answer["results"][place]["score"].as_f64().unwrap();
        assert!((score - cosine).abs() < 1e-6, "{answer}");
    }
    assert_eq!((&answer["mode"], &answer["scoring"]), (&json!("vector"), &json!("cosine-similarity")));
    assert_eq!((&answer["exact"], &answer["searched"], &answer["skipped"]), (&json!(true), &json!(4), &json!(1)));
    assert_eq!(caller.found(json!({"embedding": [3, 4], "minScore": 0.5})).await, ["same", "near"]);
    assert_eq!(caller.found(json!({"embedding": [3, 4], "limit": 1, "exact": false})).await, ["same"]);
    let answer = caller.search(json!({"embedding": [3, 4], "limit": 1, "includeEmbedding": true})).await.ok();
    assert_eq!(answer["results"][0]["embedding"], json!([3.0, 4.0]));
}

#[tokio::test]
async fn hybrid_search_merges_text_and_vector_results() {
    let app = TestApp::spawn().await;
    let caller = with(
        &app,
        json!([
            {"id": "both", "content": "tea", "embedding": [1, 0.1]}, {"id": "word", "content": "tea and more", "embedding": [-1, 0]},
            {"id": "meaning", "content": "drink", "embedding": [1, 0]}, {"id": "blind", "content": "tea without a vector at all"}
        ]),
    )
    .await;
    let answer = caller.search(json!({"query": "tea", "embedding": [1, 0]})).await.ok();
    assert_eq!((&answer["mode"], &answer["scoring"]), (&json!("hybrid"), &json!("mean")));
    assert_eq!(ids(&answer["results"])[0], "both");
    let of = |id: &str| answer["results"].as_array().unwrap().iter().find(|result| result["id"] == id).unwrap().clone();
    let (both, meaning, blind) = (of("both"), of("meaning"), of("blind"));
    let number = |result: &Value, member: &str| result[member].as_f64().unwrap_or(0.0);
    assert!(number(&both, "textScore") > 0.0 && number(&both, "vectorScore") > 0.99);
    // The score is half the cosine, if it is positive, and half the part of the BM25 score that is possible.
    let possible = number(&both, "textScore") / (2.0 * number(&both, "score") - number(&both, "vectorScore"));
    for result in answer["results"].as_array().unwrap() {
        let expected = (number(result, "vectorScore").max(0.0) + number(result, "textScore") / possible) / 2.0;
        assert!((number(result, "score") - expected).abs() < 1e-9, "{result}");
        assert!(number(result, "textScore") < possible, "{result}");
    }
    assert!((number(&of("word"), "vectorScore") + 1.0).abs() < 1e-6, "computed although it is the last by vector");
    assert_eq!((&meaning["textScore"], &blind["vectorScore"]), (&Value::Null, &Value::Null));
    assert_eq!((&answer["searched"], &answer["skipped"]), (&json!(3), &json!(1)));
    assert_eq!(caller.found(json!({"query": "tea", "embedding": [1, 0], "limit": 1})).await, ["both"]);
    assert_eq!(caller.found(json!({"query": "tea", "embedding": [1, 0], "mode": "vector"})).await.len(), 3);
}

/// A word alone does not put a memory before one that means the same: the scores know distances, not only ranks.
#[tokio::test]
async fn a_shared_word_does_not_beat_the_meaning() {
    let app = TestApp::spawn().await;
    // Cosines of these texts with the query, as all-MiniLM-L6-v2 has them.
    let at = |cosine: f64| [cosine, (1.0 - cosine * cosine).sqrt()];
    let caller = with(
        &app,
        json!([
            {"id": "checker", "content": "The borrow checker rejects two mutable references", "embedding": at(0.334)},
            {"id": "mortgage", "content": "A mortgage is secured by the house that it pays for", "embedding": at(0.504)}
        ]),
    )
    .await;
    let search = json!({"query": "borrowing money to buy a home", "embedding": [1, 0]});
    assert_eq!(caller.found(search).await, ["mortgage", "checker"]);
    let exact = json!({"query": "borrow checker rejects", "embedding": [1, 0]});
    assert_eq!(caller.found(exact).await, ["checker", "mortgage"]);
}

/// Each filter with the indexes of the memories that match it. Inside `$not`, it must match all others.
#[tokio::test]
async fn filters_match_as_documented() {
    let app = TestApp::spawn().await;
    let metadata = [
        json!({"n": 1, "s": "apple", "b": true, "list": ["x", "y"], "deep": {"k": "v"}}),
        json!({"n": 1.0, "s": "banana", "b": false, "list": [], "deep": {"k": 7}}),
        json!({"n": 2.5, "s": "Apple", "b": null, "list": "x", "deep": [{"k": "v"}, {"k": "w"}]}),
        json!({"n": "1", "s": "", "list": [1, "x", null], "deep": null}),
        json!({}),
        json!({"n": -3e10, "s": "\"quoted\\\" $or", "a.b": 1, "list": [["x"]], "b": "true"}),
    ];
    let memories: Value = metadata
        .iter()
        .enumerate()
        .map(|(n, metadata)| json!({"id": n.to_string(), "content": "c", "embedding": [1], "metadata": metadata}))
        .collect();
    let caller = with(&app, memories).await;
    let all: BTreeSet<String> = (0..metadata.len()).map(|n| n.to_string()).collect();
    for (filter, found) in [
        (json!({}), "012345"),
        (json!({"n": 1}), "01"),
        (json!({"n": 1.0}), "01"),
        (json!({"n": "1"}), "3"),
        (json!({"n": {"$ne": 1}}), "2345"),
        (json!({"n": {"$gt": 1}}), "2"),
        (json!({"n": {"$gte": 1, "$lt": 2.5}}), "01"),
        (json!({"n": {"$lt": 0}}), "5"),
        (json!({"n": {"$lte": "1"}}), "3"),
        (json!({"n": {"$in": [1, "1", 7]}}), "013"),
        (json!({"n": {"$in": []}}), ""),
        (json!({"s": "apple"}), "0"),
        (json!({"s": {"$gt": "apple"}}), "1"),
        (json!({"s": {"$contains": "pp"}}), "02"),
        (json!({"s": {"$contains": ".*"}}), ""),
        (json!({"s": "\"quoted\\\" $or"}), "5"),
        (json!({"s": {"$contains": "\\\" $"}}), "5"),
        (json!({"b": true}), "0"),
        (json!({"b": null}), "234"),
        (json!({"b": {"$ne": null}}), "015"),
        (json!({"b": {"$in": [false, null]}}), "1234"),
        (json!({"list": "x"}), "023"),
        (json!({"list": {"$contains": "x"}}), "0235"),
        (json!({"list": {"$contains": 1}}), "3"),
        (json!({"list": {"$ne": "x"}}), "145"),
        (json!({"deep.k": "v"}), "02"),
        (json!({"deep.k": {"$gt": 5}}), "1"),
        (json!({"deep.k": null}), "345"),
        (json!({"a.b": 1}), "5"),
        (json!({"n": 1, "s": "apple"}), "0"),
        (json!({"$or": [{"n": 2.5}, {"s": "banana"}, {"$and": [{"n": 1}, {"b": true}]}]}), "012"),
        (json!({"$not": {"$or": [{"n": 1}, {"$not": {"list": "x"}}]}}), "23"),
        (json!({"$and": [{"n": {"$gt": 0}}, {"$not": {"n": {"$gt": 2}}}]}), "01"),
        (json!({"missing": {"$gt": 0}}), ""),
        (json!({"missing": {"$ne": 0}}), "012345"),
    ] {
        let found: BTreeSet<String> = found.chars().map(String::from).collect();
        for (filter, expected) in [(filter.clone(), found.clone()), (json!({"$not": filter}), &all - &found)] {
            for search in [json!({"embedding": [1], "filter": filter}), json!({"query": "c", "filter": filter})] {
                let result: BTreeSet<String> = caller.found(search).await.into_iter().collect();
                assert_eq!(result, expected, "{filter}");
            }
        }
    }
    for bad in [
        json!({"n": {"$regex": "x"}}),
        json!({"$where": []}),
        (0..100).fold(json!({"a": 1}), |inner, _| json!({"$not": inner})),
        (0..10_000).map(|n| (n.to_string(), json!(1))).collect::<serde_json::Map<_, _>>().into(),
    ] {
        let problem = caller.search(json!({"query": "c", "filter": bad})).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], "/filter");
    }
    caller.search(json!({"query": "c", "filter": [1]})).await.problem(400, "invalid-json");
    caller.search(json!({"query": "c", "filter": "' or true --"})).await.problem(400, "invalid-json");
}

/// Names with dots are ordinary: `http.method`, files, domains.
#[tokio::test]
async fn a_key_with_dots_is_a_name_or_a_path() {
    let app = TestApp::spawn().await;
    let metadata = [
        json!({"http.method": "POST", "service.name": "pay"}),
        json!({"http": {"method": "POST"}}),
        json!({"attributes": {"http.method": "GET", "http.status": 200}}),
        json!({"http.method": "GET", "http": {"method": "POST"}}),
        json!({"www.example.com": {"port": 443}, "http.method": ["PUT", "POST"]}),
        json!({"a.b.c.d.e": 1, "http.method": null}),
    ];
    let memories: Value = metadata
        .iter()
        .enumerate()
        .map(|(n, metadata)| json!({"id": n.to_string(), "content": "c", "embedding": [1], "metadata": metadata}))
        .collect();
    let caller = with(&app, memories).await;
    let all: BTreeSet<String> = (0..metadata.len()).map(|n| n.to_string()).collect();
    for (filter, found) in [
        (json!({"http.method": "POST"}), "0134"),
        (json!({"http.method": {"$ne": "POST"}}), "25"),
        (json!({"http.method": {"$in": ["POST", "GET"]}}), "0134"),
        (json!({"http.method": {"$contains": "OS"}}), "013"),
        (json!({"http.method": {"$contains": "PUT"}}), "4"),
        (json!({"http.method": {"$gte": "POST"}}), "0134"),
        (json!({"http.method": null}), "25"),
        (json!({"http.method": {"$ne": null}}), "0134"),
        (json!({"http.method": "POST", "service.name": "pay"}), "0"),
        (json!({"attributes.http.method": "GET"}), "2"),
        (json!({"attributes.http.status": {"$gt": 199}}), "2"),
        (json!({"www.example.com.port": 443}), "4"),
        (json!({"a.b.c.d.e": 1}), "5"),
        (json!({"a.b": 1}), ""),
    ] {
        let found: BTreeSet<String> = found.chars().map(String::from).collect();
        for (filter, expected) in [(filter.clone(), found.clone()), (json!({"$not": filter}), &all - &found)] {
            for search in [json!({"embedding": [1], "filter": filter}), json!({"query": "c", "filter": filter})] {
                let result: BTreeSet<String> = caller.found(search).await.into_iter().collect();
                assert_eq!(result, expected, "{filter}");
            }
        }
    }
}

/// The original implementation filtered after the top-k cut: pages were empty although memories matched.
#[tokio::test]
async fn filters_apply_before_the_top_k_cut() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for batch in 0..3 {
        let memories: Vec<Value> = (0..100)
            .map(|n| {
                let n = batch * 100 + n;
                // The wanted memories are the farthest from the query vector.
                let is_wanted = n >= 295;
                json!({
                    "id": format!("{n:03}"), "content": "tea", "embedding": [1.0, f64::from(n) / 100.0],
                    "tags": if is_wanted { json!(["rare", "odd"]) } else { json!(["odd"]) }, "namespace": if n % 2 == 0 { "even" } else { "odd" },
                    "metadata": {"wanted": is_wanted}
                })
            })
            .collect();
        caller.post("/v1/memories/batch", json!({"memories": memories})).await.ok();
    }
    for narrow in [
        json!({"tags": ["rare"]}),
        json!({"tags": ["rare", "odd"]}),
        json!({"tags": ["rare", "nothing"], "tagsMatch": "any"}),
        json!({"filter": {"wanted": true}}),
        json!({"filter": {"wanted": {"$ne": false}}}),
    ] {
        for search in
            [json!({"embedding": [1, 0]}), json!({"query": "tea"}), json!({"query": "tea", "embedding": [1, 0]})]
        {
            let mut search = search.as_object().unwrap().clone();
            search.extend(narrow.as_object().unwrap().clone());
            let found: BTreeSet<String> = caller.found(search.clone().into()).await.into_iter().collect();
            assert_eq!(found, (295..300).map(|n| n.to_string()).collect(), "{search:?}");
            search.insert("namespace".into(), json!("odd"));
            assert_eq!(caller.found(search.into()).await.len(), 3);
        }
    }
    assert!(caller.found(json!({"query": "tea", "tags": ["rare", "nothing"]})).await.is_empty());
    let answer = caller.search(json!({"embedding": [1, 0], "namespace": "odd", "limit": 100})).await.ok();
    assert_eq!((answer["results"].as_array().unwrap().len(), &answer["searched"]), (100, &json!(150)));
}

#[tokio::test]
async fn vectors_that_cannot_be_compared_are_skipped_or_reported() {
    let app = TestApp::spawn().await;
    let caller = with(
        &app,
        json!([
            {"id": "two", "content": "tea", "embedding": [1, 0]}, {"id": "three", "content": "tea", "embedding": [1, 0, 0], "namespace": "other"},
            {"id": "m", "content": "tea", "embedding": [1, 0], "embeddingModel": "m"},
            {"id": "four", "content": "tea", "embedding": [1, 0, 0, 0], "embeddingModel": "m"}, {"id": "none", "content": "tea", "namespace": "bare"}
        ]),
    )
    .await;
    assert_eq!(
        caller.found(json!({"embedding": [1, 0]})).await,
        ["two"],
        "only vectors without a model name are compared"
    );
    assert_eq!(caller.found(json!({"embedding": [1, 0], "embeddingModel": "m"})).await, ["m"]);
    assert_eq!(caller.found(json!({"embedding": [0, 0, 0, 1]})).await, ["four"], "the only vector of these dimensions");
    let answer = caller.search(json!({"embedding": [1, 0]})).await.ok();
    assert_eq!((&answer["searched"], &answer["skipped"]), (&json!(1), &json!(4)));
    for search in [
        json!({"embedding": [1, 0, 0, 0, 0]}),
        json!({"embedding": [1, 0, 0], "embeddingModel": "m"}),
        json!({"embedding": [1, 0], "namespace": "other"}),
        json!({"embedding": [1, 0, 0, 0, 0], "query": "tea"}),
    ] {
        let problem = caller.search(search).await.problem(422, "dimension-mismatch");
        assert_eq!(problem["stored"].as_array().unwrap().len(), 4, "{problem}");
    }
    assert!(
        caller.found(json!({"embedding": [1, 0], "namespace": "bare"})).await.is_empty(),
        "the namespace has no vectors"
    );
    caller.remember("n", json!({"content": "tea", "embedding": [0, 0, 0, 1], "embeddingModel": "n"})).await.ok();
    caller.search(json!({"embedding": [1, 0, 0, 0]})).await.problem(422, "dimension-mismatch");
    assert!(app.caller().await.found(json!({"embedding": [1, 0]})).await.is_empty(), "the payer has no memories");
}

#[tokio::test]
async fn an_invalid_search_is_refused() {
    let app = TestApp::spawn().await;
    let caller = with(&app, json!([{"id": "a", "content": "tea", "embedding": [1, 0]}])).await;
    for (bad, status, code) in [
        (json!({}), 422, "invalid-value"),
        (json!({"mode": "vector"}), 422, "invalid-value"),
        (json!({"query": "tea", "mode": "vector"}), 422, "no-embedding-model"),
        (json!({"query": "tea", "mode": "hybrid"}), 422, "no-embedding-model"),
        (json!({"embedding": [1, 0], "mode": "text"}), 422, "invalid-value"),
        (json!({"embedding": [1, 0], "mode": "hybrid"}), 422, "invalid-value"),
        (json!({"embedding": [1, 0], "query": "tea", "mode": "text"}), 422, "invalid-value"),
        (json!({"query": ""}), 422, "invalid-value"),
        (json!({"query": "x".repeat(10_001)}), 422, "invalid-value"),
        (json!({"query": "tea", "limit": 0}), 422, "invalid-value"),
        (json!({"query": "tea", "limit": 101}), 422, "invalid-value"),
        (json!({"query": "tea", "limit": -1}), 422, "invalid-value"),
        (json!({"query": "tea", "mode": "magic"}), 422, "invalid-value"),
        (json!({"query": "tea", "tagsMatch": "some"}), 422, "invalid-value"),
        (json!({"query": "tea", "embeddingModel": "m"}), 422, "invalid-value"),
        (json!({"embedding": [0, 0]}), 422, "invalid-vector"),
        (json!({"query": "tea", "minScore": "high"}), 400, "invalid-json"),
        (json!({"query": "tea", "language": "english"}), 400, "invalid-json"),
        (json!({"query": "tea", "isMade": true}), 400, "invalid-json"),
        (json!({"query": "tea", "equals": [["a", 1]]}), 400, "invalid-json"),
    ] {
        caller.search(bad).await.problem(status, code);
    }
    let hostile = "tea') or true -- \\ '' $$ & | ! :* <-> ( ".repeat(200);
    assert_eq!(caller.found(json!({"query": hostile.chars().take(10_000).collect::<String>()})).await, ["a"]);
}

/// The vectors of a large space go into a graph. Searches in the graph report `exact: false`, and also find vectors
/// that are not in the graph yet.
#[tokio::test]
async fn a_large_space_gets_a_graph() {
    let database = TestDatabase::own().await;
    let mut admin = database.admin().await;
    admin
        .execute("create or replace function tenant.exact_max() returns bigint language sql immutable as 'select 200::bigint'")
        .await
        .unwrap();
    // Before this space, the sweeper scans more small spaces than one scan covers.
    let others = "insert into tenant.memory_spaces select '0x' || lpad(n::text, 40, '0'), '', 2, 1, 1, 0 from generate_series(1, 10001) n";
    admin.execute(others).await.unwrap();
    // A round is long enough to scan all of them: the sweeper must continue, and does not run out of time.
    let app = TestApp::set(database, |settings| settings.sweep.interval = Duration::from_secs(1));
    let caller = app.caller().await;
    let at = |n: usize| [(n as f64 / 100.0).cos(), (n as f64 / 100.0).sin()];
    let memory = |n: usize| json!({"id": format!("{n:03}"), "content": "c", "embedding": at(n), "metadata": {"n": n, "third": n.is_multiple_of(3)}});
    for batch in 0..3 {
        let memories: Vec<Value> = (batch * 100..batch * 100 + 100).map(memory).collect();
        caller.post("/v1/memories/batch", json!({"memories": memories})).await.ok();
    }
    // Another payer's memories do not mix with these, even in the same partition of the graph.
    let other = app.caller().await;
    other.remember("000", json!({"content": "c", "embedding": at(0)})).await.ok();
    let near = async |search: Value| caller.search(search).await.ok();
    let grown = "select grown_until from tenant.memory_spaces where payer = $1";
    app.until(async || {
        let mut admin = app.database.admin().await;
        sqlx::query_scalar::<_, i64>(grown).bind(caller.payer.as_str()).fetch_one(&mut admin).await.unwrap() == 300
    })
    .await;
    let answer = near(json!({"embedding": at(50), "limit": 3})).await;
    let found: BTreeSet<String> = ids(&answer["results"]).into_iter().collect();
    assert_eq!(found, BTreeSet::from(["049".into(), "050".into(), "051".into()]));
    assert_eq!((&answer["searched"], &answer["skipped"]), (&json!(300), &json!(0)));
    for exact in [json!({"embedding": at(50), "exact": true}), json!({"embedding": at(50), "filter": {"n": 7}})] {
        assert_eq!(near(exact).await["exact"], true);
    }
    let thirds = near(json!({"embedding": at(50), "limit": 5, "filter": {"third": {"$ne": false}}})).await;
    assert_eq!(ids(&thirds["results"]), ["051", "048", "054", "045", "057"]);
    // The graph finds fewer than `limit`, so the search compares all vectors.
    let few = near(json!({"embedding": at(50), "filter": {"n": {"$lt": 4}}})).await;
    assert_eq!((ids(&few["results"]).len(), &few["exact"]), (4, &json!(false)));
    // Searches find new and changed memories immediately, and no deleted ones.
    caller.remember("new", json!({"content": "c", "embedding": at(50)})).await.ok();
    caller.delete("/v1/memories/049").await.ok();
    caller.remember("051", json!({"content": "c", "embedding": at(200)})).await.ok();
    caller.remember("052", json!({"content": "c", "embedding": [1, 0, 0]})).await.ok();
    let answer = near(json!({"embedding": at(50), "limit": 3})).await;
    let found: BTreeSet<String> = ids(&answer["results"]).into_iter().collect();
    assert_eq!(found, ["new", "050", "048"].map(String::from).into_iter().collect::<BTreeSet<_>>());
    assert_eq!(answer["exact"], false);
    assert_eq!(other.found(json!({"embedding": at(0)})).await, ["000"]);
}
