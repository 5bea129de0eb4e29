//! Integers that need more than 53 bits, for clients in JavaScript: values and bounds of counters, and fences.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Caller, TestApp};

/// 2^53 + 1, which a double cannot hold.
const ODD: &str = "9007199254740993";

/// The caller, who asks for strings.
fn asking(caller: &Caller) -> Caller {
    let mut asking = caller.clone();
    asking.headers.insert("payerbase-integers", "string".parse().unwrap());
    asking
}

#[tokio::test]
async fn a_string_of_digits_is_an_integer_in_requests() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let answer = caller.increment("a", json!({"amount": ODD, "min": "-5", "max": "9223372036854775807"})).await.ok();
    assert_eq!((&answer["value"], &answer["min"]), (&json!(9_007_199_254_740_993_i64), &json!(-5)));
    assert_eq!(answer["max"], i64::MAX);
    let answer = caller.post("/v1/counters/a/decrement", json!({"amount": "9007199254740992"})).await.ok();
    assert_eq!(answer["value"], 1);
    let answer = caller.post("/v1/counters/a/reset", json!({"value": "-9223372036854775808"})).await;
    answer.problem(422, "invalid-value");
    let fence = caller.post("/v1/locks/l/acquire", json!({"ttlMs": 60_000})).await.ok()["fence"].to_string();
    let call =
        json!({"method": "increment", "params": {"name": "a", "amount": "2"}, "guard": {"lock": "l", "fence": fence}});
    let results = caller.post("/v1/transaction", json!({"calls": [call]})).await.ok();
    assert_eq!(results["results"][0]["value"], 3);
    for text in ["", "-", "+1", " 1", "1.0", "1e3", "0x1", "--1", "one", "1_000", "\u{662}"] {
        caller.increment("a", json!({"amount": text})).await.problem(400, "invalid-json");
    }
    for text in ["9223372036854775808", "-9223372036854775809", "100000000000000000000"] {
        caller.increment("a", json!({"amount": text})).await.problem(422, "invalid-value");
    }
    assert_eq!(caller.value("a").await, 3);
}

#[tokio::test]
async fn answers_have_strings_of_digits_if_the_client_asks() {
    let app = TestApp::spawn().await;
    let plain = app.caller().await;
    let caller = asking(&plain);
    let answer = caller.increment("a", json!({"amount": ODD, "min": 0})).await.ok();
    for (member, value) in [
        ("value", json!(ODD)),
        ("previousValue", json!("0")),
        ("applied", json!(ODD)),
        ("min", json!("0")),
        ("max", Value::Null),
        ("capped", json!(false)),
    ] {
        assert_eq!(answer[member], value, "{member}");
    }
    assert_eq!(caller.get("/v1/counters/a").await.ok()["value"], ODD);
    assert_eq!(caller.get("/v1/counters").await.ok()["items"][0]["value"], ODD);
    let reset = caller.post("/v1/counters/a/reset", json!({"value": 7})).await.ok();
    assert_eq!((&reset["value"], &reset["previousValue"]), (&json!("7"), &json!(ODD)));
    let lease = caller.post("/v1/locks/l/acquire", json!({"ttlMs": 60_000})).await.ok();
    let fence = lease["fence"].as_str().unwrap().to_owned();
    assert_eq!(caller.get("/v1/locks/l").await.ok()["fence"], fence);
    assert_eq!(caller.get("/v1/locks").await.ok()["items"][0]["fence"], fence);
    let extended = json!({"token": lease["token"], "ttlMs": 60_000});
    assert_eq!(caller.post("/v1/locks/l/extend", extended).await.ok()["fence"], fence);
    // What the caller stores stays as it is, and so do integers that are never large.
    let job = caller.post("/v1/queues/q/jobs", json!({"payload": {"value": 5}, "priority": 1})).await.ok();
    assert_eq!((&job["payload"]["value"], &job["priority"]), (&json!(5), &json!(1)));
    assert_eq!(plain.get("/v1/counters/a").await.ok()["value"], 7, "not asked");
}

#[tokio::test]
async fn transactions_replays_and_problems_have_strings_too() {
    let app = TestApp::spawn().await;
    let plain = app.caller().await;
    let mut caller = asking(&plain);
    let calls = json!({"calls": [
        {"method": "increment", "params": {"name": "a", "amount": ODD}},
        {"method": "pushJob", "params": {"queue": "q", "payload": {"value": 5, "of": {"$ref": "0.value"}}}},
        {"method": "acquireLock", "params": {"name": "l", "ttlMs": 60_000}}]});
    caller.headers.insert("idempotency-key", "the-same-key".parse().unwrap());
    let first = caller.post("/v1/transaction", calls.clone()).await.ok();
    assert_eq!(first["results"][0]["value"], ODD);
    assert_eq!(first["results"][1]["payload"], json!({"value": 5, "of": 9_007_199_254_740_993_i64}));
    assert!(first["results"][2]["fence"].is_string());
    let again = caller.post("/v1/transaction", calls.clone()).await;
    assert_eq!(again.headers["idempotent-replay"], "true");
    assert_eq!(again.ok(), first);
    let mut plain_again = plain.clone();
    plain_again.headers.insert("idempotency-key", "the-same-key".parse().unwrap());
    let numbers = plain_again.post("/v1/transaction", calls).await.ok();
    assert_eq!(numbers["results"][0]["value"], 9_007_199_254_740_993_i64);
    caller.headers.remove("idempotency-key");
    let reject = json!({"name": "a", "max": 5, "onBound": "reject"});
    let problem = caller.post("/v1/transaction", json!({"calls": [{"method": "increment", "params": reject}]})).await;
    let problem = problem.problem(409, "counter-out-of-bounds");
    let expected = [&problem["value"], &problem["max"], &problem["index"], &problem["status"]];
    assert_eq!(expected, [&json!(ODD), &json!("5"), &json!(0), &json!(409)]);
    caller.headers.insert("payerbase-guard", "l; fence=999".parse().unwrap());
    assert_eq!(caller.increment("a", json!({})).await.problem(409, "stale-fence")["fence"], "999");
}

/// A large answer is written in a place of its own.
#[tokio::test]
async fn a_large_page_has_strings() {
    let app = TestApp::spawn().await;
    let caller = asking(&app.caller().await);
    let name = |number: usize| format!("{number:0>250}");
    for first in (0..600).step_by(50) {
        let call = |number| json!({"method": "increment", "params": {"name": name(number)}});
        let calls: Vec<Value> = (first..first + 50).map(call).collect();
        caller.post("/v1/transaction", json!({"calls": calls})).await.ok();
    }
    let page = caller.get("/v1/counters?limit=1000").await;
    assert!(page.text.len() > 200_000, "{}", page.text.len());
    let page = page.ok();
    assert!(page["items"].as_array().unwrap().iter().all(|counter| counter["value"] == "1"));
}

#[tokio::test]
async fn another_value_of_the_header_is_refused() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.headers.insert("payerbase-integers", "number".parse().unwrap());
    assert_eq!(caller.increment("a", json!({})).await.ok()["value"], 1);
    caller.headers.append("payerbase-integers", "string".parse().unwrap());
    caller.increment("a", json!({})).await.problem(400, "invalid-header");
    caller.headers.insert("payerbase-integers", "strings".parse().unwrap());
    let problem = caller.send(Method::GET, "/v1/counters/a", None).await.problem(400, "invalid-header");
    assert_eq!(problem["header"], "payerbase-integers");
    assert_eq!(app.caller().await.get("/v1/counters/a").await.status, 404);
}
