//! Export and import of databases of SQL.

use std::process::Command;

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp};

const FILE: &str = "application/vnd.sqlite3";

async fn execute(caller: &Caller, sql: &str) {
    caller.post("/v1/sql/execute", json!({ "sql": sql })).await.ok();
}

async fn rows(caller: &Caller, sql: &str) -> Value {
    caller.post("/v1/sql/query", json!({ "sql": sql })).await.ok()["rows"].clone()
}

pub async fn export(caller: &Caller) -> Vec<u8> {
    let url = format!("{}/v1/sql/database", caller.url);
    let answer =
        caller.client.get(url).bearer_auth(caller.token.as_ref().unwrap().expose_secret()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], FILE);
    answer.bytes().await.unwrap().to_vec()
}

async fn import(caller: &Caller, file: &[u8]) -> Answer {
    caller.send(Method::PUT, "/v1/sql/database", Some((FILE, file.to_vec()))).await
}

/// A file that Python's SQLite makes of this script, with `db` as its connection.
fn file(script: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.sqlite");
    let program =
        format!("import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], isolation_level=None)\n{script}\ndb.close()\n");
    let made = Command::new("python3").args(["-c", &program]).arg(&path).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read(path).unwrap()
}

/// The rows that Python's SQLite reads from a file, as JSON, after its check.
///
/// # Errors
/// What is wrong with the file.
pub fn read_file(file: &[u8], sql: &str) -> Result<Value, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.sqlite");
    std::fs::write(&path, file).unwrap();
    let program = "import json, sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n\
        read = lambda sql: [list(row) for row in db.execute(sql)]\n\
        print(json.dumps([read('pragma integrity_check'), read(sys.argv[2])]))\n";
    let read = Command::new("python3").args(["-c", program]).arg(&path).arg(sql).output().unwrap();
    if !read.status.success() {
        return Err(String::from_utf8_lossy(&read.stderr).into_owned());
    }
    let [check, rows]: [Value; 2] = serde_json::from_slice(&read.stdout).unwrap();
    if check == json!([["ok"]]) { Ok(rows) } else { Err(check.to_string()) }
}

#[tokio::test]
async fn an_export_opens_elsewhere_and_is_imported_again() {
    let app = TestApp::spawn().await;
    let (one, other) = (app.caller().await, app.caller().await);
    assert_eq!(read_file(&export(&one).await, "select count(*) from sqlite_schema").unwrap(), json!([[0]]));
    execute(&one, "create table t (id integer primary key autoincrement, name text unique, twice as (id * 2))").await;
    execute(&one, "create index by_name on t (name desc)").await;
    execute(&one, "create view v as select name from t").await;
    execute(&one, "create table pairs (a, b, primary key (a, b)) without rowid").await;
    let many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) \
        insert into t (name) select 'name ' || i from n";
    execute(&one, many).await;
    execute(&one, "delete from t where id > 1000").await;
    execute(&one, "insert into pairs values (1, x'00ff'), ('a', 'b')").await;
    let exported = export(&one).await;
    assert_eq!(read_file(&exported, "select count(*), max(twice) from t").unwrap(), json!([[1000, 2000]]));
    execute(&other, "create table gone (a)").await;
    let imported = import(&other, &exported).await.ok();
    assert_eq!((&imported["tables"], &imported["rows"]), (&json!(2), &json!(1002)));
    assert_eq!(rows(&other, "select count(*), max(id) from t where name like 'name%'").await, json!([[1000, 1000]]));
    assert_eq!(rows(&other, "select hex(b) from pairs").await, json!([["00FF"], ["62"]]));
    assert_eq!(
        rows(&other, "select name from sqlite_schema where sql is not null order by name")
            .await
            .as_array()
            .unwrap()
            .len(),
        5
    );
    execute(&other, "insert into t (name) values ('next')").await;
    assert_eq!(rows(&other, "select max(id) from t").await, json!([[2001]]), "the sequence goes on");
    let again = export(&other).await;
    assert_eq!(imported["bytes"], json!(import(&one, &again).await.ok()["bytes"]));
    // A body that was forgotten deletes nothing.
    import(&one, b"").await.problem(422, "sql-error");
    assert_eq!(rows(&one, "select count(*) from t").await, json!([[1001]]));
}

#[tokio::test]
async fn files_of_other_programs_are_imported() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let table = "db.execute('create table t (a integer primary key, b)')\n\
        db.executemany('insert into t values (?, ?)', [(i, 'grün %d' % i) for i in range(500)])";
    for setting in [
        "page_size=512",
        "page_size=65536",
        "auto_vacuum=1",
        "auto_vacuum=2",
        "encoding=\"UTF-16le\"",
        "encoding=\"UTF-16be\"",
        "journal_mode=wal",
    ] {
        let file = file(&format!("db.execute('pragma {setting}')\n{table}"));
        let imported = import(&caller, &file).await.ok();
        assert_eq!((&imported["tables"], &imported["rows"]), (&json!(1), &json!(500)), "{setting}");
        let found = rows(&caller, "select count(*), max(b) from t where b = 'grün ' || a").await;
        assert_eq!(found, json!([[500, "grün 99"]]), "{setting}");
        read_file(&export(&caller).await, "select 1").unwrap();
    }
    for (table, rows_of) in [
        ("create table t (a integer primary key autoincrement, b text default 'x')", "insert into t values (7, 'a')"),
        ("create table t (a, b as (a || '!'), c as (1) stored)", "insert into t values (1)"),
        ("create table t (\"rowid\", \"a \"\" b\" text collate nocase)", "insert into t values (1, 2)"),
        ("create table t (rowid, oid, _rowid_)", "insert into t values (1, 2, 3)"),
        ("create table t (a text primary key, b) without rowid", "insert into t values (1, 2)"),
        ("create table t (a references t (b) deferrable, b unique)", "insert into t values (2, 1), (1, 2)"),
    ] {
        let file = file(&format!("db.execute({table:?})\ndb.execute({rows_of:?})"));
        import(&caller, &file).await.ok();
        assert!(rows(&caller, "select count(*) from t").await[0][0].as_i64().unwrap() > 0, "{table}");
    }
}

#[tokio::test]
async fn files_that_may_not_be_are_refused_with_the_reason() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    execute(&caller, "create table kept (a)").await;
    let schema = |sql: &str| {
        format!(
            "db.execute('create table t (a, b)')\ndb.execute('insert into t values (1, 2)')\n\
             db.execute('pragma writable_schema=1')\ndb.execute({sql:?})"
        )
    };
    for (script, code, reason) in [
        (
            "db.execute('create table t (a)')\ndb.execute('create trigger r after insert on t begin select 1; end')"
                .into(),
            "sql-not-allowed",
            "The trigger r: Triggers are not allowed",
        ),
        (
            "db.execute('create virtual table f using fts5(a)')".into(),
            "sql-not-allowed",
            "Virtual tables are not allowed",
        ),
        ("db.execute('create table pb_jobs (a)')".into(), "sql-not-allowed", "pb_jobs is reserved"),
        ("db.execute('create table pb_migrations (a)')".into(), "sql-not-allowed", "pb_migrations is reserved"),
        (
            "db.execute('create table t (a check (sqlite_source_id() > a))')".into(),
            "sql-not-allowed",
            "sqlite_source_id",
        ),
        (
            "db.execute('create table t (a)')\ndb.execute('create table u (a references t (a))')\n\
          db.execute('insert into u values (1)')"
                .into(),
            "sql-error",
            "foreign key",
        ),
        (
            schema("update sqlite_schema set sql = 'create table t (a not null, b check (b > 5))'"),
            "sql-error",
            "constraint failed",
        ),
        (schema("update sqlite_schema set sql = 'create tab'"), "sql-error", "malformed"),
        (
            schema(
                "update sqlite_schema set name = 'sqlite_evil', tbl_name = 'sqlite_evil', sql = 'create table sqlite_evil (a, b)'",
            ),
            "sql-error",
            "reserved for internal use",
        ),
        (schema("update sqlite_schema set rootpage = 3"), "sql-error", ""),
        (schema("update sqlite_schema set sql = 'create table t (a, b); drop table t'"), "sql-error", ""),
    ] {
        let problem = import(&caller, &file(&script)).await.problem(422, code);
        assert!(problem["detail"].as_str().unwrap().contains(reason), "{script}: {problem}");
    }
    let huge = vec![0; (16 << 20) + 1];
    import(&caller, &huge).await.problem(413, "payload-too-large");
    let full = file(
        "db.execute('create table t (a)')\nfor i in range(4000): db.execute('insert into t values (zeroblob(4090))')",
    );
    import(&caller, &full[..16 << 20]).await.problem(422, "sql-error");
    for file in [
        "no database",
        "SQLite format 3\0",
        "SQLite format 3\0 and then nothing that makes any sense at all, over and over again, up to more than a hundred bytes",
    ] {
        import(&caller, file.as_bytes()).await.problem(422, "sql-error");
    }
    let json = caller.send(Method::PUT, "/v1/sql/database", Some(("application/json", b"{}".to_vec()))).await;
    json.problem(415, "unsupported-media-type");
    assert_eq!(rows(&caller, "select name from sqlite_schema").await, json!([["kept"]]), "a refusal changes nothing");
}

#[tokio::test]
async fn a_repeated_import_happens_once() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    execute(&caller, "create table t (a)").await;
    let file = export(&caller).await;
    let mut keyed = caller.clone();
    keyed.headers.insert("idempotency-key", "import-1".parse().unwrap());
    let first = import(&keyed, &file).await.ok();
    execute(&caller, "insert into t values (1)").await;
    assert_eq!(import(&keyed, &file).await.ok(), first);
    assert_eq!(rows(&caller, "select a from t").await, json!([[1]]), "the repeat has changed nothing");
    import(&keyed, b"").await.problem(422, "idempotency-mismatch");
}

/// The export of a payer without data.
#[tokio::test]
async fn an_empty_file_empties_the_database() {
    let app = TestApp::spawn().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    execute(&caller, "create table t (n)").await;
    execute(&caller, "insert into t values (1)").await;
    let imported = import(&caller, &export(&other).await).await.ok();
    assert_eq!((&imported["tables"], &imported["rows"]), (&json!(0), &json!(0)));
    assert_eq!(rows(&caller, "select name from sqlite_schema").await, json!([]));
    execute(&caller, "create table t (n)").await;
    assert_eq!(read_file(&export(&caller).await, "select count(*) from t").unwrap(), json!([[0]]));
}

/// What a file makes payerbase's own statements return has a limit, and so have its messages.
#[tokio::test]
async fn an_import_needs_no_more_memory_than_its_limits() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let violations = file(
        "name = 'n' * 30000\n\
         db.execute('create table p (a integer primary key)')\n\
         db.execute(f'create table \"{name}\" (a references p)')\n\
         db.execute('begin')\n\
         db.executemany(f'insert into \"{name}\" values (7)', [()] * 20000)\n\
         db.execute('commit')",
    );
    let problem = import(&caller, &violations).await.problem(422, "sql-error");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("a foreign key refers to a row that does not exist"), "{detail}");
    assert!(detail.len() < 2_000, "{}", detail.len());
    let sequences = file(
        "db.execute('create table t (id integer primary key autoincrement)')\n\
         db.execute('pragma writable_schema = on')\n\
         default = 'x' * 90000\n\
         db.execute('update sqlite_schema set sql = ? where name = ?',\n\
             (f\"CREATE TABLE sqlite_sequence(x, seq, name as ('{default}'))\", 'sqlite_sequence'))\n\
         db.close()\n\
         db = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
         db.execute('pragma writable_schema = on')\n\
         db.execute('begin')\n\
         db.executemany('insert into sqlite_sequence (x, seq) values (1, 1)', [()] * 1000)\n\
         db.execute('commit')",
    );
    import(&caller, &sequences).await.problem(422, "sql-too-large");
    assert_eq!(rows(&caller, "select count(*) from sqlite_schema").await, json!([[0]]), "nothing was imported");
}
