//! Values at the edges of what the API takes: times, integers written as floats, sizes, texts of failures.

use payerbase::json::Plain;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::owner;
use crate::support::{Answer, Caller, TestApp};

async fn put(caller: &Caller, path: &str, body: Value) -> Answer {
    caller.send_json(Method::PUT, path, body).await
}

async fn patch(caller: &Caller, path: &str, body: Value) -> Answer {
    caller.send_json(Method::PATCH, path, body).await
}

/// Every request with a time. The link and the memory that two of them change are created first.
async fn send_time(caller: &Caller, time: &str) -> Vec<(&'static str, Answer)> {
    let url = "https://shop.example/";
    let link = caller.post("/v1/links", json!({"url": url})).await.ok();
    let link = format!("/v1/links/{}", link["slug"].as_str().unwrap());
    put(caller, "/v1/memories/old", json!({"content": "old"})).await.ok();
    let transact = |call: Value| caller.post("/v1/transaction", json!({"calls": [call]}));
    let jobs = json!({"jobs": [{"payload": 1}, {"payload": 1, "runAt": time}]});
    let memories = json!({"memories": [{"content": "a"}, {"content": "b", "expiresAt": time}]});
    let new_link = json!({"url": url, "expiresAt": time});
    vec![
        ("createLink", caller.post("/v1/links", new_link.clone()).await),
        ("updateLink", patch(caller, &link, json!({"expiresAt": time})).await),
        ("pushJob", caller.post("/v1/queues/q/jobs", json!({"payload": 1, "runAt": time})).await),
        ("pushJobs", caller.post("/v1/queues/q/jobs/batch", jobs).await),
        ("storeMemory", put(caller, "/v1/memories/new", json!({"content": "a", "expiresAt": time})).await),
        ("storeMemories", caller.post("/v1/memories/batch", memories).await),
        ("updateMemory", patch(caller, "/v1/memories/old", json!({"expiresAt": time})).await),
        ("transact", transact(json!({"method": "createLink", "params": new_link})).await),
    ]
}

/// All lists of a payer, and the searches of its memories.
pub async fn lists(caller: &Caller) -> Vec<Value> {
    let mut lists = Vec::new();
    for path in ["counters", "links", "locks", "queues", "queues/q/jobs", "memories"] {
        lists.push(caller.get(&format!("/v1/{path}")).await.ok());
    }
    lists.push(caller.post("/v1/memories/search", json!({"query": "a b", "mode": "text"})).await.ok());
    lists
}

#[tokio::test]
async fn a_leap_second_is_the_next_second_and_no_time_is_stored_that_cannot_be_read() {
    let app = TestApp::spawn().await;
    for (time, read) in [
        ("2090-12-31T23:59:60Z", Some("2091-01-01T00:00:00.000000Z")),
        ("2090-12-31T23:59:60.5Z", Some("2091-01-01T00:00:00.500000Z")),
        ("2091-03-06T00:59:60.000001+01:00", Some("2091-03-06T00:00:00.000001Z")),
        ("2091-03-05T12:34:60.999999999Z", Some("2091-03-05T12:35:00.999999Z")),
        ("9999-12-31T23:59:59.9999999Z", Some("9999-12-31T23:59:59.999999Z")),
        ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00.000000Z")),
        ("9999-12-31T23:59:60Z", None),
        ("9999-12-31T23:59:60.5Z", None),
        ("9999-12-31T22:59:60-01:00", None),
        ("0001-01-01T00:00:00+00:01", None),
    ] {
        let caller = app.caller().await;
        for (name, answer) in send_time(&caller, time).await {
            match read {
                None => drop(answer.problem(422, "invalid-value")),
                Some(read) if name.starts_with("push") && time.starts_with("0001") => {
                    assert!(!answer.ok().to_string().contains(read), "{name}: a past time means now");
                }
                Some(read) => assert!(answer.ok().to_string().contains(read), "{name} {time}"),
            }
        }
        lists(&caller).await;
    }
}

/// Versions before 0.1 could store the first second of the year 10000.
#[tokio::test]
async fn a_stored_time_of_the_year_10000_is_read_as_the_last_time_before() {
    const LAST: &str = "9999-12-31T23:59:59.999999Z";
    let app = TestApp::spawn().await;
    let (caller, things) = owner(&app).await;
    let mut admin = app.database.admin().await;
    for statement in [
        "update tenant.links set expires_at = '10000-01-01Z' where payer = $1",
        "update tenant.jobs set run_at = '10000-01-01Z' where payer = $1",
        "update tenant.memories set expires_at = '10000-01-01Z' where payer = $1",
    ] {
        sqlx::query(statement).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    }
    let search = json!({"query": "Ada", "mode": "text"});
    let slug = format!("/v1/links/{}", things.slug);
    for (member, answer) in [
        ("expiresAt", caller.get("/v1/links").await),
        ("expiresAt", caller.get(&slug).await),
        ("expiresAt", patch(&caller, &slug, json!({"title": "new"})).await),
        ("runAt", caller.get("/v1/queues/theirs/jobs").await),
        ("runAt", caller.get(&format!("/v1/jobs/{}", things.running)).await),
        ("runAt", caller.post(&format!("/v1/jobs/{}/complete", things.running), json!({})).await),
        ("expiresAt", caller.get("/v1/memories").await),
        ("expiresAt", caller.get("/v1/memories/theirs").await),
        ("expiresAt", caller.post("/v1/memories/search", search).await),
        ("expiresAt", patch(&caller, "/v1/memories/theirs", json!({"importance": 1})).await),
    ] {
        assert!(answer.ok().to_string().contains(&format!("\"{member}\":\"{LAST}\"")), "{member}");
    }
}

/// JSON Schema, and so the OpenAPI document: a number without a fraction is an integer.
#[tokio::test]
async fn an_integer_may_be_written_as_a_float() {
    let app = TestApp::spawn().await;
    let (caller, things) = owner(&app).await;
    let raw = async |method: Method, path: &str, body: &str| {
        caller.send(method, path, Some(("application/json", body.as_bytes().to_vec()))).await
    };
    for (path, body, member, value) in [
        ("counters/a/increment", r#"{"amount":1.0,"min":-1e3,"max":5.0E+3}"#, "value", 1),
        ("counters/a/increment", r#"{"amount":1e3}"#, "value", 1_001),
        ("counters/a/decrement", r#"{"amount":10e-1}"#, "value", 1_000),
        ("counters/a/increment", r#"{"amount":-0}"#, "applied", 0),
        ("counters/a/increment", r#"{"amount":-0.0}"#, "applied", 0),
        ("counters/a/reset", r#"{"value":2.50e2}"#, "value", 250),
        ("counters/b/increment", r#"{"amount":9007199254740991.0}"#, "value", 9_007_199_254_740_991_i64),
        ("queues/q/jobs", r#"{"payload":1.0,"priority":-2.0,"maxAttempts":3e0,"backoffMs":1e3}"#, "priority", -2),
        ("queues/q/jobs", r#"{"payload":1,"delayMs":8.64e7,"maxAttempts":20e-1}"#, "maxAttempts", 2),
        ("queues/q/pop", r#"{"leaseMs":6e4,"waitMs":0.0}"#, "attempts", 1),
        ("queues/q/retry-dead", r#"{"limit":1e1}"#, "retried", 0),
        ("links", r#"{"url":"https://a.example","maxClicks":2.0,"ttlMs":8.64e7}"#, "maxClicks", 2),
        ("memories/search", r#"{"query":"a","limit":1e1}"#, "skipped", 0),
    ] {
        let answer = raw(Method::POST, &format!("/v1/{path}"), body).await.ok();
        assert_eq!(answer[member], value, "{path} {body}: {answer}");
    }
    let lease = raw(Method::POST, "/v1/locks/l/acquire", r#"{"ttlMs":8.64e7}"#).await.ok();
    let guard = format!(r#"{{"lock":"l","fence":{}.0}}"#, lease["fence"]);
    let call = r#"{"method":"increment","params":{"name":"c","amount":2.0},"guard":"#;
    let refers = r#"{"method":"pushJob","params":{"queue":"q","payload":[3.0]}},
        {"method":"increment","params":{"name":"c","amount":{"$ref":"1.payload.0"},"max":{"$ref":"1.payload.0"}}}"#;
    let transaction = format!(r#"{{"calls":[{call}{guard}}},{refers}]}}"#);
    let results = raw(Method::POST, "/v1/transaction", &transaction).await.ok();
    assert_eq!(results["results"][2]["value"], 3, "{results}");
    for query in ["counters?limit=1.0", "counters?limit=1e2", "memories?limit=10.0", "queues/q/jobs?limit=1E%2B1"] {
        caller.get(&format!("/v1/{query}")).await.ok();
    }
    caller.get(&format!("/v1/links/{}/stats?days=3.0e1", things.slug)).await.ok();
}

#[tokio::test]
async fn a_fraction_is_no_integer_and_a_float_from_2_to_the_53_on_is_refused() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let raw = async |body: &str| {
        caller
            .send(Method::POST, "/v1/counters/a/increment", Some(("application/json", body.as_bytes().to_vec())))
            .await
    };
    for body in [r#"{"amount":1.5}"#, r#"{"min":1e-1}"#, r#"{"amount":0.99}"#, r#"{"max":-1.5}"#] {
        raw(body).await.problem(400, "invalid-json");
    }
    // A double cannot say which of these integers was meant.
    for body in [
        r#"{"amount":9007199254740993.0}"#,
        r#"{"amount":9007199254740992e0}"#,
        r#"{"amount":9.3e18}"#,
        r#"{"min":-1e300}"#,
    ] {
        let problem = raw(body).await.problem(422, "invalid-value");
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("2^53"), "{problem}");
    }
    for path in ["/v1/counters?limit=1.5", "/v1/counters?limit=NaN", "/v1/counters?limit=.5e1"] {
        caller.get(path).await.problem(400, "invalid-query");
    }
    let call = json!([{"method": "pushJob", "params": {"queue": "q", "payload": 1.5}},
        {"method": "increment", "params": {"name": "a", "amount": {"$ref": "0.payload"}}}]);
    caller.post("/v1/transaction", json!({"calls": call})).await.problem(422, "invalid-value");
    caller.get("/v1/counters/a").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_failure_is_reported_whatever_its_text() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let long = "\u{e9}".repeat(8_000);
    for (error, kept) in [
        (json!(long), "\u{e9}".repeat(4_096)),
        (json!(format!("x{long}")), format!("x{}", "\u{e9}".repeat(4_095))),
        (json!("a\0b\0"), "ab".to_owned()),
        (json!(format!("{}\0b", "x".repeat(8_191))), format!("{}b", "x".repeat(8_191))),
        (json!(""), String::new()),
        (Value::Null, String::new()),
    ] {
        let fail = async |transacted: bool| {
            let job = caller.post("/v1/queues/q/jobs", json!({"payload": 1})).await.ok();
            caller.post("/v1/queues/q/pop", json!({})).await.ok();
            let params = json!({"id": job["id"], "error": error, "retry": false});
            if transacted {
                let calls = json!({"calls": [{"method": "failJob", "params": params}]});
                return caller.post("/v1/transaction", calls).await.ok()["results"][0].take();
            }
            let body = json!({"error": error, "retry": false});
            caller.post(&format!("/v1/jobs/{}/fail", job["id"].as_str().unwrap()), body).await.ok()
        };
        for transacted in [false, true] {
            let failed = fail(transacted).await;
            assert_eq!((&failed["status"], failed["error"].as_str()), (&json!("dead"), Some(kept.as_str())), "{error}");
        }
    }
    let job = caller.post("/v1/queues/q/jobs", json!({"payload": 1, "maxAttempts": 1})).await.ok();
    caller.post("/v1/queues/q/pop", json!({})).await.ok();
    let fail = format!("/v1/jobs/{}/fail", job["id"].as_str().unwrap());
    assert_eq!(caller.send(Method::POST, &fail, None).await.ok()["error"], "");
    // Only this member may contain U+0000.
    let lease = caller.post(&fail, json!({"error": "a\0", "lease": "\0"})).await;
    lease.problem(422, "invalid-value");
    for call in [
        json!({"method": "pushJob", "params": {"queue": "q", "payload": "a\0"}}),
        json!({"method": "pushJob", "params": {"queue": "q", "payload": {"$literal": {"a\0": 1}}}}),
        json!({"method": "increment", "params": {"name": "a\0"}}),
    ] {
        let problem = caller.post("/v1/transaction", json!({"calls": [call]})).await.problem(422, "invalid-text");
        assert_eq!(problem["index"], 0);
    }
    caller.post(&fail.replace("fail", "complete"), json!({"result": "\0"})).await.problem(422, "invalid-text");
}

/// The size of a value is that of compact JSON, with all digits of its numbers, and the server says so.
#[tokio::test]
async fn sizes_are_those_of_compact_json() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let ones = |bytes: usize| json!(vec![1; (bytes - 1) / 2]);
    let zeros = |number: f64, bytes: usize| json!(vec![number; bytes / 302]);
    let job = async |payload: Value| caller.post("/v1/queues/q/jobs", json!({"payload": payload})).await;
    let lock = async |metadata: Value| {
        let name = rand::random::<u64>();
        caller.post(&format!("/v1/locks/{name}/acquire"), json!({"ttlMs": 60_000, "metadata": metadata})).await
    };
    let memory = async |metadata: Value| {
        put(&caller, "/v1/memories/m", json!({"content": "a", "metadata": {"a": metadata}})).await
    };
    job(ones(262_143)).await.ok();
    job(zeros(1e300, 262_143)).await.ok();
    lock(ones(4_095)).await.ok();
    lock(zeros(1e300, 4_095)).await.ok();
    memory(ones(16_377)).await.ok();
    memory(zeros(1e300, 16_377)).await.ok();
    let problem = job(ones(262_145)).await.problem(413, "payload-too-large");
    assert_eq!((&problem["limitBytes"], &problem["errors"][0]["pointer"]), (&json!(262_144), &json!("/payload")));
    for refused in [
        job(zeros(1e300, 262_446)).await,
        lock(ones(4_097)).await,
        lock(zeros(1e300, 4_530)).await,
        memory(ones(16_379)).await,
        memory(zeros(-1e300, 16_700)).await,
    ] {
        let status = refused.status.as_u16();
        let problem = refused.problem(status, if status == 413 { "payload-too-large" } else { "invalid-value" });
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("compact JSON, with all digits of its numbers"), "{problem}");
    }
    let popped = caller.post("/v1/queues/q/pop", json!({})).await.ok();
    let complete = format!("/v1/jobs/{}/complete", popped["id"].as_str().unwrap());
    let problem = caller.post(&complete, json!({"result": ones(262_145)})).await.problem(413, "payload-too-large");
    assert_eq!(problem["errors"][0]["pointer"], "/result");
    caller.post(&complete, json!({"result": ones(262_143)})).await.ok();
    let batch = json!({"jobs": [{"payload": 1}, {"payload": ones(262_145)}]});
    let problem = caller.post("/v1/queues/q/jobs/batch", batch).await.problem(413, "payload-too-large");
    assert_eq!(problem["errors"][0]["pointer"], "/jobs/1/payload");
}

/// serde_json reads an object with this name as the JSON in its text, which no caller means.
#[tokio::test]
async fn a_name_that_serde_json_keeps_for_itself_is_a_name_like_others() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    // `serde_json::Value` would read the answers wrongly, too.
    let read = |answer: Answer| {
        assert!(answer.status.is_success(), "{answer:?}");
        serde_json::from_str::<Plain>(&answer.text).unwrap().0
    };
    let values = ["[1]", "\"\\u0000\"", "no JSON"].map(|text| json!({"$serde_json::private::RawValue": text}));
    for value in values {
        let within = json!({"a": [value], "b": 1});
        for payload in [&value, &within] {
            let call = json!({"method": "pushJob", "params": {"queue": "q", "payload": payload}});
            let results = read(caller.post("/v1/transaction", json!({"calls": [call]})).await);
            assert_eq!(results["results"][0]["payload"], *payload);
            let job = read(caller.post("/v1/queues/q/jobs", json!({"payload": payload})).await);
            assert_eq!(job["payload"], *payload);
            let jobs = read(caller.post("/v1/queues/q/jobs/batch", json!({"jobs": [{"payload": payload}]})).await);
            assert_eq!(jobs["jobs"][0]["payload"], *payload);
            for _ in 0..3 {
                let job = read(caller.post("/v1/queues/q/pop", json!({})).await);
                let path = format!("/v1/jobs/{}/complete", job["id"].as_str().unwrap());
                let complete = json!({"lease": job["lease"], "result": payload});
                assert_eq!(read(caller.post(&path, complete).await)["result"], *payload);
            }
            let memory = json!({"content": "kettle", "embedding": null, "metadata": payload});
            read(caller.send_json(Method::PUT, "/v1/memories/m", memory).await);
            let patch = json!({"metadata": {"c": payload}});
            let patched = read(caller.send_json(Method::PATCH, "/v1/memories/m", patch).await);
            assert_eq!(patched["metadata"]["c"], *payload);
            assert_eq!(read(caller.get("/v1/memories").await)["items"][0]["metadata"], patched["metadata"]);
            let search = json!({"query": "kettle", "mode": "text"});
            let found = read(caller.post("/v1/memories/search", search).await);
            assert_eq!(found["results"][0]["metadata"], patched["metadata"]);
            let filter = json!({"query": "kettle", "mode": "text", "filter": {"a": payload}});
            caller.post("/v1/memories/search", filter).await.problem(422, "invalid-value");
            let acquire = json!({"ttlMs": 60_000, "metadata": payload});
            let lease = read(caller.post("/v1/locks/l/acquire", acquire.clone()).await);
            assert_eq!(caller.post("/v1/locks/l/acquire", acquire).await.status, 409);
            assert_eq!(read(caller.get("/v1/locks/l").await)["metadata"], *payload);
            caller.post("/v1/locks/l/release", json!({"token": lease["token"]})).await.ok();
        }
    }
}
