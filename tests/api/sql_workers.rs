//! Workers of SQL that lie or die: nothing of them is taken on trust.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use payerbase::auth::Scope;
use serde_json::json;

use crate::support::{Answer, Caller, TestApp, TestDatabase};

const LIAR: &str = include_str!("fixtures/lying_worker.py");

/// A server whose workers are `lying_worker.py`.
async fn with_liars(folder: &tempfile::TempDir) -> TestApp {
    let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    let python = String::from_utf8(python.stdout).unwrap();
    let program = folder.path().join("liar");
    std::fs::write(&program, format!("#!{}\n{LIAR}", python.trim())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    TestApp::set(TestDatabase::own().await, |settings| settings.calls.sql_program = program)
}

async fn call(caller: &Caller, path: &str, lie: &str) -> Answer {
    caller.post(path, json!({"sql": format!("select 'lie: {lie}'")})).await
}

#[tokio::test]
async fn lies_are_found_and_store_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let app = with_liars(&folder).await;
    let caller = app.caller().await;
    for lie in [
        "number 0",
        "number too large",
        "beyond the database",
        "twice",
        "out of order",
        "short page",
        "long page",
        "many pages",
        "no result",
        "two results",
        "another result",
        "no JSON",
        "no table",
    ] {
        call(&caller, "/v1/sql/execute", lie).await.problem(500, "internal");
    }
    call(&caller, "/v1/sql/query", "pages of a read").await.problem(500, "internal");
    // An answer to a call that nobody has made is nobody's.
    call(&caller, "/v1/sql/execute", "another call").await.ok();
    // It may ask for what the caller may read, and for nothing else.
    call(&caller, "/v1/sql/query", "a table").await.ok();
    call(&caller, "/v1/sql/query", "a table twice").await.ok();
    let mut narrow = caller.clone();
    narrow.token = Some(app.token(&caller.payer, &[Scope::SqlRead], Duration::from_hours(1)).await);
    call(&narrow, "/v1/sql/query", "a table").await.problem(403, "missing-scope");
    // A page that no database has.
    call(&caller, "/v1/sql/query", "an odd page").await.ok();
    assert_eq!(stored(&app).await, 0);
}

#[tokio::test]
async fn workers_that_break_the_protocol_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let app = with_liars(&folder).await;
    let caller = app.caller().await;
    for lie in ["many questions", "nonsense", "a long message", "the end"] {
        let starts = app.metric("payerbase_sql_worker_starts_total{worker=\"fast\"}").await;
        call(&caller, "/v1/sql/execute", lie).await.problem(503, "overloaded");
        call(&caller, "/v1/sql/execute", "").await.ok();
        assert!(app.metric("payerbase_sql_worker_starts_total{worker=\"fast\"}").await > starts, "{lie}");
    }
    assert_eq!(stored(&app).await, 0);
}

/// Number of databases and pages that are stored.
async fn stored(app: &TestApp) -> i64 {
    let count = "select (select count(*) from tenant.sql_databases) + (select count(*) from tenant.sql_pages)";
    sqlx::query_scalar(count).fetch_one(&mut app.database.admin().await).await.unwrap()
}
