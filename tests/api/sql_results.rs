//! Results that are cut, and errors that programs can tell apart.

use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp};

async fn execute(caller: &Caller, sql: &str) -> Answer {
    caller.post("/v1/sql/execute", json!({ "sql": sql })).await
}

async fn rows(caller: &Caller, sql: &str) -> Value {
    caller.post("/v1/sql/query", json!({ "sql": sql })).await.ok()["rows"].clone()
}

/// The rows of a result that is cut are the first ones.
fn assert_cut(result: &Value, all: usize) {
    let rows = result["rows"].as_array().unwrap();
    assert!(!rows.is_empty() && rows.len() < all, "{} of {all}", rows.len());
    let numbers: Vec<Value> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(numbers, (1..=rows.len()).map(|number| json!(number)).collect::<Vec<_>>());
    assert_eq!((&result["rowCount"], &result["truncated"]), (&json!(rows.len()), &json!(true)));
}

const NUMBERS: &str = "with recursive c(n) as (select 1 union all select n + 1 from c limit";

#[tokio::test]
async fn a_cut_result_has_the_first_rows() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    execute(&caller, "create table t (n integer primary key, data text)").await.ok();
    for all in [200, 201, 999] {
        execute(&caller, "delete from t").await.ok();
        let insert = format!("{NUMBERS} {all}) insert into t select n, hex(zeroblob(1000)) from c returning n, data");
        let inserted = execute(&caller, &insert).await.ok();
        assert_eq!(inserted["rowsAffected"], all, "rows that are left out are inserted");
        assert_cut(&inserted, all);
        let select = json!({"sql": "select n, data from t order by n"});
        assert_cut(&caller.post("/v1/sql/execute", select.clone()).await.ok(), all);
        let batch = caller.post("/v1/sql/batch", json!({"statements": [select]})).await.ok();
        assert_cut(&batch["results"][0], all);
        let call = json!({"method": "querySql", "params": {"sql": "select n, data || data || data from t order by n"}});
        let transaction = caller.post("/v1/transaction", json!({"calls": [call]})).await.ok();
        assert_cut(&transaction["results"][0], all);
    }
    // Small rows after a large one are left out, too.
    let mixed = "select 1, hex(zeroblob(100000)) union all select 2, hex(zeroblob(100000)) union all select 3, 'a'";
    assert_cut(&execute(&caller, mixed).await.ok(), 3);
    // What the first statement has returned is not left for the second.
    let large = json!({"sql": "select 1, hex(zeroblob(100000))"});
    let batch = caller.post("/v1/sql/batch", json!({"statements": [large, large]})).await.ok();
    assert_eq!(batch["results"][1]["truncated"], true);
    assert_eq!(batch["results"][0]["rowCount"], 1);
    assert_eq!(batch["results"][1]["rows"], json!([]));
}

#[tokio::test]
async fn a_first_row_that_no_call_returns_is_an_error() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    execute(&caller, "create table t (data blob)").await.ok();
    execute(&caller, "insert into t values (zeroblob(900000))").await.ok();
    let all = json!({"sql": "select data from t"});
    for path in ["/v1/sql/query", "/v1/sql/execute"] {
        let problem = caller.post(path, all.clone()).await.problem(422, "sql-too-large");
        assert!(problem["detail"].as_str().unwrap().contains("substr"), "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/sql");
    }
    let large = "insert into t values (zeroblob(900001)) returning data";
    execute(&caller, large).await.problem(422, "sql-too-large");
    assert_eq!(rows(&caller, "select length(data), length(substr(data, 1, 10)) from t").await, json!([[900_000, 10]]));
}

#[tokio::test]
async fn programs_can_tell_constraints_apart() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let tables = "create table p (id integer primary key, name text unique not null, n integer check (n > 0));
        create table s (id text primary key, n integer) strict;
        create table c (p integer references p)";
    let migrations = json!({"migrations": [{"id": "1", "sql": tables}]});
    caller.post("/v1/sql/migrate", migrations).await.ok();
    execute(&caller, "insert into p values (1, 'a', 1)").await.ok();
    for (sql, constraint) in [
        ("insert into p values (2, 'a', 1)", json!("unique")),
        ("insert into p values (1, 'b', 1)", json!("primary-key")),
        ("insert into p values (2, null, 1)", json!("not-null")),
        ("insert into p values (2, 'b', 0)", json!("check")),
        ("insert into c values (9)", json!("foreign-key")),
        ("insert into s values ('a', 'b')", json!("datatype")),
        ("insert into absent values (1)", json!(null)),
    ] {
        let problem = execute(&caller, sql).await.problem(422, "sql-error");
        assert_eq!(problem["constraint"], constraint, "{sql}");
    }
}

#[tokio::test]
async fn errors_name_the_statement() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let endless = "with recursive c(n) as (select 1 union all select n + 1 from c) select count(*) from c";
    let batch = json!({"statements": [{"sql": "select 1"}, {"sql": endless}]});
    let mut patient = caller.clone();
    patient.client = reqwest::Client::new();
    let problem = patient.post("/v1/sql/batch", batch).await.problem(422, "sql-timeout");
    assert_eq!(problem["errors"], json!([{"pointer": "/statements/1/sql", "detail": "needs more than 2 seconds"}]));
    let problem = caller.post("/v1/sql/batch", json!({"statements": ["select 1"]})).await;
    assert!(problem.text.contains("expected an object") && !problem.text.contains("Sql"), "{}", problem.text);
    let twice = json!({"migrations": [{"id": "a", "sql": "select 1"}, {"id": "a", "sql": "select 2"}]});
    let problem = caller.post("/v1/sql/migrate", twice).await;
    assert!(problem.text.contains("must have the id `a` once"), "{}", problem.text);
    let problem = caller.post("/v1/sql/query", json!({"sql": ""})).await;
    assert!(problem.text.contains("must be 1 to 100000 bytes"), "{}", problem.text);
}

/// As in docs/SQL.md.
#[tokio::test]
async fn a_table_that_others_refer_to_is_made_again() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let tables = "create table products (id integer primary key, name text not null);
        create table orders (id integer primary key, product integer not null references products);
        insert into products values (1, 'Cup');
        insert into orders values (1, 1)";
    let again = "pragma defer_foreign_keys = on;
        create table keep as select * from products;
        drop table products;
        create table products (id integer primary key, name text not null unique);
        insert into products select id, name from keep;
        drop table keep";
    let migrations = json!({"migrations": [{"id": "1", "sql": tables}, {"id": "2", "sql": again}]});
    assert_eq!(caller.post("/v1/sql/migrate", migrations).await.ok()["applied"], json!(["1", "2"]));
    assert_eq!(rows(&caller, "select name from orders join products on products.id = product").await, json!([["Cup"]]));
    let problem = execute(&caller, "insert into orders values (2, 9)").await.problem(422, "sql-error");
    assert_eq!(problem["constraint"], "foreign-key", "the key refers to the new table");
}

#[tokio::test]
async fn a_schema_that_is_too_deep_is_too_large() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.client = reqwest::Client::new();
    let views: Vec<String> =
        (1..2000).map(|number| format!("create view v{number} as select * from v{}", number - 1)).collect();
    let script = |views: &[String]| format!("create table if not exists v0 (a); {}", views.join(";"));
    let migrations: Vec<Value> = views
        .chunks(1000)
        .enumerate()
        .map(|(number, views)| json!({"id": number.to_string(), "sql": script(views)}))
        .collect();
    caller.post("/v1/sql/migrate", json!({ "migrations": migrations })).await.ok();
    caller.get("/v1/sql/schema").await.problem(422, "sql-too-large");
    execute(&caller, "alter table v0 rename to w").await.problem(422, "sql-too-large");
    assert_eq!(rows(&caller, "select count(*) from v0").await, json!([[0]]));
}
