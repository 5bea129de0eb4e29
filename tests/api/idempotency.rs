//! Idempotency keys: requests with the same key and content have one effect and one answer.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use payerbase::auth::Scope;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::support::world::{Operation, operations, owner};
use crate::support::{Answer, Caller, TestApp, TestDatabase, TimedApp};

pub fn with_key(caller: &Caller, key: &str) -> Caller {
    let mut caller = caller.clone();
    caller.headers.insert("idempotency-key", key.parse().unwrap());
    caller
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replay").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn a_hundred_concurrent_calls_with_one_key_run_once() {
    let app = TestApp::spawn().await;
    let caller = with_key(&app.caller().await, "a-hundred-times");
    let calls = (0..100).map(|_| caller.increment("a", json!({"amount": 7})));
    let answers = futures_util::future::join_all(calls).await;
    let first = answers.iter().find(|answer| !is_replay(answer)).unwrap().text.clone();
    assert_eq!(answers.iter().filter(|answer| !is_replay(answer)).count(), 1);
    for answer in answers {
        assert_eq!((answer.status.as_u16(), &answer.text), (200, &first));
    }
    assert_eq!(caller.value("a").await, 7);
}

#[tokio::test]
async fn every_write_can_be_retried_with_its_key() {
    let app = TestApp::spawn().await;
    // A search and a query have bodies but write nothing. The answer with a new token is not kept. `topUp` needs a payment.
    let others = ["searchMemories", "querySql", "createToken", "rotateToken", "topUp"];
    let is_write = |operation: &&Operation| operation.verb != Method::GET && !others.contains(&operation.name.as_str());
    for operation in operations().iter().filter(is_write) {
        for example in operation.examples.iter().map(Some).chain(operation.examples.is_empty().then_some(None)) {
            let (caller, things) = owner(&app).await;
            let caller = with_key(&caller, "every write can be repeated");
            let first = things.call(&caller, operation, example).await;
            let second = things.call(&caller, operation, example).await;
            let what = format!("{}: {first:?} {second:?}", operation.name);
            assert!(first.status.is_success() && !is_replay(&first), "{what}");
            assert!(is_replay(&second), "{what}");
            assert_eq!((first.status, &first.text), (second.status, &second.text), "{what}");
        }
    }
}

#[tokio::test]
async fn a_different_request_with_the_same_key_is_refused() {
    let app = TestApp::spawn().await;
    let payer = app.caller().await;
    let caller = with_key(&payer, "one-request");
    caller.increment("a", json!({"amount": 1})).await.ok();
    caller.increment("a", json!({"amount": 2})).await.problem(422, "idempotency-mismatch");
    caller.increment("b", json!({"amount": 1})).await.problem(422, "idempotency-mismatch");
    caller.post("/v1/counters/a/decrement", json!({"amount": 1})).await.problem(422, "idempotency-mismatch");
    let mut guarded = caller.clone();
    guarded.headers.insert("payerbase-guard", "l; fence=1".parse().unwrap());
    guarded.increment("a", json!({"amount": 1})).await.problem(422, "idempotency-mismatch");
    assert_eq!(caller.value("a").await, 1);
    // The same request with another key or of another payer runs.
    with_key(&payer, "other-request").increment("a", json!({"amount": 1})).await.ok();
    let stranger = with_key(&app.caller().await, "one-request");
    assert_eq!(stranger.increment("a", json!({"amount": 5})).await.ok()["value"], 5);
    assert_eq!(caller.value("a").await, 2);
}

#[tokio::test]
async fn a_call_that_changed_nothing_runs_again_on_retry() {
    let app = TestApp::spawn().await;
    let payer = app.caller().await;
    let caller = with_key(&payer, "try-again");
    let spend = json!({"amount": -5, "min": 0, "onBound": "reject"});
    caller.increment("credits", spend.clone()).await.problem(409, "counter-out-of-bounds");
    payer.increment("credits", json!({"amount": 9})).await.ok();
    let spent = caller.increment("credits", spend.clone()).await;
    assert!(!is_replay(&spent));
    assert_eq!(spent.ok()["value"], 4);
    assert_eq!(caller.increment("credits", spend).await.ok()["value"], 4);
    // The answer of a pop from an empty queue is not stored: a retry pops again.
    let caller = with_key(&payer, "pop-again");
    for path in ["/v1/queues/q/pop", "/v1/queues/q/pop/batch"] {
        let body = if path.ends_with("batch") { json!({"count": 2}) } else { json!({}) };
        let caller = with_key(&caller, path);
        caller.post(path, body.clone()).await.ok();
        payer.post("/v1/queues/q/jobs", json!({"payload": 1})).await.ok();
        let popped = caller.post(path, body.clone()).await;
        assert!(!is_replay(&popped) && popped.text.contains("lease"), "{popped:?}");
        let again = caller.post(path, body).await;
        assert!(is_replay(&again));
        assert_eq!(again.text, popped.text);
    }
}

#[tokio::test]
async fn a_retried_acquire_returns_the_same_lease() {
    let app = TestApp::spawn().await;
    let payer = app.caller().await;
    let caller = with_key(&payer, "acquire-once");
    let first = caller.post("/v1/locks/a/acquire", json!({"ttlMs": 60_000})).await.ok();
    let second = caller.post("/v1/locks/a/acquire", json!({"ttlMs": 60_000})).await.ok();
    assert_eq!(first, second);
    assert_eq!(first["token"].as_str().unwrap().len(), 32);
    payer.post("/v1/locks/a/acquire", json!({"ttlMs": 60_000})).await.problem(409, "lock-held");
    payer.post("/v1/locks/a/release", json!({"token": first["token"]})).await.ok();
    // Another key or another payer gets another token, and the database does not contain the token.
    let others = [with_key(&payer, "acquire-twice"), with_key(&app.caller().await, "acquire-once"), payer.clone()];
    let mut tokens = vec![first["token"].clone()];
    for other in others {
        let lease = other.post("/v1/locks/b/acquire", json!({"ttlMs": 1_000})).await;
        if lease.status.is_success() {
            tokens.push(lease.json()["token"].clone());
        }
    }
    let distinct: std::collections::HashSet<String> = tokens.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), tokens.len());
    let mut admin = app.database.admin().await;
    let stored: Vec<String> = sqlx::query_scalar("select row_to_json(l)::text from tenant.locks l union all select row_to_json(i)::text from tenant.idempotency i")
        .fetch_all(&mut admin).await.unwrap();
    assert!(stored.iter().all(|row| tokens.iter().all(|token| !row.contains(token.as_str().unwrap()))));
    assert!(
        stored.iter().all(|row| !row.contains("acquire-once")),
        "keys are not stored, because tokens are derived from them"
    );
}

/// Another program of the same payer may guess a key, and keys that are made of a payment are known to all.
#[tokio::test]
async fn the_token_of_a_lock_cannot_be_computed_from_the_key() {
    let (one, other) = (TestApp::on(TestDatabase::own().await), TestApp::on(TestDatabase::own().await));
    let payer = one.caller().await;
    let body = json!({"ttlMs": 60_000});
    let lease = with_key(&payer, "job-4711").post("/v1/locks/a/acquire", body.clone()).await.ok();
    let known = format!("payerbase token\n{}\n0\njob-4711", payer.payer);
    let guessed = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(known)[..24]);
    assert_ne!(lease["token"], guessed);
    payer.post("/v1/locks/a/release", json!({"token": guessed})).await.problem(409, "lock-wrong-token");
    // A key that is used again for another lock a day later makes another one.
    let mut admin = one.database.admin().await;
    let later = "update tenant.idempotency set created_at = created_at - interval '25 hours'";
    let other_lock = {
        let replica = with_key(&payer, "job-4712");
        let first = replica.post("/v1/locks/b/acquire", body.clone()).await.ok();
        sqlx::query(later).execute(&mut admin).await.unwrap();
        (first, replica.post("/v1/locks/c/acquire", body.clone()).await.ok())
    };
    assert_ne!(other_lock.0["token"], other_lock.1["token"]);
    // Another server of the database makes the same one, that of another database does not.
    let replica = TestApp::on(one.database.clone());
    let again = Caller { url: replica.url.clone(), ..with_key(&payer, "job-4711") };
    assert_eq!(again.post("/v1/locks/a/acquire", body.clone()).await.ok(), lease);
    let token = other.token(&payer.payer, &[Scope::Everything], Duration::from_secs(600)).await;
    let elsewhere = Caller { url: other.url.clone(), token: Some(token), ..with_key(&payer, "job-4711") };
    assert_ne!(elsewhere.post("/v1/locks/a/acquire", body).await.ok()["token"], lease["token"]);
}

#[tokio::test]
async fn retries_after_a_cut_connection_take_effect_once() {
    let app = TestApp::spawn().await;
    let caller = with_key(&app.caller().await, "the-cut-connection");
    let body = r#"{"amount":3}"#;
    let token = caller.token.as_ref().unwrap().expose_secret().to_owned();
    let request = format!(
        "POST /v1/counters/a/increment HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nidempotency-key: the-cut-connection\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..20 {
        let mut socket = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        drop(socket);
    }
    let answer = caller.send(Method::POST, "/v1/counters/a/increment", Some(("application/json", body.into()))).await;
    assert_eq!(answer.ok()["value"], 3);
    assert_eq!(caller.value("a").await, 3);
}

#[tokio::test]
async fn keys_have_8_to_128_characters_and_reads_ignore_them() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for bad in ["", "1234567", &"x".repeat(129)] {
        let problem = with_key(&caller, bad).increment("a", json!({})).await.problem(400, "invalid-header");
        assert_eq!(problem["header"], "idempotency-key");
    }
    let mut twice = with_key(&caller, "12345678");
    twice.headers.append("idempotency-key", "87654321".parse().unwrap());
    twice.increment("a", json!({})).await.problem(400, "invalid-header");
    for good in ["12345678", &"x".repeat(128), "\"quoted key\""] {
        with_key(&caller, good).increment("a", json!({})).await.ok();
    }
    let read = with_key(&caller, "a-key-for-a-read").get("/v1/counters/a").await;
    assert!(!is_replay(&read));
    assert_eq!(read.ok()["value"], 3);
}

/// The size of the large answers that are kept for a payer.
async fn kept_bytes(app: &TestApp, caller: &Caller) -> i64 {
    let bytes =
        sqlx::query_scalar("select bytes from tenant.kept_answers where payer = $1").bind(caller.payer.as_str());
    bytes.fetch_optional(&mut app.database.admin().await).await.unwrap().unwrap_or_default()
}

#[tokio::test]
async fn large_answers_that_are_kept_are_bounded_per_payer() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let path = "/v1/memories/long";
    caller.send_json(Method::PUT, path, json!({"content": "x".repeat(20_000)})).await.ok();
    let tag = async |key: &str, tag: &str| {
        with_key(&caller, key).send_json(Method::PATCH, path, json!({"tags": [tag]})).await
    };
    tag("the first tag", "a").await.ok();
    let kept = kept_bytes(&app, &caller).await;
    assert!((20_000..21_000).contains(&kept), "{kept}");

    let mut admin = app.database.admin().await;
    let fill = "update tenant.kept_answers set bytes = bytes + 268435456 where payer = $1";
    sqlx::query(fill).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    tag("the second tag", "b").await.problem(503, "overloaded");
    assert!(is_replay(&tag("the first tag", "a").await), "what is kept is still answered");
    with_key(&caller, "a small answer").increment("a", json!({})).await.ok();
    caller.send_json(Method::PATCH, path, json!({"tags": ["b"]})).await.ok();

    let age = "update tenant.idempotency set created_at = created_at - interval '25 hours' where payer = $1";
    sqlx::query(age).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    app.until(async || kept_bytes(&app, &caller).await == 268_435_456).await;
}

/// A worker that sends a key with every call fills no store of answers: jobs keep their payloads themselves.
#[tokio::test]
async fn answers_about_jobs_are_kept_without_their_payloads() {
    let timed = TimedApp::spawn().await;
    let (app, caller) = (&timed.app, timed.app.caller().await);
    for _ in 0..3 {
        caller.post("/v1/queues/q/jobs", json!({"payload": "x".repeat(100_000)})).await.ok();
    }
    let pop = async || with_key(&caller, "pop of one job").post("/v1/queues/q/pop", json!({})).await;
    let batch = json!({"count": 10, "leaseMs": 3_600_000});
    let pop_rest = async || with_key(&caller, "pop of the rest").post("/v1/queues/q/pop/batch", batch.clone()).await;
    let (job, rest) = (pop().await.ok(), pop_rest().await.ok());
    let again = pop().await;
    assert!(is_replay(&again));
    assert_eq!(again.ok(), job, "with its payload");
    assert_eq!(pop_rest().await.ok(), rest);

    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let done = json!({"lease": job["lease"], "result": "y".repeat(100_000)});
    let complete = async || with_key(&caller, "complete that").post(&format!("{path}/complete"), done.clone()).await;
    let completed = complete().await.ok();
    let again = complete().await;
    assert!(is_replay(&again));
    assert_eq!(again.ok(), completed, "with its payload and its result");
    let of_rest = &rest["jobs"][0];
    let extend_path = format!("/v1/jobs/{}/extend", of_rest["id"].as_str().unwrap());
    let longer = json!({"lease": of_rest["lease"], "leaseMs": 7_200_000});
    let extend = async || with_key(&caller, "extend that").post(&extend_path, longer.clone()).await;
    let extended = extend().await.ok();
    assert_eq!(extend().await.ok(), extended);
    assert_eq!(kept_bytes(app, &caller).await, 0);

    let again = pop().await;
    assert_eq!((again.status.as_u16(), is_replay(&again)), (204, true), "its lease has ended with it");
    timed.clock.pass(&caller, Duration::from_mins(61)).await.unwrap();
    let again = pop_rest().await;
    assert!(is_replay(&again));
    let left: Vec<Value> = again.ok()["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect();
    assert_eq!(left, [of_rest["id"].clone()], "only the extended lease lasts");

    let of_rest_path = format!("/v1/jobs/{}", of_rest["id"].as_str().unwrap());
    let later = json!({"lease": of_rest["lease"], "result": "later"});
    caller.post(&format!("{of_rest_path}/complete"), later).await.ok();
    assert_eq!(extend().await.ok(), extended, "without the result that came later");

    let mut admin = app.database.admin().await;
    let delete = sqlx::query("delete from tenant.jobs where payer = $1").bind(caller.payer.as_str());
    delete.execute(&mut admin).await.unwrap();
    let again = complete().await;
    assert!(is_replay(&again));
    let again = again.ok();
    assert_eq!((&again["payload"], &again["result"], &again["id"]), (&Value::Null, &Value::Null, &job["id"]));
}

/// A pop is repeated at once, although it could wait.
#[tokio::test]
async fn a_repeated_pop_whose_lease_has_ended_does_not_wait() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.post("/v1/queues/q/jobs", json!({"payload": 1})).await.ok();
    let pop = async || with_key(&caller, "a waiting pop").post("/v1/queues/q/pop", json!({"waitMs": 30_000})).await;
    let job = pop().await.ok();
    caller.post(&format!("/v1/jobs/{}/complete", job["id"].as_str().unwrap()), json!({})).await.ok();
    let again = pop().await;
    assert_eq!((again.status.as_u16(), is_replay(&again)), (204, true));
}
