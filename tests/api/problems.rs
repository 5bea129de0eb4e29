//! Invalid input: each kind gets its own problem, causes no 500 and changes no data.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Caller, TestApp};

const JSON: &str = "application/json";

async fn raw(caller: &Caller, body: impl Into<Vec<u8>>) -> crate::support::Answer {
    caller.send(Method::POST, "/v1/counters/a/increment", Some((JSON, body.into()))).await
}

#[tokio::test]
async fn a_malformed_body_or_a_wrong_type_is_400() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let deep = "[".repeat(200_000);
    let deep_object = r#"{"amount":"#.repeat(100_000);
    for (body, pointer) in [
        (r#"{"amount":"1.0"}"#, Some("/amount")),
        (r#"{"amount":1.5}"#, Some("/amount")),
        (r#"{"amount":true}"#, Some("/amount")),
        (r#"{"amount":[1]}"#, Some("/amount")),
        (r#"{"min":{}}"#, Some("/min")),
        (r#"{"max":"eight"}"#, Some("/max")),
        (r#"{"onBound":1}"#, Some("/onBound")),
        (r#"{"onBound":{"saturate":null}}"#, Some("/onBound")),
        (r#"{"bogus":1}"#, Some("/bogus")),
        (r#"{"amount":1,"amount":2}"#, None),
        (r#"{"name":"b"}"#, None),
        (r#"{"amount":1}{"amount":1}"#, None),
        (r#"{"amount":1} x"#, None),
        ("[]", None),
        ("[1]", None),
        ("1", None),
        (r#""text""#, None),
        ("{", None),
        (r#"{"amount":}"#, None),
        (r#"{"amount":NaN}"#, None),
        (r#"{"amount":1e400}"#, None),
        (r#"{"amount":01}"#, None),
        (r#"{"onBound":"\ud800"}"#, None),
        (r#"{"a\u0000":1"#, None),
        (&deep, None),
        (&deep_object, None),
    ] {
        let problem = raw(&caller, body).await.problem(400, "invalid-json");
        if let Some(pointer) = pointer {
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
        }
    }
    raw(&caller, b"{\"amount\":1,\"onBound\":\"\xff\"}".to_vec()).await.problem(400, "invalid-json");
    for half in [r#"{"onBound":"\ud800"}"#, r#"{"onBound":"\ud83d-"}"#, r#"{"onBound":"\udc00"}"#] {
        let problem = raw(&caller, half).await.problem(400, "invalid-json");
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("surrogate"), "{problem}");
    }
    let long = format!(r#"{{"{}":1}}"#, "k".repeat(1_000_000));
    let answer = raw(&caller, long).await;
    assert!(answer.text.len() < 2_000, "the problem does not repeat the body");
    answer.problem(400, "invalid-json");
    let counter = caller.get("/v1/counters/a").await.problem(404, "not-found");
    let path = caller.get("/v1/counters/a/").await.problem(404, "not-found");
    assert_ne!(counter["detail"], path["detail"]);
    let method = caller.delete("/v1/counters").await.problem(405, "method-not-allowed");
    assert_eq!(method["detail"], "The path supports GET, HEAD.");
}

#[tokio::test]
async fn a_well_formed_value_out_of_range_is_422() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for (body, pointer) in [
        (r#"{"amount":9223372036854775808}"#, "/amount"),
        (r#"{"amount":-9223372036854775809}"#, "/amount"),
        (r#"{"amount":18446744073709551616}"#, "/amount"),
        (r#"{"amount":1e30}"#, "/amount"),
        (r#"{"min":123456789012345678901234567890}"#, "/min"),
        (r#"{"min":2,"max":1}"#, "/min"),
        (r#"{"onBound":"explode"}"#, "/onBound"),
        (r#"{"onBound":""}"#, "/onBound"),
    ] {
        let problem = raw(&caller, body).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    caller.get("/v1/counters/a").await.problem(404, "not-found");
    caller.increment("a", json!({"max": 5})).await.ok();
    let problem = caller.increment("a", json!({"min": 6})).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/min", "a new bound is also checked against the stored one");
    assert_eq!(caller.get("/v1/counters/a").await.ok()["min"], Value::Null);
}

/// Generated clients send `null` for a body that was not given, and some programs begin UTF-8 with a mark.
#[tokio::test]
async fn null_and_white_space_are_no_body_and_a_mark_is_ignored() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for body in ["", " ", "null", "\r\n null\t", "\u{feff}", "\u{feff}null", "\u{feff}{}", "\u{feff} {\"amount\":1}\n"]
    {
        raw(&caller, body).await.ok();
    }
    assert_eq!(caller.value("a").await, 8);
    for path in ["counters/a/decrement", "counters/a/reset", "queues/q/pop", "queues/q/retry-dead", "memories/search"] {
        let answer = caller.send(Method::POST, &format!("/v1/{path}"), Some((JSON, b"null".to_vec()))).await;
        assert_ne!(answer.status, 400, "{path}: {answer:?}");
    }
    let problem =
        caller.send(Method::POST, "/v1/links", Some((JSON, b"null".to_vec()))).await.problem(400, "invalid-json");
    assert_eq!(problem["errors"][0]["detail"], "missing field `url`");
    for wrong in ["nul", "nullnull", "null null", "{}\u{feff}", "\u{feff}\u{feff}{}"] {
        raw(&caller, wrong).await.problem(400, "invalid-json");
    }
}

/// URL clients remove these names from paths.
#[tokio::test]
async fn nothing_gets_a_name_that_no_path_can_have() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let memory = json!({"content": "x"});
    for name in [".", ".."] {
        let transact = |method: &str, params: Value| json!({"calls": [{"method": method, "params": params}]});
        let batch = json!({"memories": [{"id": name, "content": "x"}]});
        for (path, body, pointer) in [
            ("/v1/transaction", transact("increment", json!({"name": name})), "/calls/0/params/name"),
            ("/v1/transaction", transact("decrement", json!({"name": name})), "/calls/0/params/name"),
            ("/v1/transaction", transact("resetCounter", json!({"name": name})), "/calls/0/params/name"),
            ("/v1/transaction", transact("acquireLock", json!({"name": name, "ttlMs": 1_000})), "/calls/0/params/name"),
            ("/v1/transaction", transact("pushJob", json!({"queue": name, "payload": 1})), "/calls/0/params/queue"),
            ("/v1/transaction", transact("storeMemory", json!({"id": name, "content": "x"})), "/calls/0/params/id"),
            ("/v1/memories/batch", batch, "/memories/0/id"),
        ] {
            let problem = caller.post(path, body).await.problem(422, "invalid-value");
            assert_eq!(problem["errors"][0]["pointer"], pointer);
            assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("`..`"), "{problem}");
        }
    }
    for name in ["...", ".a", "a.", "..a"] {
        caller.increment(name, json!({})).await.ok();
        caller.send_json(Method::PUT, &format!("/v1/memories/{name}"), memory.clone()).await.ok();
    }
    assert_eq!(caller.get("/v1/counters?prefix=.").await.ok()["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_nul_character_anywhere_is_422() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for body in [r#"{"onBound":"a\u0000"}"#, r#"{"\u0000":1}"#, r#"{"x":{"y":["\\\u0000"]}}"#] {
        raw(&caller, body).await.problem(422, "invalid-text");
    }
    raw(&caller, r#"{"onBound":"\\u0000"}"#).await.problem(422, "invalid-value");
    for path in ["/v1/counters/a%00b", "/v1/counters?prefix=%00", "/v1/counters?cursor=AA%00"] {
        caller.get(path).await.problem(422, "invalid-text");
    }
    // A cursor with a valid encoding and U+0000 inside.
    caller.get("/v1/counters?cursor=AA").await.problem(422, "invalid-value");
}

#[tokio::test]
async fn names_are_1_to_256_bytes_without_control_characters() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for name in ["x".repeat(257), "%C3%A4".repeat(129), "a%0Ab".into(), "%7F".into(), "%C2%85".into()] {
        let problem = caller.increment(&name, json!({})).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], "/name");
        caller.get(&format!("/v1/counters/{name}")).await.problem(422, "invalid-value");
        caller.delete(&format!("/v1/counters/{name}")).await.problem(422, "invalid-value");
    }
    for name in ["%FF", "%C3", "%ED%A0%80", "a%F4%90%80%80"] {
        caller.get(&format!("/v1/counters/{name}")).await.problem(400, "invalid-path");
    }
    caller.post("/v1/counters//increment", json!({})).await.problem(404, "not-found");
    assert_eq!(caller.get("/v1/counters").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn invalid_query_strings_are_refused() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for query in
        ["limit=x", "limit=1.5", "bogus=", "limit=&bogus", "name=", "bogus=1", "limit=1&limit=2", "prefix=%FF", "%FF=1"]
    {
        caller.get(&format!("/v1/counters?{query}")).await.problem(400, "invalid-query");
    }
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=-1", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=9999999999999999999999", "/limit"),
        ("cursor=%3F%3F", "/cursor"),
        ("cursor=_w", "/cursor"),
    ] {
        let problem = caller.get(&format!("/v1/counters?{query}")).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    caller.get("/v1/counters/a?x=1").await.problem(400, "invalid-query");
}

/// Forms send filters that are not filled in.
#[tokio::test]
async fn an_empty_filter_is_absent_but_not_in_a_delete() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("a", json!({})).await.ok();
    for path in [
        "/v1/counters?prefix=&limit=&cursor=",
        "/v1/counters?prefix&limit",
        "/v1/links?limit=&cursor=",
        "/v1/locks?limit=&cursor=",
        "/v1/queues?limit=&cursor=",
        "/v1/queues/q/jobs?status=&limit=&cursor=",
        "/v1/memories?namespace=&tag=&prefix=&limit=&cursor=",
    ] {
        assert!(caller.get(path).await.ok()["items"].is_array(), "{path}");
    }
    assert_eq!(caller.get("/v1/counters?limit=&limit=5&prefix=a").await.ok()["items"].as_array().unwrap().len(), 1);
    caller.delete("/v1/queues/q/jobs?status=").await.problem(422, "invalid-value");
}

#[tokio::test]
async fn a_body_needs_a_json_content_type_and_has_a_size_limit() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let path = "/v1/counters/a/increment";
    for media in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/json; charset=utf-16"]
    {
        caller.send(Method::POST, path, Some((media, b"{}".to_vec()))).await.problem(415, "unsupported-media-type");
    }
    let mut twice = caller.clone();
    twice.headers.append("content-type", "text/plain".parse().unwrap());
    raw(&twice, "{}").await.problem(415, "unsupported-media-type");
    let mut zipped = caller.clone();
    zipped.headers.insert("content-encoding", "gzip".parse().unwrap());
    raw(&zipped, "{}").await.problem(415, "unsupported-media-type");
    caller.send(Method::POST, path, Some(("Application/JSON; charset=UTF-8", b"{}".to_vec()))).await.ok();
    for media in [
        "charset=utf8",
        "charset=utf-8;",
        "charset=utf-8; v=1",
        "v=1",
        ";charset=\"utf-8\"",
        " profile=x ; Charset = UTF-8",
    ] {
        let media = format!("application/json;{media}");
        caller.send(Method::POST, "/v1/counters/b/increment", Some((&media, b"{}".to_vec()))).await.ok();
    }
    let media = "application/json; v=1; charset=latin1";
    caller.send(Method::POST, path, Some((media, b"{}".to_vec()))).await.problem(415, "unsupported-media-type");

    let padded = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
    raw(&caller, padded(1 << 20)).await.ok();
    let problem = raw(&caller, padded((1 << 20) + 1)).await.problem(413, "payload-too-large");
    assert_eq!(problem["limitBytes"], 1 << 20);
    let chunks = futures_util::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10])));
    let request = caller.client.post(format!("{}{path}", caller.url)).header("content-type", JSON);
    let request = request.bearer_auth(secrecy::ExposeSecret::expose_secret(caller.token.as_ref().unwrap()));
    let response = request.body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
    assert_eq!(response.status(), 413, "the limit also applies without Content-Length");
    assert_eq!(caller.value("a").await, 2);
}

#[tokio::test]
async fn unknown_paths_and_methods_get_problem_responses() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for path in ["/nothing", "/v1/nothing", "/v1/counters/a/b/c", "/v1/", "/v2/counters", "/V1/counters"] {
        caller.get(path).await.problem(404, "not-found");
    }
    for (method, path, allow) in [
        (Method::PUT, "/v1/counters/a/increment", "POST"),
        (Method::GET, "/v1/counters/a/increment", "POST"),
        (Method::POST, "/v1/counters", "GET, HEAD"),
        (Method::PATCH, "/v1/counters/a", "GET, HEAD, DELETE"),
        (Method::DELETE, "/healthz", "GET, HEAD"),
        (Method::POST, "/l/abc", "GET, HEAD"),
        (Method::POST, "/docs/", "GET, HEAD"),
        (Method::TRACE, "/v1/counters/a/increment", "POST"),
        (Method::from_bytes(b"QUERY").unwrap(), "/v1/counters", "GET, HEAD"),
    ] {
        let mut confused = caller.clone();
        confused.headers.insert("payerbase-act-for", "no address".parse().unwrap());
        for caller in [&caller, &confused] {
            let answer = caller.send(method.clone(), path, None).await;
            assert_eq!(answer.headers["allow"], allow);
            answer.problem(405, "method-not-allowed");
        }
    }
}

#[tokio::test]
async fn refusals_by_the_web_framework_are_problems_too() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.headers.insert("accept-encoding", "identity;q=0, br".parse().unwrap());
    caller.get("/v1/me").await.problem(406, "not-acceptable");
}

#[tokio::test]
async fn a_request_has_the_callers_request_id_or_a_new_one() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    let first = caller.get("/v1/counters/a").await.problem(404, "not-found");
    let second = caller.get("/v1/counters/a").await.problem(404, "not-found");
    assert_ne!(first["instance"], second["instance"]);
    caller.headers.insert("x-request-id", "checkout-42.a:b_c".parse().unwrap());
    assert_eq!(caller.get("/v1/counters/a").await.problem(404, "not-found")["instance"], "checkout-42.a:b_c");
    for hostile in ["a b", "<script>", &"x".repeat(129), "\u{e4}"] {
        caller.headers.insert("x-request-id", reqwest::header::HeaderValue::from_bytes(hostile.as_bytes()).unwrap());
        let id = caller.get("/v1/me").await.headers["x-request-id"].clone();
        assert_eq!(id.len(), 36, "{id:?}");
    }
}

#[tokio::test]
async fn a_wrong_member_is_reported_with_what_is_expected() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let transact = |guard: Value| {
        let call = json!({"method": "increment", "params": {"name": "a"}, "guard": guard});
        ("/v1/transaction", json!({"calls": [call]}))
    };
    for ((path, body), pointer, detail) in [
        (("/v1/counters/a/increment", json!({"name": "b"})), "/name", "must be in the path only"),
        (
            ("/v1/counters/a/increment", json!({"amont": 1})),
            "/amont",
            "unknown field `amont`, expected one of `amount`, `min`, `max`, `onBound`",
        ),
        (transact(json!("l; fence=1")), "/calls/0/guard", "invalid type: string \"l; fence=1\", expected an object"),
    ] {
        let problem = caller.post(path, body).await.problem(400, "invalid-json");
        assert_eq!(problem["errors"], json!([{"pointer": pointer, "detail": detail}]));
        assert_eq!(problem["detail"], format!("{pointer}: {detail}."), "many clients show nothing else");
    }
    let missing = caller.post("/v1/queues/q/jobs", json!({})).await.problem(400, "invalid-json");
    assert_eq!(missing["detail"], "missing field `payload`.");
    caller.get("/v1/counters/a?x=1").await.problem(400, "invalid-query");
    // A parameter that looks like an amount must be refused, not ignored.
    caller.post("/v1/counters/a/increment?amount=7", json!({})).await.problem(400, "invalid-query");
    caller.get("/v1/counters/a").await.problem(404, "not-found");
}
