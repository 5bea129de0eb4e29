//! The pages of large writes, which are put aside before the turn: none stay there.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Executor as _, PgConnection};
use uuid::Uuid;

use crate::support::{Caller, TestApp, TestDatabase};

/// Pages that were put aside for a payer.
async fn staged(admin: &mut PgConnection, caller: &Caller) -> i64 {
    let count = "select count(*) from tenant.sql_staged where payer = $1";
    sqlx::query_scalar(count).bind(caller.payer.as_str()).fetch_one(admin).await.unwrap()
}

/// Puts pages aside as a write does that has not happened.
///   age  how long ago, in minutes
async fn put_aside(admin: &mut PgConnection, caller: &Caller, pages: i32, age: i32) {
    let insert = "insert into tenant.sql_staged (payer, stage, page_no, data, created_at)
        select $1, gen_random_uuid(), 1 + n % 4096, decode(repeat('00', 4096), 'hex'), now() - make_interval(mins => $3)
          from generate_series(1, $2) n";
    sqlx::query(insert).bind(caller.payer.as_str()).bind(pages).bind(age).execute(admin).await.unwrap();
}

/// A table with more pages than travel with a call.
fn large_write(table: &str) -> Value {
    json!({"statements": [
        {"sql": format!("create table {table} (data blob)")},
        {"sql": format!("insert into {table} values (zeroblob(100000))")},
    ]})
}

async fn tables(caller: &Caller) -> Value {
    let query = json!({"sql": "select name from sqlite_schema order by name"});
    caller.post("/v1/sql/query", query).await.ok()["rows"].clone()
}

#[tokio::test]
async fn a_turn_moves_the_pages_or_they_are_deleted() {
    let app = TestApp::spawn().await;
    let (mut admin, caller) = (app.database.admin().await, app.caller().await);
    caller.post("/v1/sql/batch", large_write("done")).await.ok();
    assert_eq!(staged(&mut admin, &caller).await, 0);
    // The turn refuses another call of the transaction.
    let spend = json!({"method": "decrement", "params": {"name": "credits", "min": 0, "onBound": "reject"}});
    let calls = json!({"calls": [{"method": "batchSql", "params": large_write("refused")}, spend]});
    caller.post("/v1/transaction", calls).await.problem(409, "counter-out-of-bounds");
    assert_eq!(staged(&mut admin, &caller).await, 0);
    assert_eq!(tables(&caller).await, json!([["done"]]));
}

#[tokio::test]
async fn a_caller_that_hangs_up_leaves_none() {
    let app = TestApp::spawn().await;
    let (mut admin, caller) = (app.database.admin().await, app.caller().await);
    let mut blocker = app.database.admin().await;
    let lock = sqlx::query("select pg_advisory_lock(tenant.payer_lock($1))").bind(caller.payer.as_str());
    lock.execute(&mut blocker).await.unwrap();
    let write = tokio::spawn({
        let caller = caller.clone();
        async move { caller.post("/v1/sql/batch", large_write("t")).await }
    });
    app.until(async || staged(&mut admin, &caller).await > 0).await;
    // Its turn waits for the lock.
    write.abort();
    app.until(async || staged(&mut admin, &caller).await == 0).await;
    drop(blocker);
    // Its turn found no pages.
    assert_eq!(tables(&caller).await, json!([]));
    caller.post("/v1/sql/batch", large_write("t")).await.ok();
}

#[tokio::test]
async fn a_caller_that_hangs_up_meanwhile_leaves_none() {
    // A lock on the table is for all payers.
    let app = TestApp::on(TestDatabase::own().await);
    let (mut admin, caller) = (app.database.admin().await, app.caller().await);
    let mut blocker = app.database.admin().await;
    blocker.execute("begin; lock table tenant.sql_staged in exclusive mode").await.unwrap();
    let write = tokio::spawn({
        let caller = caller.clone();
        async move { caller.post("/v1/sql/batch", large_write("t")).await }
    });
    let waiting = "select count(*) from pg_locks where relation = 'tenant.sql_staged'::regclass and not granted";
    app.until(async || sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut admin).await.unwrap() > 0).await;
    write.abort();
    // The server sees that the connection is closed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let inserted = "select n_tup_ins from pg_stat_user_tables where relid = 'tenant.sql_staged'::regclass";
    blocker.execute("commit").await.unwrap();
    app.until(async || sqlx::query_scalar::<_, i64>(inserted).fetch_one(&mut admin).await.unwrap() > 0).await;
    app.until(async || staged(&mut admin, &caller).await == 0).await;
    assert_eq!(tables(&caller).await, json!([]));
}

#[tokio::test]
async fn pages_that_stay_are_swept_and_bounded() {
    let app = TestApp::set(TestDatabase::own().await, |settings| settings.sweep.interval = Duration::from_secs(1));
    let (mut admin, caller) = (app.database.admin().await, app.caller().await);
    put_aside(&mut admin, &caller, 12_289, 0).await;
    let problem = caller.post("/v1/sql/batch", large_write("t")).await.problem(503, "database-busy");
    assert!(problem["detail"].as_str().unwrap().contains("put aside"), "{problem}");
    // Small writes need no room.
    caller.post("/v1/sql/execute", json!({"sql": "create table small (id)"})).await.ok();
    put_aside(&mut admin, &caller, 20, 6).await;
    app.until(async || staged(&mut admin, &caller).await == 12_289).await;
    sqlx::query("delete from tenant.sql_staged").execute(&mut admin).await.unwrap();
    caller.post("/v1/sql/batch", large_write("t")).await.ok();
}

#[tokio::test]
async fn pages_are_read_of_a_known_version_only() {
    let app = TestApp::spawn().await;
    let (mut admin, caller) = (app.database.admin().await, app.caller().await);
    for table in ["one", "two"] {
        caller.post("/v1/sql/execute", json!({"sql": format!("create table {table} (id)")})).await.ok();
    }
    let versions = "select id || ancestors from tenant.sql_databases where payer = $1";
    let versions: Vec<Uuid> =
        sqlx::query_scalar(versions).bind(caller.payer.as_str()).fetch_one(&mut admin).await.unwrap();
    let mut pages = Vec::new();
    for version in versions.into_iter().chain([Uuid::now_v7()]) {
        let read = sqlx::query_scalar("select count(*) from rpc.sql_pages($1, $2, '{1}')");
        let count: i64 = read.bind(caller.payer.as_str()).bind(version).fetch_one(&mut admin).await.unwrap();
        pages.push(count);
    }
    assert_eq!(pages, [1, 1, 0]);
}
