//! Counters, links, locks, jobs, queues and memories as tables of SQL.

use std::time::Duration;

use payerbase::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp};

async fn query(caller: &Caller, sql: &str) -> Answer {
    caller.post("/v1/sql/query", json!({ "sql": sql })).await
}

async fn rows(caller: &Caller, sql: &str) -> Value {
    query(caller, sql).await.ok()["rows"].clone()
}

async fn execute(caller: &Caller, sql: &str) -> Answer {
    caller.post("/v1/sql/execute", json!({ "sql": sql })).await
}

const TABLES: [&str; 6] = ["pb_counters", "pb_links", "pb_locks", "pb_jobs", "pb_queues", "pb_memories"];

#[tokio::test]
async fn primitives_are_tables() {
    let app = TestApp::spawn().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    for table in TABLES {
        assert_eq!(rows(&caller, &format!("select count(*) from {table}")).await, json!([[0]]), "{table}");
    }
    let counter = caller.increment("visits", json!({"amount": 9_007_199_254_740_991_i64, "min": -5})).await.ok();
    let link = caller.post("/v1/links", json!({"url": "https://example.com/", "title": "Grüße"})).await.ok();
    let lock = caller.post("/v1/locks/door/acquire", json!({"ttlMs": 60_000, "metadata": {"by": "Ada"}})).await.ok();
    let payload = json!({"order": 7, "text": "a"});
    let job = caller.post("/v1/queues/mail/jobs", json!({"payload": payload, "priority": 3, "group": "g"})).await.ok();
    let popped = caller.post("/v1/queues/mail/pop", json!({})).await.ok();
    let memory = json!({"content": "Likes tea.", "tags": ["x", "y"], "importance": 0.5});
    let memory = caller.send_json(Method::PUT, "/v1/memories/m", memory).await.ok();
    assert_eq!(
        rows(&caller, "select name, value, min, max, substr(created_at, 1, 19) from pb_counters").await,
        json!([["visits", 9_007_199_254_740_991_i64, -5, null, &counter["createdAt"].as_str().unwrap()[..19]]])
    );
    assert_eq!(
        rows(&caller, "select slug, url, title, clicks, expires_at from PB_Links").await,
        json!([[link["slug"], "https://example.com/", "Grüße", 0, null]])
    );
    assert_eq!(
        rows(&caller, "select name, fence, metadata ->> 'by', expires_at > acquired_at from pb_locks").await,
        json!([["door", lock["fence"], "Ada", 1]])
    );
    assert_eq!(
        rows(&caller, "select id, payload ->> 'order', priority, status, attempts, \"group\" from pb_jobs").await,
        json!([[job["id"], 7, 3, "running", 1, "g"]])
    );
    assert_eq!(rows(&caller, "select queue, running, total from pb_queues").await, json!([["mail", 1, 1]]));
    assert_eq!(
        rows(&caller, "select id, content, json_array_length(tags), importance, has_embedding from pb_memories").await,
        json!([["m", "Likes tea.", 2, 0.5, 0]])
    );
    let created = rows(&caller, "select created_at, julianday(created_at) > 2460000 from pb_memories").await;
    assert!(created[0][0].as_str().unwrap().starts_with(&memory["createdAt"].as_str().unwrap()[..19]), "{created}");
    assert_eq!(created[0][1], 1);
    for table in TABLES {
        let all = query(&caller, &format!("select * from {table}")).await;
        for secret in [&lock["token"], &lock["lease"], &popped["lease"], &popped["job"]["lease"]] {
            assert!(secret.as_str().is_none_or(|secret| !all.text.contains(secret)), "{table}: {}", all.text);
        }
        assert_eq!(
            rows(&other, &format!("select count(*) from {table}")).await,
            json!([[0]]),
            "{table} of another payer"
        );
    }
    assert!(lock["token"].is_string() || lock["lease"].is_string(), "{lock}");
}

#[tokio::test]
async fn jobs_are_joined_with_own_rows() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    execute(&caller, "create table orders (id integer primary key, customer text)").await.ok();
    execute(
        &caller,
        "create view open as select o.customer, j.status from orders o join pb_jobs j on j.payload ->> 'order' = o.id",
    )
    .await
    .ok();
    let order = |customer: &str| {
        json!({"calls": [
            {"method": "executeSql", "as": "order",
                "params": {"sql": "insert into orders (customer) values (?) returning id", "params": [customer]}},
            {"method": "pushJob", "params": {"queue": "mail", "payload": {"order": {"$ref": "order.rows.0.0"}}}}
        ]})
    };
    caller.post("/v1/transaction", order("Ada")).await.ok();
    assert_eq!(rows(&caller, "select * from open").await, json!([["Ada", "pending"]]));
    // A statement that writes can read them, too.
    let copied = execute(&caller, "insert into orders (customer) select 'copy of ' || customer from open").await.ok();
    assert_eq!(copied["rowsAffected"], 1);
    // A job and its order are seen together, or neither.
    let writer = caller.clone();
    let writing = tokio::spawn(async move {
        for number in 0..30 {
            writer.post("/v1/transaction", order(&format!("c{number}"))).await.ok();
        }
    });
    let apart = "select (select count(*) from orders where customer not like 'copy%') - (select count(*) from pb_jobs), \
        (select count(*) from pb_jobs) - (select coalesce(sum(total), 0) from pb_queues)";
    while !writing.is_finished() {
        let answer = query(&caller, apart).await;
        if answer.status.as_u16() == 200 {
            assert_eq!(answer.ok()["rows"], json!([[0, 0]]));
        } else {
            answer.problem(503, "database-busy");
        }
    }
    writing.await.unwrap();
    assert_eq!(rows(&caller, "select count(*) from pb_jobs").await, json!([[31]]));
}

/// Also by different statements of a call.
#[tokio::test]
async fn a_call_sees_one_moment() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let writer = caller.clone();
    let writing = tokio::spawn(async move {
        for _ in 0..60 {
            let calls = json!({"calls": [
                {"method": "increment", "params": {"name": "pushed"}},
                {"method": "pushJob", "params": {"queue": "mail", "payload": 1}}]});
            writer.post("/v1/transaction", calls).await.ok();
        }
    });
    // Each statement names another one.
    let statements = TABLES.map(|table| json!({"sql": format!("select count(*) from {table}")}));
    caller.post("/v1/sql/batch", json!({ "statements": statements })).await.ok();
    let both = json!({"statements": [
        {"sql": "select coalesce(sum(value), 0) from pb_counters"}, {"sql": "select count(*) from pb_jobs"}]});
    while !writing.is_finished() {
        let read = caller.post("/v1/sql/batch", both.clone()).await.ok();
        assert_eq!(read["results"][0]["rows"], read["results"][1]["rows"]);
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn they_can_only_be_read() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for sql in [
        "insert into pb_counters (name, value) values ('a', 1)",
        "update pb_counters set value = 1",
        "delete from pb_jobs",
        "drop table pb_jobs",
        "alter table pb_jobs add column a",
        "create index i on pb_jobs (id)",
        "create table pb_counters (a)",
        "create view pb_jobs as select 1",
    ] {
        let refused = execute(&caller, sql).await;
        assert_eq!(refused.status.as_u16(), 422, "{sql}: {}", refused.text);
    }
    execute(&caller, "insert into pb_counters (name) values ('a')").await.problem(422, "sql-not-allowed");
    assert_eq!(rows(&caller, "select count(*) from pb_counters").await, json!([[0]]));
    query(&caller, "select * from pb_tokens").await.problem(422, "sql-error");
    query(&caller, "select secret from pb_locks").await.problem(422, "sql-error");
}

#[tokio::test]
async fn a_table_needs_the_scope_of_its_primitive() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("a", json!({})).await.ok();
    let payer = caller.payer.clone();
    let mut narrow = caller.clone();
    narrow.token = Some(app.token(&payer, &[Scope::SqlRead, Scope::CountersRead], Duration::from_hours(1)).await);
    assert_eq!(rows(&narrow, "select name from pb_counters").await, json!([["a"]]));
    for (table, scope) in [
        ("pb_links", "links:read"),
        ("pb_locks", "locks:read"),
        ("pb_jobs", "queues:read"),
        ("pb_queues", "queues:read"),
        ("pb_memories", "memories:read"),
    ] {
        let refused = query(&narrow, &format!("select count(*) from {table}")).await.problem(403, "missing-scope");
        assert_eq!(refused["scope"], scope);
        // It is not read, so there is nothing to refuse.
        query(&narrow, &format!("explain query plan select * from {table}")).await.ok();
    }
    // Nor by a view that another token has made.
    execute(&caller, "create view v as select id from pb_jobs").await.ok();
    query(&narrow, "select count(*) from v").await.problem(403, "missing-scope");
    let limited = json!({"name": "limited", "scopes": ["sql:read", "counters:read"], "methods": ["querySql"]});
    let limited = caller.post("/v1/tokens", limited).await;
    let mut narrow = caller.clone();
    narrow.token = Some(limited.json()["token"].as_str().unwrap().into());
    query(&narrow, "select 1").await.ok();
    query(&narrow, "select name from pb_counters").await.problem(403, "token-limited");
}

#[tokio::test]
async fn a_kept_answer_is_not_for_callers_with_fewer_rights() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("secret", json!({})).await.ok();
    execute(&caller, "create table names (name)").await.ok();
    let mut narrow = caller.clone();
    let scopes = [Scope::SqlRead, Scope::SqlWrite];
    narrow.token = Some(app.token(&caller.payer, &scopes, Duration::from_hours(1)).await);
    let once = |caller: &Caller, key: &'static str| {
        let mut caller = caller.clone();
        caller.headers.insert("idempotency-key", key.parse().unwrap());
        caller
    };
    let copy = "insert into names select name from pb_counters returning name";
    assert_eq!(execute(&once(&caller, "copy-once"), copy).await.ok()["rows"], json!([["secret"]]));
    let refused = execute(&once(&narrow, "copy-once"), copy).await.problem(422, "idempotency-mismatch");
    assert!(!refused.to_string().contains("secret"), "{refused}");
    execute(&once(&caller, "copy-once"), copy).await.ok();
    // Its own answers are repeated.
    let own = "insert into names values ('own') returning name";
    for _ in 0..2 {
        assert_eq!(execute(&once(&narrow, "own-once"), own).await.ok()["rows"], json!([["own"]]));
    }
}

#[tokio::test]
async fn a_grant_is_not_for_them() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    owner.increment("a", json!({})).await.ok();
    let wish = json!({"grantee": agent.payer.as_str(), "scopes": ["sql:read", "counters:read"]});
    let made = owner.post("/v1/grants", wish).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text);
    let mut acting = agent.clone();
    acting.headers.insert("payerbase-act-for", owner.payer.as_str().parse().unwrap());
    query(&acting, "select 1").await.ok();
    query(&acting, "select name from pb_counters").await.problem(403, "not-granted");
    assert_eq!(rows(&agent, "select count(*) from pb_counters").await, json!([[0]]), "the agent's own");
}

#[tokio::test]
async fn they_have_a_limit() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let payload = json!({"text": "x".repeat(60_000)});
    let jobs: Vec<Value> = (0..15).map(|_| json!({ "payload": payload })).collect();
    for _ in 0..5 {
        caller.post("/v1/queues/large/jobs/batch", json!({ "jobs": jobs })).await.ok();
    }
    let refused = query(&caller, "select count(*) from pb_jobs").await.problem(422, "sql-too-large");
    assert!(refused["detail"].as_str().unwrap().contains("10000 rows"), "{refused}");
    assert_eq!(rows(&caller, "select total from pb_queues").await, json!([[75]]));
}
