//! Memories: store, recall, update, list and forget.

use payerbase::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::support::{Answer, Caller, TestApp, TestDatabase};

impl Caller {
    pub async fn remember(&self, id: &str, memory: Value) -> Answer {
        self.send_json(Method::PUT, &format!("/v1/memories/{id}"), memory).await
    }

    pub async fn patch_memory(&self, id: &str, patch: Value) -> Answer {
        self.send_json(Method::PATCH, &format!("/v1/memories/{id}"), patch).await
    }

    pub async fn recall(&self, id: &str) -> Answer {
        self.get(&format!("/v1/memories/{id}")).await
    }

    pub async fn search(&self, search: Value) -> Answer {
        self.post("/v1/memories/search", search).await
    }

    /// The ids that a search returns, the best match first.
    pub async fn found(&self, search: Value) -> Vec<String> {
        ids(&self.search(search).await.ok()["results"])
    }
}

/// The ids of memories.
pub fn ids(memories: &Value) -> Vec<String> {
    memories.as_array().unwrap().iter().map(|memory| memory["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_memory_is_stored_replaced_read_and_forgotten() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let answer = caller.remember("tea", json!({"content": "Ada prefers tea."})).await;
    assert_eq!(answer.status, 201);
    let stored = answer.ok();
    assert_eq!(
        (&stored["namespace"], &stored["metadata"], &stored["tags"], &stored["importance"], &stored["replaced"]),
        (&json!("default"), &json!({}), &json!([]), &json!(0.5), &json!(false))
    );
    assert_eq!((&stored["hasEmbedding"], &stored["dimensions"]), (&json!(false), &Value::Null));
    let full = json!({
        "content": "Ada prefers coffee.", "namespace": "user-42", "tags": ["b", "a", "b"], "importance": 1,
        "metadata": {"deep": {"list": [1, null, "x"]}}, "embedding": [1, 2.5, -3e-7], "embeddingModel": "own"
    });
    let answer = caller.remember("tea", full).await;
    assert_eq!(answer.status, 200);
    let replaced = answer.ok();
    assert_eq!((&replaced["replaced"], &replaced["createdAt"]), (&json!(true), &stored["createdAt"]));
    let mut recalled = caller.recall("tea").await.ok();
    assert_eq!(recalled["tags"], json!(["b", "a"]));
    assert_eq!(recalled["metadata"], json!({"deep": {"list": [1, null, "x"]}}));
    assert_eq!((&recalled["embeddingModel"], &recalled["dimensions"]), (&json!("own"), &json!(3)));
    assert_eq!(recalled["embedding"], Value::Null, "the vector is returned only on request");
    recalled["replaced"] = json!(true);
    assert_eq!(recalled, replaced);
    let with_vector = caller.get("/v1/memories/tea?includeEmbedding=true").await.ok();
    assert_eq!(with_vector["embedding"], json!([1.0, 2.5, -3e-7]));
    assert_eq!(caller.delete("/v1/memories/tea").await.status, 204);
    caller.delete("/v1/memories/tea").await.problem(404, "not-found");
    caller.recall("tea").await.problem(404, "not-found");
    assert_eq!(caller.get("/v1/me").await.ok()["usage"]["memories"], 0);
}

#[tokio::test]
async fn a_patch_keeps_the_members_that_it_omits() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let full = json!({
        "content": "The build is red.", "namespace": "ci", "tags": ["build"], "importance": 0.9, "embedding": [1, 0],
        "metadata": {"a": {"b": 1, "c": 2}, "d": [1]}, "ttlMs": 600_000
    });
    let stored = caller.remember("m", full).await.ok();
    let patched = caller.patch_memory("m", json!({"metadata": {"a": {"b": null, "e": 3}, "f": true}})).await.ok();
    assert_eq!(patched["metadata"], json!({"a": {"c": 2, "e": 3}, "d": [1], "f": true}));
    for kept in ["content", "namespace", "tags", "importance", "hasEmbedding", "dimensions", "expiresAt", "createdAt"] {
        assert_eq!(patched[kept], stored[kept], "{kept}");
    }
    let patched = caller.patch_memory("m", json!({"content": "The build is green.", "expiresAt": null})).await.ok();
    assert_eq!((&patched["content"], &patched["expiresAt"]), (&json!("The build is green."), &Value::Null));
    assert_eq!(patched["metadata"], json!({"a": {"c": 2, "e": 3}, "d": [1], "f": true}));
    assert_eq!(caller.found(json!({"query": "green"})).await, ["m"], "the new words match");
    assert!(caller.found(json!({"query": "red"})).await.is_empty(), "the old words do not match");
    assert_eq!(caller.found(json!({"embedding": [1, 0]})).await, ["m"], "the caller's vector is unchanged");
    let all = json!({"tags": null, "importance": null, "namespace": null, "metadata": null, "embedding": null});
    let patched = caller.patch_memory("m", all).await.ok();
    assert_eq!(
        (
            &patched["tags"],
            &patched["importance"],
            &patched["namespace"],
            &patched["metadata"],
            &patched["hasEmbedding"]
        ),
        (&json!([]), &json!(0.5), &json!("default"), &json!({}), &json!(false))
    );
    caller.patch_memory("m", json!({"content": null})).await.ok();
    caller.patch_memory("missing", json!({"importance": 1})).await.problem(404, "not-found");
    let large = json!({"metadata": {"x": "y".repeat(12_000)}});
    caller.patch_memory("m", large).await.ok();
    for (member, outcome) in [("y", 200), ("z", 413)] {
        let answer = caller.patch_memory("m", json!({"metadata": {member: "y".repeat(12_000)}})).await;
        assert_eq!(answer.status, outcome, "{answer:?}");
    }
}

#[tokio::test]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let batch = |count: usize| {
        let memories: Vec<Value> =
            (0..count).map(|n| json!({"id": format!("m{n:03}"), "content": format!("{n}")})).collect();
        json!({"memories": memories})
    };
    let answer = caller.post("/v1/memories/batch", batch(100)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(ids(&answer.ok()["memories"]).len(), 100);
    let generated =
        caller.post("/v1/memories/batch", json!({"memories": [{"content": "a"}, {"content": "b"}]})).await.ok();
    let generated = ids(&generated["memories"]);
    assert!(generated[0] < generated[1] && generated[0].len() == 36, "{generated:?}");
    for (bad, pointer) in [
        (json!({"memories": []}), "/memories"),
        (batch(101), "/memories"),
        (json!({"memories": [{"id": "a", "content": "a"}, {"id": "a", "content": "b"}]}), "/memories"),
        (
            json!({"memories": [{"content": "x".repeat(100_000)}, {"content": "y".repeat(100_000)}, {"content": "z".repeat(100_000)},
            {"content": "x".repeat(100_000)}, {"content": "y".repeat(100_000)}, {"content": "z".repeat(25_000)}]}),
            "/memories",
        ),
        (json!({"memories": [{"id": "x", "content": "a"}, {"content": ""}]}), "/memories/1/content"),
        (
            json!({"memories": [{"id": "x", "content": "a"}, {"content": "a", "ttlMs": 1_000, "expiresAt": "2030-01-01T00:00:00Z"}]}),
            "/memories/1/ttlMs",
        ),
    ] {
        let problem = caller.post("/v1/memories/batch", bad).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    caller.recall("x").await.problem(404, "not-found");
    // A batch can contain a hundred vectors of 1,536 dimensions, the size of well-known models.
    let vector: Vec<f32> = (0..1_536).map(|n| (n as f32).sin()).collect();
    let memories: Vec<Value> =
        (0..100).map(|n| json!({"id": format!("v{n}"), "content": "a", "embedding": vector})).collect();
    caller.post("/v1/memories/batch", json!({"memories": memories})).await.ok();
    assert_eq!(caller.get("/v1/me").await.ok()["usage"]["memories"], 202);
}

#[tokio::test]
async fn a_list_can_be_filtered_by_namespace_tag_and_prefix() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for (id, namespace, tag) in
        [("a_1", "x", "t"), ("aX1", "x", "u"), ("a_2", "y", "t"), ("b", "x", "t"), ("\u{10ffff}", "x", "t")]
    {
        let id = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string();
        caller.remember(&id, json!({"content": "c", "namespace": namespace, "tags": [tag, "all"]})).await.ok();
    }
    let listed = async |query: &str| ids(&caller.get(&format!("/v1/memories?{query}")).await.ok()["items"]);
    assert_eq!(listed("").await, ["aX1", "a_1", "a_2", "b", "\u{10ffff}"]);
    assert_eq!(listed("prefix=a_").await, ["a_1", "a_2"], "an underscore is no wildcard");
    assert_eq!(listed("namespace=x&prefix=a").await, ["aX1", "a_1"]);
    assert_eq!(listed("tag=t").await, ["a_1", "a_2", "b", "\u{10ffff}"]);
    assert_eq!(listed("tag=t&namespace=x&prefix=b").await, ["b"]);
    assert_eq!(listed("tag=nothing").await, Vec::<String>::new());
    for query in ["", "tag=all", "namespace=x"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = caller.get(&format!("/v1/memories?limit=2&{query}{cursor}")).await.ok();
            seen.extend(ids(&page["items"]));
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, listed(query).await, "{query}");
    }
    caller.get("/v1/memories?limit=0").await.problem(422, "invalid-value");
}

#[tokio::test]
async fn an_expired_memory_is_invisible_and_is_swept() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let memory = |content: &str| json!({"content": content, "embedding": [1, 1], "tags": ["t"], "expiresAt": "2020-01-01T00:00:00Z"});
    let store_expired = async |id: &str| caller.remember(id, memory("Ada was here")).await.ok();
    // The sweeper may delete the memory soon, so each call follows the store in the same transaction.
    let calls_on_it = json!([
        {"method": "recallMemory", "params": {"id": "gone"}},
        {"method": "updateMemory", "params": {"id": "gone", "importance": 1}},
        {"method": "forgetMemory", "params": {"id": "gone"}}
    ]);
    for call in calls_on_it.as_array().unwrap() {
        let store =
            memory("Ada was here").as_object().unwrap().clone().into_iter().chain([("id".to_owned(), json!("gone"))]);
        let calls = json!({"calls": [{"method": "storeMemory", "params": store.collect::<Value>()}, call]});
        let problem = caller.post("/v1/transaction", calls).await.problem(404, "not-found");
        assert_eq!(problem["index"], 1);
    }
    for search in [json!({"query": "ada"}), json!({"embedding": [1, 1]}), json!({"query": "ada", "tags": ["t"]})] {
        store_expired("gone").await;
        assert!(caller.found(search).await.is_empty());
    }
    for list in ["", "?tag=t", "?namespace=default"] {
        store_expired("gone").await;
        assert_eq!(caller.get(&format!("/v1/memories{list}")).await.ok()["items"], json!([]));
    }
    let again = caller.remember("gone", memory("Ada was here")).await;
    assert_eq!((again.status.as_u16(), &again.ok()["replaced"]), (201, &json!(false)));
    caller.remember("short", json!({"content": "soon over", "ttlMs": 1_000})).await.ok();
    caller.remember("long", json!({"content": "not over", "ttlMs": 600_000})).await.ok();
    caller.recall("short").await.ok();
    app.until(async || caller.recall("short").await.status == 404).await;
    app.until(async || caller.get("/v1/me").await.ok()["usage"]["memories"] == 1).await;
    let mut admin = app.database.admin().await;
    let left = sqlx::query_scalar("select id::text from tenant.memories where payer = $1").bind(caller.payer.as_str());
    assert_eq!(left.fetch_all(&mut admin).await.unwrap() as Vec<String>, ["long"]);
}

#[tokio::test]
async fn an_invalid_memory_is_refused_and_not_stored() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let nested = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for (bad, status, code, pointer) in [
        (json!({"content": ""}), 422, "invalid-value", "/content"),
        (json!({"content": " \n "}), 422, "invalid-value", "/content"),
        (json!({"content": "x".repeat(100_001)}), 422, "invalid-value", "/content"),
        (json!({"content": "a\u{0}b"}), 422, "invalid-text", ""),
        (json!({"content": 1}), 400, "invalid-json", "/content"),
        (json!({}), 400, "invalid-json", ""),
        (json!({"content": "a", "id": "other"}), 400, "invalid-json", "/id"),
        (json!({"content": "a", "vector": [1]}), 400, "invalid-json", "/vector"),
        (json!({"content": "a", "embedding": []}), 422, "invalid-vector", "/embedding"),
        (json!({"content": "a", "embedding": [0, 0.0]}), 422, "invalid-vector", "/embedding"),
        (json!({"content": "a", "embedding": [1, null]}), 422, "invalid-vector", "/embedding/1"),
        (json!({"content": "a", "embedding": [1, 2, 1e39]}), 422, "invalid-vector", "/embedding/2"),
        (json!({"content": "a", "embedding": [1e-30]}), 422, "invalid-vector", "/embedding"),
        (json!({"content": "a", "embedding": vec![1; 4_097]}), 422, "invalid-vector", "/embedding"),
        (json!({"content": "a", "embedding": "[1]"}), 400, "invalid-json", "/embedding"),
        (json!({"content": "a", "embedding": ["1"]}), 400, "invalid-json", "/embedding/0"),
        (json!({"content": "a", "embeddingModel": "m"}), 422, "invalid-value", "/embeddingModel"),
        (json!({"content": "a", "embedding": null, "embeddingModel": "m"}), 422, "invalid-value", "/embeddingModel"),
        (json!({"content": "a", "importance": 1.1}), 422, "invalid-value", "/importance"),
        (json!({"content": "a", "importance": "high"}), 400, "invalid-json", "/importance"),
        (json!({"content": "a", "metadata": [1]}), 400, "invalid-json", "/metadata"),
        (json!({"content": "a", "metadata": {"a": "x".repeat(16 << 10)}}), 422, "invalid-value", "/metadata"),
        (json!({"content": "a", "metadata": {"a": nested}}), 422, "invalid-value", "/metadata"),
        (
            json!({"content": "a", "tags": (0..33).map(|n| n.to_string()).collect::<Vec<_>>()}),
            422,
            "invalid-value",
            "/tags",
        ),
        (json!({"content": "a", "tags": [""]}), 422, "invalid-value", "/tags/0"),
        (json!({"content": "a", "namespace": "a\u{1}"}), 422, "invalid-value", "/namespace"),
        (json!({"content": "a", "ttlMs": -5}), 422, "invalid-value", "/ttlMs"),
        (json!({"content": "a", "ttlMs": 1_000, "expiresAt": "2030-01-01T00:00:00Z"}), 422, "invalid-value", "/ttlMs"),
    ] {
        let shown = bad.to_string().chars().take(100).collect::<String>();
        let problem = caller.remember("m", bad).await.problem(status, code);
        assert_eq!(problem["errors"][0]["pointer"].as_str().unwrap_or_default(), pointer, "{shown}: {problem}");
    }
    for malformed in ["NaN", "Infinity", "-Infinity", "1e999"] {
        let body = format!(r#"{{"content":"a","embedding":[1,{malformed}]}}"#);
        let answer = caller.send(Method::PUT, "/v1/memories/m", Some(("application/json", body.into_bytes()))).await;
        answer.problem(400, "invalid-json");
    }
    caller.recall("m").await.problem(404, "not-found");
    // Values at the size limits are accepted.
    let largest = json!({
        "content": "\u{6771}".repeat(100_000), "embedding": vec![0.123_456_78; 4_096], "metadata": {"a": "x".repeat((16 << 10) - 8)}
    });
    let stored = caller.remember("m", largest.clone()).await.ok();
    assert_eq!((&stored["content"], &stored["dimensions"]), (&largest["content"], &json!(4_096)));
    let words: String = (0..25_000_u32).map(|n| format!("{n:x} ")).collect();
    caller.remember("words", json!({"content": words.chars().take(100_000).collect::<String>()})).await.ok();
    assert_eq!(caller.found(json!({"query": "4d2"})).await, ["words"]);
    // The maximum number of different pairs of characters. The index takes the first 256 KiB of pairs.
    let rare = |n: usize| char::from_u32(0x20000 + (n * [1, 11, 13][n / 42_000] % 42_000) as u32).unwrap();
    let content: String = (0..100_000).map(rare).collect();
    caller.remember("rare", json!({"content": content})).await.ok();
    for n in [5, 14_000, 14_600, 29_000] {
        let pair: String = [rare(n), rare(n + 1)].iter().collect();
        assert_eq!(caller.found(json!({"query": pair})).await, ["rare"]);
    }
    // Texts that grow: one character becomes eighteen, and each part of a hyphenated word is also a word.
    let letters = |n: usize| ["\u{fdf2}", "\u{fdf4}", "\u{fdf5}", "\u{fdf6}"][n % 4];
    let word = |n: usize| (0..6).map(|place| letters(n >> (2 * place))).collect::<String>();
    let joined: String = (0..7_000).map(|n| format!("{}-{} ", word(n), word(n * 31 + 7))).collect();
    caller.remember("joined", json!({"content": joined})).await.ok();
    caller.remember("grows", json!({"content": "\u{fdfa}".repeat(100_000)})).await.ok();
    assert_eq!(caller.found(json!({"query": word(5)})).await[0], "joined");
}

/// Patches can make metadata grow to 32 KiB.
#[tokio::test]
async fn metadata_that_is_too_large_is_refused() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let grows = json!({"a": vec![1e308; 120]});
    let problem = caller.remember("m", json!({"content": "a", "metadata": grows})).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/metadata");
    let batch = json!({"memories": [{"id": "m", "content": "a"}, {"content": "a", "metadata": grows}]});
    let problem = caller.post("/v1/memories/batch", batch).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/memories/1/metadata");
    caller.recall("m").await.problem(404, "not-found");
    caller.remember("m", json!({"content": "a"})).await.ok();
    for part in ["a", "b"] {
        caller.patch_memory("m", json!({"metadata": {part: vec![1e308; 48]}})).await.ok();
    }
    let part = json!({"metadata": {"c": vec![1e308; 48]}});
    caller.patch_memory("m", part).await.problem(413, "payload-too-large");
}

/// After any change of memories, the counts of the spaces and the graph match the memories.
#[tokio::test]
async fn space_counts_stay_correct_after_every_change() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    let vectors = [json!(null), json!([1, 0]), json!([0, 1]), json!([1, 0, 0])];
    let mut random = 7_usize;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..300 {
        let (id, vector) = (next(12).to_string(), &vectors[next(4)]);
        let mut memory = json!({"content": "c", "embedding": vector});
        if !vector.is_null() && next(2) == 0 {
            memory["embeddingModel"] = json!("m");
        }
        match next(4) {
            0 => drop(caller.delete(&format!("/v1/memories/{id}")).await),
            1 => drop(caller.patch_memory(&id, memory).await),
            _ => drop(caller.remember(&id, memory).await.ok()),
        }
        if next(10) == 0 {
            // Grow the graph, as the sweeper does for large spaces.
            let grow = "select rpc.turn(payer, array[payer], array['growGraph'], array[json_build_object('model', model, 'dimensions', dimensions, 'bite', 3)::text], array[null], 0)
                          from tenant.memory_spaces where dimensions > 0";
            app.database.admin().await.execute(grow).await.unwrap();
        }
        let mut admin = app.database.admin().await;
        let wrong = "select s.model || s.dimensions || ': ' || s.memories || ', ' || coalesce(m.memories, 0)
             from tenant.memory_spaces s
             full join (select payer, model, dimensions, count(*) as memories, max(place) as last_place from tenant.memories group by 1, 2, 3) m
               using (payer, model, dimensions)
             where s.memories is distinct from m.memories or s.last_place < m.last_place
           union all
           select 'graph: ' || coalesce(m.id, g.id)
             from (select m.* from tenant.memories m join tenant.memory_spaces s using (payer, model, dimensions) where m.dimensions > 0 and m.place <= s.grown_until) m
             full join tenant.memory_graph g using (payer, id)
             where g.id is null or m.id is null or g.model <> m.model or g.dimensions <> m.dimensions
               or g.embedding <> rpc.for_graph(m.embedding)
           union all
           select 'vector: ' || id from tenant.memories
             where (dimensions > 0) <> (embedding is not null) or (dimensions = 0 and (model <> '' or is_made))";
        let wrong: Vec<Option<String>> = sqlx::query_scalar(wrong).fetch_all(&mut admin).await.unwrap();
        assert_eq!(wrong, []);
    }
}

#[tokio::test]
async fn memories_work_in_transactions_and_with_idempotency_keys() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    let calls = json!({"calls": [
        {"method": "increment", "params": {"name": "facts"}, "as": "count"},
        {"method": "storeMemory", "params": {"id": "fact", "content": "Ada lives in Stockholm.", "metadata": {"number": {"$ref": "count.value"}}}},
        {"method": "recallMemory", "params": {"id": "fact"}}
    ]});
    let results = caller.post("/v1/transaction", calls).await.ok()["results"].clone();
    assert_eq!(results[2]["metadata"], json!({"number": 1}));
    let whole = |reference: &str| {
        json!({"calls": [
            {"method": "increment", "params": {"name": "facts"}, "as": "count"},
            {"method": "storeMemory", "params": {"id": "fact", "content": "c", "metadata": {"$ref": reference}}}
        ]})
    };
    assert_eq!(caller.post("/v1/transaction", whole("count")).await.ok()["results"][1]["metadata"]["value"], 2);
    caller.post("/v1/transaction", whole("count.value")).await.problem(422, "invalid-value");
    assert_eq!(caller.value("facts").await, 2, "the transaction was rolled back");

    caller.headers.insert("idempotency-key", "one-and-the-same".parse().unwrap());
    let memory = json!({"content": "once"});
    let (first, second) = (caller.remember("once", memory.clone()).await, caller.remember("once", memory).await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(second.headers["idempotent-replay"], "true");
    assert_eq!(first.text, second.text);
}

#[tokio::test]
async fn a_search_needs_only_the_read_scope() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.remember("m", json!({"content": "c"})).await.ok();
    caller.token = Some(app.token(&caller.payer, &[Scope::MemoriesRead], std::time::Duration::from_secs(60)).await);
    caller.search(json!({"query": "c"})).await.ok();
    caller.remember("m", json!({"content": "d"})).await.problem(403, "missing-scope");
    caller.token = Some(app.token(&caller.payer, &[Scope::MemoriesWrite], std::time::Duration::from_secs(60)).await);
    caller.search(json!({"query": "c"})).await.problem(403, "missing-scope");
}

#[tokio::test]
async fn pages_and_results_of_large_memories_end_early() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let content = format!("{} kettle", "\u{1d11e}".repeat(99_993));
    for id in 10..22 {
        caller.remember(&id.to_string(), json!({"content": content, "embedding": null})).await.ok();
    }
    let first = caller.get("/v1/memories?limit=1000").await.ok();
    assert_eq!(first["items"].as_array().unwrap().len(), 11, "the last one exceeds 4 MiB");
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = caller.get(&format!("/v1/memories?limit=1000&cursor={cursor}")).await.ok();
    assert_eq!((&second["items"][0]["id"], &second["nextCursor"]), (&json!("21"), &json!(null)));
    assert_eq!(caller.get("/v1/memories?prefix=none").await.ok()["items"], json!([]));
    let found = caller.search(json!({"query": "kettle", "mode": "text", "limit": 100})).await.ok();
    assert_eq!(found["results"].as_array().unwrap().len(), 11);
}

#[tokio::test]
async fn pages_of_large_metadata_end_early() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let metadata = json!({"a": "x".repeat(16_000)});
    for batch in 0..3 {
        let memory = |n| json!({"id": format!("{batch}-{n}"), "content": "c", "embedding": null, "metadata": metadata});
        let memories: Vec<Value> = (0..100).map(memory).collect();
        caller.post("/v1/memories/batch", json!({"memories": memories})).await.ok();
    }
    let page = caller.get("/v1/memories?limit=1000").await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 262, "the last one exceeds 4 MiB");
    let cursor = page["nextCursor"].as_str().unwrap();
    let rest = caller.get(&format!("/v1/memories?limit=1000&cursor={cursor}")).await.ok();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["nextCursor"]), (38, &json!(null)));
}
