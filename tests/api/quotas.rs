//! Quotas: how much a payer may have of each primitive.

use std::time::Duration;

use payerbase::quotas::Quotas;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::raw::hang_up;
use crate::support::{Answer, Caller, TestApp, TestDatabase};

const HOUR: Duration = Duration::from_hours(1);

/// A server on a database of its own, so that it sweeps with its own quotas. It notes each write at once.
async fn app(rows: Option<i64>, bytes: Option<i64>) -> TestApp {
    on(&TestDatabase::own().await, Quotas { rows, bytes }, Duration::ZERO)
}

fn on(database: &TestDatabase, quotas: Quotas, written_interval: Duration) -> TestApp {
    TestApp::set(database.clone(), |settings| {
        settings.calls.quotas = quotas;
        settings.sweep.written_interval = written_interval;
    })
}

/// What the account says about a primitive.
async fn quota(caller: &Caller, primitive: &str) -> Value {
    caller.get("/v1/me").await.ok()["quotas"][primitive].clone()
}

/// Waits until a primitive is full, or is no longer.
async fn until_full(app: &TestApp, caller: &Caller, primitive: &str, is_full: bool) {
    app.until(async || quota(caller, primitive).await["isFull"] == is_full).await;
}

/// The call is refused because the payer has as many rows as it may have.
#[track_caller]
fn refused(answer: Answer, primitive: &str, limit: i64) {
    let problem = answer.problem(403, "quota-exceeded");
    assert_eq!(problem["limit"], limit, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(primitive), "{problem}");
}

async fn put_memory(caller: &Caller, id: &str, content: &str) -> Answer {
    caller.send_json(Method::PUT, &format!("/v1/memories/{id}"), json!({ "content": content })).await
}

async fn patch(caller: &Caller, path: &str, body: Value) -> Answer {
    caller.send_json(Method::PATCH, path, body).await
}

async fn acquire(caller: &Caller, name: &str) -> Answer {
    caller.post(&format!("/v1/locks/{name}/acquire"), json!({"ttlMs": 60_000})).await
}

async fn push(caller: &Caller, job: Value) -> Answer {
    caller.post("/v1/queues/q/jobs", job).await
}

#[tokio::test]
async fn a_payer_with_all_its_counters_changes_them_and_makes_no_new_one() {
    let app = app(Some(3), None).await;
    let (caller, other) = (app.caller().await, app.caller().await);
    for name in ["a", "b", "c"] {
        caller.increment(name, json!({})).await.ok();
    }
    until_full(&app, &caller, "counters", true).await;
    refused(caller.increment("d", json!({})).await, "counters", 3);
    refused(caller.post("/v1/counters/d/decrement", json!({})).await, "counters", 3);
    refused(caller.post("/v1/counters/d/reset", json!({})).await, "counters", 3);
    assert_eq!(caller.increment("a", json!({"max": 10})).await.ok()["value"], 2);
    caller.post("/v1/counters/b/reset", json!({})).await.ok();
    // Other primitives, and other payers, are not affected.
    push(&caller, json!({"payload": 1})).await.ok();
    other.increment("d", json!({})).await.ok();

    let calls = ["a", "d"].map(|name| json!({"method": "increment", "params": {"name": name}}));
    let problem = caller.post("/v1/transaction", json!({ "calls": calls })).await.problem(403, "quota-exceeded");
    assert_eq!((&problem["index"], &problem["method"]), (&json!(1), &json!("increment")));
    assert_eq!(caller.value("a").await, 2, "a transaction is refused as a whole");

    caller.delete("/v1/counters/b").await.ok();
    until_full(&app, &caller, "counters", false).await;
    caller.increment("d", json!({})).await.ok();
}

#[tokio::test]
async fn a_payer_with_all_its_links_follows_and_shortens_them() {
    let app = app(Some(3), None).await;
    let caller = app.caller().await;
    let link = json!({"url": "https://shop.example/sale"});
    let mut paths = Vec::new();
    for _ in 0..3 {
        let slug = caller.post("/v1/links", link.clone()).await.ok()["slug"].as_str().unwrap().to_owned();
        paths.push(format!("/v1/links/{slug}"));
    }
    until_full(&app, &caller, "links", true).await;
    refused(caller.post("/v1/links", link.clone()).await, "links", 3);
    refused(patch(&caller, &paths[0], json!({"title": "Sale"})).await, "links", 3);
    patch(&caller, &paths[0], json!({"url": "https://shop.example/a", "maxClicks": 9})).await.ok();
    // Clicks have a quota of their own. When it is used up, they are counted, and visitors are redirected.
    for _ in 0..3 {
        caller.post(&format!("{}/clicks", paths[0]), json!({})).await.ok();
    }
    until_full(&app, &caller, "clicks", true).await;
    assert_eq!(caller.post(&format!("{}/clicks", paths[0]), json!({})).await.ok()["clicks"], 4);
    let visit = caller.get(&paths[0].replace("/v1/links", "/l")).await;
    assert_eq!((visit.status.as_u16(), &visit.headers["location"]), (302, &"https://shop.example/a".parse().unwrap()));
    let stats = caller.get(&format!("{}/stats", paths[0])).await.ok();
    assert_eq!(stats["recentClicks"].as_array().unwrap().len(), 3, "{stats}");

    caller.delete(&paths[1]).await.ok();
    until_full(&app, &caller, "links", false).await;
    caller.post("/v1/links", link).await.ok();
}

#[tokio::test]
async fn a_payer_with_all_its_locks_acquires_only_them() {
    let app = app(Some(2), None).await;
    let caller = app.caller().await;
    let token = acquire(&caller, "a").await.ok()["token"].clone();
    acquire(&caller, "b").await.ok();
    until_full(&app, &caller, "locks", true).await;
    refused(acquire(&caller, "c").await, "locks", 2);
    caller.post("/v1/locks/a/release", json!({ "token": token })).await.ok();
    acquire(&caller, "a").await.ok();
    // The sweeper deletes a lock that is past its retention.
    let past = "update tenant.locks set expires_at = now() - interval '2 hours' where payer = $1 and name = 'b'";
    sqlx::query(past).bind(caller.payer.as_str()).execute(&mut app.database.admin().await).await.unwrap();
    until_full(&app, &caller, "locks", false).await;
    acquire(&caller, "c").await.ok();
}

#[tokio::test]
async fn a_payer_with_all_its_jobs_works_them_off() {
    let app = app(Some(3), None).await;
    let caller = app.caller().await;
    let keyed = push(&caller, json!({"payload": 1, "dedupKey": "k", "delayMs": 600_000})).await.ok();
    push(&caller, json!({"payload": 2})).await.ok();
    let last = push(&caller, json!({"payload": 3})).await.ok();
    until_full(&app, &caller, "jobs", true).await;
    refused(push(&caller, json!({"payload": 4})).await, "jobs", 3);
    refused(caller.post("/v1/queues/new/jobs", json!({"payload": 4})).await, "jobs", 3);
    refused(push(&caller, json!({"payload": 4, "group": "g"})).await, "jobs", 3);
    refused(caller.post("/v1/queues/q/jobs/batch", json!({"jobs": [{"payload": 4}]})).await, "jobs", 3);
    // An unfinished job with the key is found: none is added.
    let found = push(&caller, json!({"payload": 4, "dedupKey": "k"})).await.ok();
    assert_eq!((&found["id"], &found["deduplicated"]), (&keyed["id"], &json!(true)));
    let popped = caller.post("/v1/queues/q/pop", json!({})).await.ok();
    let complete = format!("/v1/jobs/{}/complete", popped["id"].as_str().unwrap());
    let large = "x".repeat(8_000);
    refused(caller.post(&complete, json!({ "result": large })).await, "jobs", 3);
    assert_eq!(caller.post(&complete, json!({"result": "done"})).await.ok()["status"], "completed");
    caller.delete(&format!("/v1/jobs/{}", last["id"].as_str().unwrap())).await.ok();
    until_full(&app, &caller, "jobs", false).await;
    push(&caller, json!({"payload": 4})).await.ok();
}

#[tokio::test]
async fn a_payer_with_all_its_memories_makes_none_larger() {
    let app = app(Some(3), None).await;
    let caller = app.caller().await;
    for id in ["a", "b", "c"] {
        put_memory(&caller, id, "tea with milk").await.ok();
    }
    until_full(&app, &caller, "memories", true).await;
    refused(put_memory(&caller, "d", "tea").await, "memories", 3);
    refused(put_memory(&caller, "a", "tea with milk and honey").await, "memories", 3);
    refused(patch(&caller, "/v1/memories/a", json!({"content": "tea with milk and honey"})).await, "memories", 3);
    refused(patch(&caller, "/v1/memories/a", json!({"embedding": [1.0, 0.5]})).await, "memories", 3);
    let batch = json!({"memories": [{"id": "a", "content": "tea"}, {"id": "d", "content": "tea"}]});
    refused(caller.post("/v1/memories/batch", batch).await, "memories", 3);
    assert_eq!(caller.get("/v1/memories/a").await.ok()["content"], "tea with milk");
    put_memory(&caller, "a", "milk with tea").await.ok();
    patch(&caller, "/v1/memories/b", json!({"importance": 0.9, "content": "tea"})).await.ok();
    caller.delete("/v1/memories/c").await.ok();
    until_full(&app, &caller, "memories", false).await;
    put_memory(&caller, "d", "tea").await.ok();
}

#[tokio::test]
async fn bytes_have_a_quota_too() {
    let app = app(None, Some(20_000)).await;
    let caller = app.caller().await;
    // Text that PostgreSQL cannot compress to less than a quarter.
    let random = || (0..8_000).map(|_| rand::random_range('a'..='z')).collect::<String>();
    for id in ["a", "b", "c"] {
        put_memory(&caller, id, &random()).await.ok();
    }
    until_full(&app, &caller, "memories", true).await;
    refused(put_memory(&caller, "d", "tea").await, "memories", 20_000);
    let measured = quota(&caller, "memories").await;
    assert_eq!((&measured["rowsMax"], &measured["bytesMax"]), (&json!(null), &json!(20_000)));
    assert!(measured["bytes"].as_i64().unwrap() >= 20_000, "{measured}");
    for id in ["a", "b"] {
        caller.delete(&format!("/v1/memories/{id}")).await.ok();
    }
    until_full(&app, &caller, "memories", false).await;
    put_memory(&caller, "d", "tea").await.ok();
}

#[tokio::test]
async fn an_account_shows_what_was_measured_and_what_it_may_have() {
    let app = app(Some(1_000), Some(1_000_000)).await;
    let caller = app.caller().await;
    let unmeasured = json!({
        "rows": null, "bytes": null, "rowsMax": 1_000, "bytesMax": 1_000_000, "measuredAt": null, "isFull": false,
    });
    let primitives = ["clicks", "counters", "jobs", "links", "locks", "memories"];
    let quotas = caller.get("/v1/me").await.ok()["quotas"].clone();
    assert_eq!(quotas, primitives.iter().map(|name| ((*name).to_owned(), unmeasured.clone())).collect::<Value>());
    for name in ["a", "b"] {
        caller.increment(name, json!({})).await.ok();
    }
    // The first write is measured soon. A few more are not, until a day has passed.
    app.until(async || !quota(&caller, "counters").await["measuredAt"].is_null()).await;
    let day = "update tenant.usage set measured_at = measured_at - interval '1 day' where payer = $1";
    let mut admin = app.database.admin().await;
    caller.increment("c", json!({})).await.ok();
    app.until(async || {
        sqlx::query(day).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
        quota(&caller, "counters").await["rows"] == 3
    })
    .await;
    assert_eq!(quota(&caller, "counters").await["bytes"], 3 * (100 + 2));
    assert_eq!(quota(&caller, "jobs").await, unmeasured);
}

/// As after a server was killed: nobody has noted what it had written.
#[tokio::test]
async fn writes_that_no_server_has_noted_are_measured_with_the_next_ones() {
    let database = TestDatabase::own().await;
    let quotas = Quotas { rows: Some(1_000), bytes: None };
    let (forgetful, app) = (on(&database, quotas, HOUR), on(&database, quotas, Duration::ZERO));
    let caller = forgetful.caller().await;
    let there = Caller { url: app.url.clone(), ..caller.clone() };
    for name in ["a", "b", "c", "d"] {
        caller.increment(name, json!({})).await.ok();
    }
    let mut admin = database.admin().await;
    let noted: i64 = sqlx::query_scalar("select count(*) from tenant.usage").fetch_one(&mut admin).await.unwrap();
    assert_eq!(noted, 0, "the first server notes small writes once in an hour");
    there.increment("e", json!({})).await.ok();
    app.until(async || quota(&there, "counters").await["rows"] == 5).await;
}

/// Only one of them measures.
#[tokio::test]
async fn all_servers_refuse() {
    let database = TestDatabase::own().await;
    let quotas = Quotas { rows: Some(3), bytes: None };
    let servers = [on(&database, quotas, Duration::ZERO), on(&database, quotas, Duration::ZERO)];
    let caller = servers[0].caller().await;
    for _ in 0..3 {
        push(&caller, json!({"payload": 1})).await.ok();
    }
    until_full(&servers[0], &caller, "jobs", true).await;
    // A server that starts later knows it too.
    for server in servers.iter().chain([&on(&database, quotas, HOUR)]) {
        let there = Caller { url: server.url.clone(), ..caller.clone() };
        server.until(async || push(&there, json!({"payload": 1})).await.status == 403).await;
    }
}

#[tokio::test]
async fn calls_count_although_their_callers_hang_up() {
    let database = TestDatabase::own().await;
    let app = on(&database, Quotas::default(), HOUR);
    let caller = app.caller().await;
    let mut admin = database.admin().await;
    let mut pushed =
        async || -> i64 { sqlx::query_scalar("select count(*) from tenant.jobs").fetch_one(&mut admin).await.unwrap() };
    // A call whose caller hangs up before its turn pushes no job.
    app.until(async || {
        let rude = caller.clone();
        let calls = move || (0..60).for_each(|_| hang_up(&rude, "/v1/queues/q/jobs", r#"{"payload":1}"#));
        tokio::task::spawn_blocking(calls).await.unwrap();
        pushed().await > 0
    })
    .await;
    app.stop().await;
    let jobs = pushed().await;
    let noted: i64 = sqlx::query_scalar("select writes from tenant.usage").fetch_one(&mut admin).await.unwrap();
    assert!(jobs <= noted, "{jobs} jobs were pushed, and {noted} counted");
}

#[tokio::test]
async fn a_server_that_stops_notes_what_it_has_written() {
    let database = TestDatabase::own().await;
    let app = on(&database, Quotas::default(), HOUR);
    let caller = app.caller().await;
    let calls = ["a", "b"].map(|name| json!({"method": "increment", "params": {"name": name}}));
    caller.post("/v1/transaction", json!({ "calls": calls })).await.ok();
    push(&caller, json!({"payload": 1})).await.ok();
    push(&caller, json!({"payload": "x", "maxAttempts": 0})).await.problem(422, "invalid-value");
    app.stop().await;
    let noted: Vec<(String, String, i64)> =
        sqlx::query_as("select payer, primitive::text, writes from tenant.usage order by primitive")
            .fetch_all(&mut database.admin().await)
            .await
            .unwrap();
    let payer = caller.payer.as_str().to_owned();
    assert_eq!(noted, [(payer.clone(), "counters".to_owned(), 2), (payer, "jobs".to_owned(), 1)]);
}

#[tokio::test]
async fn a_quota_that_the_operator_raises_or_removes_is_no_longer_used_up() {
    let database = TestDatabase::own().await;
    let quotas = |rows| Quotas { rows, bytes: None };
    let mut app = on(&database, quotas(Some(2)), Duration::ZERO);
    let mut caller = app.caller().await;
    for name in ["a", "b"] {
        caller.increment(name, json!({})).await.ok();
    }
    until_full(&app, &caller, "counters", true).await;
    for (rows, name) in [(Some(3), "c"), (None, "d")] {
        app.stop().await;
        app = on(&database, quotas(rows), Duration::ZERO);
        caller.url.clone_from(&app.url);
        until_full(&app, &caller, "counters", false).await;
        caller.increment(name, json!({})).await.ok();
    }
    // A lower one is used up without a further write.
    app.stop().await;
    let app = on(&database, quotas(Some(2)), Duration::ZERO);
    caller.url.clone_from(&app.url);
    until_full(&app, &caller, "counters", true).await;
    refused(caller.increment("e", json!({})).await, "counters", 2);
}
