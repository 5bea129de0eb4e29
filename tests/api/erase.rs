//! The erasure of the data of a payer.

use std::collections::BTreeMap;
use std::time::Duration;

use payerbase::auth::Scope;
use serde_json::{Value, json};
use sqlx::{Executor as _, PgConnection};

use crate::support::raw::hang_up;
use crate::support::world::{Things, owner};
use crate::support::{Answer, Caller, TestApp, TestDatabase};

const ROWS: u64 = 1_000;

/// What stays of a payer, each with its reason.
const KEPT: &[(&str, &str)] = &[
    ("auth.allowances", "tokens stay"),
    ("auth.audit", "the log of the account stays"),
    ("auth.tokens", "tokens stay"),
    ("slug.slugs", "the sweeper frees them"),
    ("tenant.credit", "book-keeping"),
    ("tenant.fences", "no fence comes back"),
    ("tenant.idempotency", "without its answers, so that no write runs twice"),
    ("tenant.ledger", "book-keeping"),
    ("tenant.payments", "book-keeping"),
];

/// 2,500 rows of each kind, as calls leave them, but faster.
const MANY_ROWS: &str = "
    insert into tenant.counters (payer, name, value, created_at, updated_at)
      select $1, 'c' || n, n, now(), now() from generate_series(1, 2500) n;
    insert into tenant.locks (payer, name, fence, token_sha256, acquired_at, expires_at)
      select $1, 'l' || n, n, sha256('a'), now(), now() + interval '1 hour' from generate_series(1, 2500) n;
    insert into tenant.queues (payer, queue, last_place, ranks, heads, has_more_ranks, due_at)
      select $1, 'q' || n, 2500, '{-1}', '{0}', false, now() + interval '1 hour' from generate_series(1, 2) n;
    insert into tenant.jobs (payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at,
        errors, created_at, updated_at)
      select $1, gen_random_uuid(), 'q' || 1 + n % 2, 'pending', -1, n, '{}', 0, 3, 1000, now(), '[]', now(), now()
        from generate_series(1, 2500) n;
    insert into tenant.links (payer, slug, id, url, clicks, bot_clicks, rolled_until, created_at, updated_at)
      select $1, 's' || n, gen_random_uuid(), 'https://shop.example/', 0, 0, now(), now(), now()
        from generate_series(1, 2500) n;
    insert into tenant.clicks (payer, slug, clicked_at, id, bot)
      select $1, 's' || 1 + n % 3, now(), gen_random_uuid(), false from generate_series(1, 2500) n;
    insert into tenant.click_totals (payer, slug, day, kind, value, clicks, bot_clicks)
      select $1, 's1', '2026-01-01', 'referrer', n::text, 1, 0 from generate_series(1, 2500) n;
    insert into tenant.memories (payer, id, place, importance, created_at, updated_at, dimensions, is_made, model,
        embedding, namespace, tags, metadata, content, words)
      select $1, 'm' || n, n, 0.5, now(), now(), 3, false, '', '[1,2,3]', 'default', '{}', '{}', 'tea', ''
        from generate_series(1, 2500) n;
    insert into tenant.memory_spaces (payer, model, dimensions, memories, last_place, grown_until)
      values ($1, '', 3, 2500, 2500, 0)
      on conflict (payer, model, dimensions) do update set memories = memory_spaces.memories + 2500;
    insert into tenant.memory_rewording (payer, next_id) values ($1, 'm1');
    insert into tenant.sql_staged (payer, stage, page_no, data, created_at)
      select $1, gen_random_uuid(), n, decode(repeat('00', 4096), 'hex'), now() from generate_series(1, 1500) n;
    insert into tenant.idempotency (payer, key_sha256, request_sha256, answer, large_bytes, created_at)
      select $1, sha256(n::text::bytea), sha256('a'), '{}', 5000, now() from generate_series(1, 6000) n;
    insert into tenant.kept_answers (payer, bytes) values ($1, 30000000);
    insert into tenant.usage (payer, primitive, rows, bytes, writes, written_bytes, measured_at)
      values ($1, 'counters', 2500, 250000, 0, 0, now());
    insert into tenant.full_primitives (payer, primitive, unit, quota) values ($1, 'counters', 'rows', 10)";

async fn fill(admin: &mut PgConnection, caller: &Caller) {
    let payer = format!("'{}'", caller.payer.as_str());
    admin.execute(sqlx::AssertSqlSafe(MANY_ROWS.replace("$1", &payer))).await.unwrap();
}

/// The number of rows of a payer in each table that has some.
async fn rows(admin: &mut PgConnection, caller: &Caller) -> BTreeMap<String, i64> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select relnamespace::regnamespace || '.' || relname from pg_class
          where relnamespace::regnamespace::text in ('tenant', 'auth', 'slug') and relkind in ('r', 'p')
            and not relispartition",
    )
    .fetch_all(&mut *admin)
    .await
    .unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    let mut rows = BTreeMap::new();
    for table in tables {
        let count = format!("select count(*) from {table} where payer = $1");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).bind(caller.payer.as_str());
        let count: i64 = count.fetch_one(&mut *admin).await.unwrap();
        if count > 0 {
            rows.insert(table, count);
        }
    }
    rows
}

/// The tables with rows of an erased payer.
async fn left(admin: &mut PgConnection, caller: &Caller) -> Vec<String> {
    let rows = rows(admin, caller).await;
    rows.into_keys().filter(|table| !KEPT.iter().any(|(kept, _)| kept == table)).collect()
}

async fn erase(caller: &Caller) -> Answer {
    loop {
        let answer = caller.post("/v1/me/erase", json!({"payer": caller.payer.as_str()})).await;
        // The sweeper works for the payer, too.
        if answer.status != 503 || answer.json()["code"] != "payer-busy" {
            return answer;
        }
    }
}

/// Erases everything. Returns the number of calls, and that of rows.
async fn erase_all(caller: &Caller) -> (u64, u64) {
    let (mut calls, mut rows) = (0, 0);
    loop {
        let erased = erase(caller).await.ok();
        let deleted = erased["deleted"].as_u64().unwrap();
        // A database of SQL, and answers, have bounds of their own.
        assert!(deleted <= ROWS + 5_000, "{erased}");
        calls += 1;
        rows += deleted;
        if erased["hasMore"] == json!(false) {
            return (calls, rows);
        }
        assert!(calls < 100, "{erased}");
    }
}

/// A server that does not note the erased rows as usage during a test.
fn without_sweeps(database: TestDatabase) -> TestApp {
    TestApp::set(database, |settings| settings.sweep.interval = Duration::from_hours(1))
}

#[tokio::test]
async fn many_rows_of_every_primitive_are_erased_call_by_call() {
    let app = without_sweeps(TestDatabase::shared().await);
    let mut admin = app.database.admin().await;
    let (caller, _things) = owner(&app).await;
    let (other, theirs) = owner(&app).await;
    for filled in [&caller, &other] {
        fill(&mut admin, filled).await;
    }
    let grown = "insert into tenant.memory_graph (payer, id, width, model, dimensions, embedding)
        select $1, 'm' || n, 384, '', 3, array_fill(0.5, array[384])::public.halfvec from generate_series(1, 10) n";
    for filled in [&caller, &other] {
        sqlx::query(grown).bind(filled.payer.as_str()).execute(&mut admin).await.unwrap();
    }
    let of_data = async |admin: &mut PgConnection| {
        let mut rows = rows(admin, &other).await;
        // The sweeper works on these.
        rows.retain(|table, _| !["tenant.full_primitives", "tenant.memory_rewording"].contains(&table.as_str()));
        rows
    };
    let before = of_data(&mut admin).await;
    let kept = "select kept.bytes = coalesce(sum(large_bytes), 0) from tenant.kept_answers kept
        left join tenant.idempotency using (payer) where payer = $1 group by kept.bytes";
    let (mut calls, mut deleted, mut erased_answers) = (0, 0, false);
    while !erased_answers {
        calls += 1;
        deleted += erase(&caller).await.ok()["deleted"].as_u64().unwrap();
        let answers = "select count(*) < 6000 from tenant.idempotency where payer = $1 and request_sha256 <> ''";
        erased_answers = sqlx::query_scalar(answers).bind(caller.payer.as_str()).fetch_one(&mut admin).await.unwrap();
    }
    let agrees: bool = sqlx::query_scalar(kept).bind(caller.payer.as_str()).fetch_one(&mut admin).await.unwrap();
    assert!(agrees, "an erasure that stops here leaves the right size of kept answers");
    let rest = erase_all(&caller).await;
    let (calls, deleted) = (calls + rest.0, deleted + rest.1);
    assert!(calls >= 2_500 * 8 / ROWS && deleted > 20_000, "{calls} {deleted}");
    assert_eq!(left(&mut admin, &caller).await, Vec::<String>::new());
    assert_eq!(of_data(&mut admin).await, before, "another payer has all of its rows");
    assert_eq!(other.value("theirs").await, 70);
    assert_eq!(other.get("/v1/memories/theirs").await.ok()["content"], "Ada prefers theirs");
    other.get(&format!("/v1/links/{}", theirs.slug)).await.ok();
    let usage = caller.get("/v1/me").await.ok();
    assert_eq!(usage["usage"], json!({"counters": 0, "links": 0, "locks": 0, "jobs": 0, "memories": 0}));
    let quota = json!({"rows": null, "bytes": null, "measuredAt": null, "isFull": false});
    let (mut shown, max) = (usage["quotas"]["counters"].clone(), ["rowsMax", "bytesMax"]);
    max.iter().for_each(|max| drop(shown.as_object_mut().unwrap().remove(*max)));
    assert_eq!(shown, quota);
    let (calls, deleted) = erase_all(&caller).await;
    assert_eq!((calls, deleted), (2, 0), "nothing is left, and a call looks at 5,000 of the 6,000 keys at most");
}

#[tokio::test]
async fn an_erasure_that_was_interrupted_is_continued() {
    let app = without_sweeps(TestDatabase::shared().await);
    let mut admin = app.database.admin().await;
    let caller = app.caller().await;
    fill(&mut admin, &caller).await;
    let body = json!({"payer": caller.payer.as_str()}).to_string();
    for _ in 0..5 {
        hang_up(&caller, "/v1/me/erase", &body);
    }
    erase(&caller).await.ok();
    assert!(!left(&mut admin, &caller).await.is_empty(), "there is more than these calls erase");
    // Another server goes on.
    let other = without_sweeps(app.database.clone());
    let caller = Caller { url: other.url.clone(), ..caller };
    drop(app);
    erase_all(&caller).await;
    assert_eq!(left(&mut admin, &caller).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_erased_payer_goes_on_as_a_new_one() {
    let app = TestApp::spawn().await;
    let (caller, things) = owner(&app).await;
    let fence = caller.get("/v1/locks/theirs").await.ok()["fence"].as_i64().unwrap();
    erase_all(&caller).await;
    for (path, status) in [
        ("/v1/counters/theirs".to_owned(), 404),
        ("/v1/memories/theirs".to_owned(), 404),
        (format!("/v1/links/{}", things.slug), 404),
        (format!("/l/{}", things.slug), 404),
        (format!("/v1/jobs/{}", things.pending), 404),
    ] {
        caller.get(&path).await.problem(status, "not-found");
    }
    for list in ["counters", "links", "locks", "queues", "queues/theirs/jobs", "memories"] {
        assert_eq!(caller.get(&format!("/v1/{list}")).await.ok()["items"], json!([]), "{list}");
    }
    let found = caller.post("/v1/memories/search", json!({"query": "theirs"})).await.ok();
    assert_eq!(found["results"], json!([]));
    assert_eq!(caller.get("/v1/sql/schema").await.ok()["tables"], json!([]));
    // The same again.
    let again = Things::of(&caller).await;
    assert_eq!(caller.value("theirs").await, 70);
    assert!(caller.get("/v1/locks/theirs").await.ok()["fence"].as_i64().unwrap() > fence, "no fence comes back");
    let complete = format!("/v1/jobs/{}/complete", again.running);
    caller.post(&complete, json!({"lease": again.lease})).await.ok();
    let rows = caller.post("/v1/sql/query", json!({"sql": "select count(*) from customers"})).await.ok();
    assert_eq!(rows["rows"], json!([[1]]));
    assert_eq!(caller.post("/v1/memories/search", json!({"query": "theirs"})).await.ok()["results"][0]["id"], "theirs");
}

#[tokio::test]
async fn another_server_never_reads_an_erased_database() {
    let database = TestDatabase::own().await;
    let (one, other) = (TestApp::on(database.clone()), TestApp::on(database));
    let caller = one.caller().await;
    let there = Caller { url: other.url.clone(), ..caller.clone() };
    let sql = async |caller: &Caller, sql: &str| caller.post("/v1/sql/execute", json!({"sql": sql})).await;
    sql(&caller, "create table secrets (text text)").await.ok();
    sql(&caller, "insert into secrets with recursive n (x) as (select 1 union all select x + 1 from n where x < 100) select zeroblob(1000) from n").await.ok();
    sql(&there, "select count(*) from secrets").await.ok();
    erase_all(&caller).await;
    for caller in [&there, &caller] {
        let read = caller.post("/v1/sql/query", json!({"sql": "select count(*) from secrets"})).await;
        assert!(read.problem(422, "sql-error")["detail"].as_str().unwrap().contains("no such table"));
    }
    sql(&there, "create table others (text text)").await.ok();
    let tables = caller.post("/v1/sql/query", json!({"sql": "select name from sqlite_schema"})).await.ok();
    assert_eq!(tables["rows"], json!([["others"]]));
    assert_eq!(caller.get("/v1/sql/schema").await.ok()["bytes"], 8_192, "no page of the old one is left");
}

#[tokio::test]
async fn holders_and_waiters_learn_of_an_erasure() {
    let app = TestApp::spawn().await;
    let (caller, things) = owner(&app).await;
    let held = caller.get("/v1/locks/theirs").await.ok();
    let waiting = tokio::spawn({
        let caller = caller.clone();
        async move { caller.post("/v1/locks/theirs/acquire", json!({"ttlMs": 60_000, "waitMs": 20_000})).await }
    });
    let popping = tokio::spawn({
        let caller = caller.clone();
        async move { caller.post("/v1/queues/other/pop", json!({"waitMs": 20_000})).await }
    });
    app.until(async || app.metric("payerbase_waiting").await == 2).await;
    erase_all(&caller).await;
    let token = json!({"ttlMs": 60_000, "token": things.token});
    let lost = caller.post("/v1/locks/theirs/extend", token).await;
    assert!([409, 403].contains(&lost.status.as_u16()), "{lost:?}");
    let mut guarded = caller.clone();
    let guard = format!("theirs; fence={}", held["fence"]);
    guarded.headers.insert("payerbase-guard", guard.parse().unwrap());
    guarded.increment("late", json!({})).await.problem(409, "stale-fence");
    let complete = format!("/v1/jobs/{}/complete", things.running);
    caller.post(&complete, json!({"lease": things.lease})).await.problem(404, "not-found");
    let lease = waiting.await.unwrap().ok();
    assert!(lease["fence"].as_i64() > held["fence"].as_i64(), "{lease} {held}");
    caller.post("/v1/queues/other/jobs", json!({"payload": 1})).await.ok();
    assert_eq!(popping.await.unwrap().ok()["payload"], 1);
}

#[tokio::test]
async fn a_job_of_a_group_is_never_left_waiting() {
    let app = TestApp::spawn().await;
    let mut admin = app.database.admin().await;
    let caller = app.caller().await;
    for group in ["a", "b"] {
        for _ in 0..10 {
            let jobs = json!({"jobs": vec![json!({"payload": 1, "group": group}); 60]});
            caller.post("/v1/queues/grouped/jobs/batch", jobs).await.ok();
        }
    }
    let running = caller.post("/v1/queues/grouped/pop", json!({})).await.ok();
    erase(&caller).await.ok();
    let states = async |admin: &mut PgConnection| -> Vec<(String, i64)> {
        let states = "select state::text, count(*) from tenant.jobs where payer = $1 group by state order by state";
        sqlx::query_as(states).bind(caller.payer.as_str()).fetch_all(admin).await.unwrap()
    };
    let of = |state: &str, jobs| (state.to_owned(), jobs);
    assert_eq!(states(&mut admin).await, [of("pending", 1), of("running", 1), of("waiting", 198)]);
    // Each that is left is the first of its group some time.
    let complete = async |job: &Value| {
        let path = format!("/v1/jobs/{}/complete", job["id"].as_str().unwrap());
        caller.post(&path, json!({"lease": job["lease"]})).await.ok()
    };
    complete(&running).await;
    for _ in 0..199 {
        complete(&caller.post("/v1/queues/grouped/pop", json!({})).await.ok()).await;
    }
    assert_eq!(states(&mut admin).await, [of("completed", 200)]);
}

#[tokio::test]
async fn a_repeated_write_does_not_run_again_after_an_erasure() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let keyed = |key: &str| {
        let mut caller = caller.clone();
        caller.headers.insert("idempotency-key", key.parse().unwrap());
        caller
    };
    keyed("payment-1").increment("paid", json!({"amount": 5})).await.ok();
    let body = json!({"payer": caller.payer.as_str()});
    let first = keyed("erasure-1").post("/v1/me/erase", body.clone()).await;
    assert_eq!(first.text, r#"{"deleted":2,"hasMore":false}"#);
    let repeated = keyed("payment-1").increment("paid", json!({"amount": 5})).await;
    repeated.problem(422, "idempotency-mismatch");
    caller.get("/v1/counters/paid").await.problem(404, "not-found");
    // A repeated erasure is answered as the first one.
    keyed("payment-2").increment("paid", json!({"amount": 7})).await.ok();
    let again = keyed("erasure-1").post("/v1/me/erase", body).await;
    assert_eq!((again.text, caller.value("paid").await), (first.text, 7));
    let mut admin = app.database.admin().await;
    erase_all(&caller).await;
    let answers = "select answer::text from tenant.idempotency where payer = $1";
    let answers: Vec<String> =
        sqlx::query_scalar(answers).bind(caller.payer.as_str()).fetch_all(&mut admin).await.unwrap();
    assert_eq!(answers, ["null"; 3]);
}

#[tokio::test]
async fn only_the_right_for_it_erases() {
    let app = TestApp::spawn().await;
    let (caller, _things) = owner(&app).await;
    let token = |answer: Value| Caller { token: Some(answer["token"].as_str().unwrap().into()), ..caller.clone() };
    let make = async |wish: Value| token(caller.post("/v1/tokens", wish).await.ok());
    for refused in [
        make(json!({"scopes": ["tokens:write", "counters:write", "sql:write", "account:export"]})).await,
        make(json!({"prefix": "theirs"})).await,
        make(json!({"methods": ["getCounter", "exportPayer"]})).await,
    ] {
        assert_eq!(erase(&refused).await.status, 403);
    }
    let stranger = app.caller().await;
    caller.post("/v1/me/erase", json!({"payer": stranger.payer.as_str()})).await.problem(422, "invalid-value");
    caller.post("/v1/me/erase", json!({})).await.problem(400, "invalid-json");
    let scopes = json!(["counters:read", "counters:write", "sql:write"]);
    caller.post("/v1/grants", json!({"grantee": stranger.payer.as_str(), "scopes": scopes})).await.ok();
    let scopes = json!(["account:erase"]);
    let grant = caller.post("/v1/grants", json!({"grantee": stranger.payer.as_str(), "scopes": scopes})).await;
    grant.problem(422, "invalid-value");
    let mut agent = stranger.clone();
    agent.headers.insert("payerbase-act-for", caller.payer.as_str().parse().unwrap());
    for payer in [&caller.payer, &stranger.payer] {
        agent.post("/v1/me/erase", json!({"payer": payer.as_str()})).await.problem(403, "not-granted");
    }
    let calls = json!({"calls": [{"method": "erasePayer", "params": {"payer": caller.payer.as_str()}}]});
    let transaction = caller.post("/v1/transaction", calls).await;
    assert!(transaction.status.is_client_error(), "{transaction:?}");
    assert_eq!(caller.value("theirs").await, 70, "nothing was erased");
    let allowed = make(json!({"scopes": ["account:erase"]})).await;
    erase_all(&allowed).await;
    caller.get("/v1/counters/theirs").await.problem(404, "not-found");
    let expired = app.token(&caller.payer, &[Scope::AccountErase], Duration::ZERO).await;
    let expired = Caller { token: Some(expired), ..caller.clone() };
    assert_eq!(erase(&expired).await.status, 401);
    allowed.get("/v1/me").await.ok();
}

#[tokio::test]
async fn slugs_stay_with_their_payer_for_some_minutes_after_an_erasure() {
    let app = TestApp::spawn().await;
    let mut admin = app.database.admin().await;
    let (caller, things) = owner(&app).await;
    let stranger = app.caller().await;
    let age = "update slug.slugs set reserved_at = reserved_at - interval '11 minutes' where payer = $1";
    sqlx::query(age).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    // Its owner is cached.
    assert_eq!(app.client.get(format!("{}/l/{}", app.url, things.slug)).send().await.unwrap().status(), 302);
    erase_all(&caller).await;
    assert_eq!(app.client.get(format!("{}/l/{}", app.url, things.slug)).send().await.unwrap().status(), 404);
    let free = sqlx::query_scalar("select slug.free($1, $2)").bind(&things.slug).bind(caller.payer.as_str());
    let is_free: bool = free.fetch_one(&mut admin).await.unwrap();
    assert!(!is_free, "the sweeper does not free it yet");
    let link = json!({"url": "https://stranger.example/", "slug": things.slug});
    stranger.post("/v1/links", link.clone()).await.problem(409, "slug-taken");
    sqlx::query(age).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    app.until(async || stranger.post("/v1/links", link.clone()).await.status == 201).await;
    let visit = app.client.get(format!("{}/l/{}", app.url, things.slug)).send().await.unwrap();
    assert_eq!(visit.headers()["location"], "https://stranger.example/");
    // Another payer's erasure does not touch it.
    erase_all(&caller).await;
    stranger.get(&format!("/v1/links/{}", things.slug)).await.ok();
}

#[tokio::test]
async fn an_erasure_is_one_entry_of_the_log() {
    let app = TestApp::spawn().await;
    let mut admin = app.database.admin().await;
    let caller = app.caller().await;
    fill(&mut admin, &caller).await;
    assert!(erase_all(&caller).await.0 > 10);
    let entries = caller.get("/v1/audit").await.ok();
    let events: Vec<&Value> = entries["items"].as_array().unwrap().iter().map(|entry| &entry["event"]).collect();
    assert_eq!(events, ["data-erased", "token-created"]);
    let me = caller.get("/v1/me").await.ok();
    assert_eq!((&entries["items"][0]["byTokenId"], &entries["items"][0]["tokenId"]), (&me["tokenId"], &json!(null)));
}
