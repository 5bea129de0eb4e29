//! SQL over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use payerbase::auth::Scope;
use serde_json::{Value, json};

use crate::support::raw::hang_up;
use crate::support::{Answer, Caller, TestApp, TestDatabase};

async fn query(caller: &Caller, sql: &str, params: Value) -> Answer {
    caller.post("/v1/sql/query", json!({"sql": sql, "params": params})).await
}

async fn execute(caller: &Caller, sql: &str, params: Value) -> Answer {
    caller.post("/v1/sql/execute", json!({"sql": sql, "params": params})).await
}

async fn rows(caller: &Caller, sql: &str) -> Value {
    query(caller, sql, json!([])).await.ok()["rows"].clone()
}

fn with_header(caller: &Caller, name: &'static str, value: &str) -> Caller {
    let mut caller = caller.clone();
    caller.headers.insert(name, value.parse().unwrap());
    caller
}

/// A table `t (id, name)`.
async fn with_table(caller: &Caller) {
    execute(caller, "create table t (id integer primary key, name text unique)", json!([])).await.ok();
}

#[tokio::test]
async fn what_is_written_is_read() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    assert_eq!(rows(&caller, "select 1 + 1").await, json!([[2]]), "of a database that does not exist");
    with_table(&caller).await;
    let inserted =
        execute(&caller, "insert into t (name) values (?), (:b) returning id, name", json!(["a", "b"])).await;
    let columns = json!([{"name": "id", "type": "INTEGER"}, {"name": "name", "type": "TEXT"}]);
    let expected = json!({"rowsAffected": 2, "lastInsertRowid": 2, "columns": columns, "rows": [[1, "a"], [2, "b"]],
        "rowCount": 2, "truncated": false});
    assert_eq!(inserted.ok(), expected);
    let read = query(&caller, "select id, name, id * 2 from t where name = :name", json!({"name": "b"})).await.ok();
    assert_eq!(
        (&read["rows"], &read["rowCount"], &read["truncated"]),
        (&json!([[2, "b", 4]]), &json!(1), &json!(false))
    );
    assert_eq!(read["columns"][2], json!({"name": "id * 2", "type": null}));
    let updated = execute(&caller, "update t set name = name || '!'", json!([])).await.ok();
    assert_eq!(
        (&updated["rowsAffected"], &updated["lastInsertRowid"], &updated["rows"]),
        (&json!(2), &json!(null), &json!([]))
    );
}

#[tokio::test]
async fn values_keep_their_types() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let values = json!([
        null, 0, -1, 9_007_199_254_740_991_i64, {"$int": "9223372036854775807"}, 1.0, 0.1, 1e300, {"$real": "-Infinity"},
        "Grüße \"\u{1F600}\"", "", {"$blob": "AP8="}, {"$blob": ""}, {"$text": "YQBi"}, {"$text": "/w=="}
    ]);
    let list = vec!["?"; values.as_array().unwrap().len()].join(", ");
    let read = query(&caller, &format!("select {list}"), values.clone()).await;
    assert!(read.text.contains("1.0,0.1,1e300") || read.text.contains("1.0,0.1,1e+300"), "{}", read.text);
    assert_eq!(read.ok()["rows"], json!([values]));
    execute(&caller, "create table t (a)", json!([])).await.ok();
    for value in values.as_array().unwrap() {
        let written = execute(&caller, "insert into t values (?) returning a", json!([value])).await.ok();
        assert_eq!(written["rows"], json!([[value]]));
    }
    let types = rows(&caller, "select group_concat(typeof(a)) from t").await;
    let expected = "null,integer,integer,integer,integer,real,real,real,real,text,text,blob,blob,text,text";
    assert_eq!(types, json!([[expected]]));
    query(&caller, "select ?", json!([true])).await.ok();
    for refused in [json!([[1]]), json!([{"a": 1}]), json!({"a": {"$int": 1}})] {
        query(&caller, "select ?", refused).await.problem(422, "invalid-value");
    }
}

#[tokio::test]
async fn errors_say_what_is_wrong_and_change_nothing() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    with_table(&caller).await;
    let problem = query(&caller, "select absent from t", json!([])).await.problem(422, "sql-error");
    assert_eq!((&problem["detail"], &problem["offset"]), (&json!("no such column: absent"), &json!(7)));
    assert_eq!(problem["errors"], json!([{"pointer": "/sql", "detail": "no such column: absent"}]));
    let problem =
        execute(&caller, "insert into t values (1, 'a'), (2, 'a')", json!([])).await.problem(422, "sql-error");
    assert_eq!(problem["detail"], "UNIQUE constraint failed: t.name");
    execute(&caller, "insert or fail into t values (1, 'a'), (2, 'a')", json!([])).await.problem(422, "sql-error");
    let problem = query(&caller, "delete from t", json!([])).await.problem(422, "sql-not-allowed");
    assert!(problem["detail"].as_str().unwrap().contains("executeSql"), "{problem}");
    let problem = query(&caller, "select ?", json!([])).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/params");
    let batch = json!({"statements": [{"sql": "insert into t values (1, 'a')"}, {"sql": "select ?"}]});
    let problem = caller.post("/v1/sql/batch", batch).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/statements/1/params");
    for (sql, contains) in [
        ("begin", "batchSql"),
        ("attach 'a' as b", "one database"),
        ("detach main", "one database"),
        ("create trigger r after insert on t begin select 1; end", "Triggers"),
        ("create temp table u (a)", "Temporary"),
        ("pragma journal_mode = wal", "PRAGMA"),
        ("select load_extension('a')", "load_extension"),
        ("create table pb_jobs (a)", "reserved"),
        ("alter table t rename to PB_counters", "reserved"),
        ("select 1; select 2", "batchSql"),
    ] {
        let answer = execute(&caller, sql, json!([])).await;
        let detail = answer.json()["detail"].to_string();
        assert!(answer.json()["code"] == "sql-not-allowed" || sql.contains("load_extension"), "{sql}: {}", answer.text);
        assert!(detail.contains(contains), "{sql}: {detail}");
    }
    assert_eq!(rows(&caller, "select count(*) from t").await, json!([[0]]));
    caller.post("/v1/sql/query", json!({"sql": "select '\u{0}'"})).await.problem(422, "invalid-value");
    caller.post("/v1/sql/query", json!({"sql": "x".repeat(100_001)})).await.problem(422, "invalid-value");
    caller.post("/v1/sql/batch", json!({"statements": []})).await.problem(422, "invalid-value");
}

#[tokio::test]
async fn a_batch_is_one_transaction() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let batch = json!({"statements": [
        {"sql": "create table a (id integer primary key, cents integer check (cents >= 0))"},
        {"sql": "insert into a values (1, 100), (2, 0)"},
        {"sql": "select sum(cents) as sum from a"}]});
    let results = caller.post("/v1/sql/batch", batch).await.ok()["results"].clone();
    assert_eq!((&results[1]["rowsAffected"], &results[2]["rows"]), (&json!(2), &json!([[100]])));
    let transfer = |cents: i64| {
        json!({"statements": [
            {"sql": "update a set cents = cents + ? where id = 2", "params": [cents]},
            {"sql": "update a set cents = cents - ? where id = 1", "params": [cents]}]})
    };
    let problem = caller.post("/v1/sql/batch", transfer(101)).await.problem(422, "sql-error");
    assert_eq!(problem["errors"][0]["pointer"], "/statements/1/sql");
    caller.post("/v1/sql/batch", transfer(60)).await.ok();
    assert_eq!(rows(&caller, "select cents from a order by id").await, json!([[40], [60]]));
}

#[tokio::test]
async fn sql_commits_with_other_calls() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    with_table(&caller).await;
    let order = |name: &str, queue: &str| {
        json!({"calls": [
            {"method": "batchSql", "as": "order", "params": {"statements": [
                {"sql": "insert into t (name) values (?) returning id", "params": [name]}]}},
            {"method": "querySql", "as": "all", "params": {"sql": "select count(*) from t"}},
            {"method": "pushJob", "params": {"queue": queue, "payload": {
                "order": {"$ref": "order.results.0.rows.0.0"}, "count": {"$ref": "all.rows.0.0"}}}},
            {"method": "increment", "params": {"name": "orders", "max": 1, "onBound": "reject"}}]})
    };
    let results = caller.post("/v1/transaction", order("a", "q")).await.ok()["results"].clone();
    assert_eq!((&results[1]["rows"], &results[3]["value"]), (&json!([[1]]), &json!(1)));
    let popped = caller.post("/v1/queues/q/pop", json!({})).await.ok();
    assert_eq!(popped["payload"], json!({"order": 1, "count": 1}));
    // The counter refuses, so nothing is stored.
    let problem = caller.post("/v1/transaction", order("b", "q")).await.problem(409, "counter-out-of-bounds");
    assert_eq!(problem["index"], 3);
    assert_eq!(rows(&caller, "select count(*) from t").await, json!([[1]]));
    // SQL refuses.
    let problem = caller.post("/v1/transaction", order("a", "q")).await.problem(422, "sql-error");
    assert_eq!((&problem["index"], &problem["method"]), (&json!(0), &json!("batchSql")));
    assert_eq!(problem["errors"][0]["pointer"], "/calls/0/params/statements/0/sql");
    assert_eq!(caller.value("orders").await, 1);
    let into = json!({"calls": [
        {"method": "increment", "as": "n", "params": {"name": "n"}},
        {"method": "executeSql", "params": {"sql": "select ?", "params": [{"$ref": "n.value"}]}}]});
    let problem = caller.post("/v1/transaction", into).await.problem(422, "invalid-value");
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("SQL runs before"), "{detail}");
}

#[tokio::test]
async fn a_repeat_under_its_key_runs_no_sql() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    with_table(&caller).await;
    let once = with_header(&caller, "idempotency-key", "insert-once");
    let sql = json!({"sql": "insert into t (name) values ('a') returning id, random() as chance"});
    let first = once.post("/v1/sql/execute", sql.clone()).await.ok();
    execute(&caller, "drop table t", json!([])).await.ok();
    let again = once.post("/v1/sql/execute", sql).await;
    assert_eq!(again.headers["idempotent-replay"], "true");
    assert_eq!(again.ok(), first);
    once.post("/v1/sql/execute", json!({"sql": "select 2"})).await.problem(422, "idempotency-mismatch");
    let lost = with_header(&caller, "payerbase-guard", "l; fence=1");
    lost.post("/v1/sql/execute", json!({"sql": "create table u (a)"})).await.problem(409, "stale-fence");
    query(&caller, "select * from u", json!([])).await.problem(422, "sql-error");
}

#[tokio::test]
async fn a_call_that_is_sent_twice_at_once_is_done_once() {
    let database = TestDatabase::shared().await;
    let apps = [TestApp::on(database.clone()), TestApp::on(database)];
    let caller = apps[0].caller().await;
    with_table(&caller).await;
    for number in 0..30 {
        let once = with_header(&caller, "idempotency-key", &format!("insert {number}"));
        let other = Caller { url: apps[1].url.clone(), ..once.clone() };
        let insert = json!({"sql": "insert into t values (?, 'a' || ?1)", "params": [number]});
        let send = |caller: Caller| {
            let insert = insert.clone();
            async move { caller.post("/v1/sql/execute", insert).await.ok() }
        };
        let (one, two) = tokio::join!(send(once), send(other));
        assert_eq!(one, two);
    }
}

/// A server that knows an earlier version does not judge by it.
#[tokio::test]
async fn an_error_is_one_of_the_newest_version() {
    let database = TestDatabase::shared().await;
    let apps = [TestApp::on(database.clone()), TestApp::on(database)];
    let caller = apps[0].caller().await;
    let other = Caller { url: apps[1].url.clone(), ..caller.clone() };
    for number in 0..10 {
        execute(&other, &format!("create table other{number} (a)"), json!([])).await.ok();
        execute(&caller, &format!("create table t{number} (a)"), json!([])).await.ok();
        assert_eq!(rows(&other, &format!("select * from t{number}")).await, json!([]));
    }
}

#[tokio::test]
async fn a_repeated_transaction_has_the_rows_of_the_first() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let once = with_header(&caller, "idempotency-key", "read-and-count");
    let calls = json!({"calls": [
        {"method": "querySql", "params": {"sql": "select random() as chance"}},
        {"method": "increment", "params": {"name": "a"}}]});
    let first = once.post("/v1/transaction", calls.clone()).await.ok();
    assert_eq!(first["results"][0]["rowCount"], 1);
    assert_eq!(once.post("/v1/transaction", calls).await.ok(), first);
}

/// A call that waits for a page when its caller hangs up must not hold its thread and its database.
#[tokio::test]
async fn callers_that_hang_up_block_nobody() {
    let app = TestApp::spawn().await;
    let callers = join_all((0..12).map(|_| app.caller())).await;
    for caller in &callers {
        execute(caller, "create table t (id integer primary key, data)", json!([])).await.ok();
        let fill = "with recursive c(x) as (select 1 union all select x + 1 from c limit 300)
            insert into t select x, zeroblob(1500) from c";
        execute(caller, fill, json!([])).await.ok();
    }
    // This server has none of the pages.
    let cold = TestApp::on(TestDatabase::shared().await);
    assert_eq!(rows(&Caller { url: cold.url.clone(), ..app.caller().await }, "select 1").await, json!([[1]]));
    for caller in callers {
        let there = Caller { url: cold.url.clone(), ..caller };
        let rude = there.clone();
        let count = r#"{"sql": "select count(*) from t where data is not null"}"#;
        let hang_up = move || (0..8).for_each(|_| hang_up(&rude, "/v1/sql/query", count));
        tokio::task::spawn_blocking(hang_up).await.unwrap();
        assert_eq!(rows(&there, "select count(*) from t").await, json!([[300]]));
    }
    let metrics = cold.client.get(format!("{}/metrics", cold.url)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("payerbase_sql_worker_starts_total{worker=\"fast\"} 1\n"), "no worker was replaced");
}

#[tokio::test]
async fn writers_of_several_servers_lose_nothing() {
    let database = TestDatabase::shared().await;
    let apps = [TestApp::on(database.clone()), TestApp::on(database.clone()), TestApp::on(database)];
    let caller = apps[0].caller().await;
    execute(&caller, "create table t (writer, number)", json!([])).await.ok();
    let writer = async |writer: usize| {
        let caller = Caller { url: apps[writer].url.clone(), ..caller.clone() };
        for number in 0..15 {
            loop {
                let insert = "insert into t values (?, ?) returning (select count(*) from t)";
                let answer = execute(&caller, insert, json!([writer, number])).await;
                if answer.status == 200 {
                    break;
                }
                answer.problem(503, "database-busy");
            }
            // Its own write is there.
            let count = rows(&caller, &format!("select count(*) from t where writer = {writer}")).await;
            assert_eq!(count, json!([[number + 1]]));
        }
    };
    join_all((0..3).map(writer)).await;
    let counted = rows(&caller, "select count(*), count(distinct writer * 100 + number) from t").await;
    assert_eq!(counted, json!([[45, 45]]));
}

#[tokio::test]
async fn many_pages_are_written_and_read() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    execute(&caller, "create table t (id integer primary key, data blob)", json!([])).await.ok();
    let fill = "with recursive c(x) as (select 1 union all select x + 1 from c limit 200)
        insert into t select x, zeroblob(20000) from c";
    assert_eq!(execute(&caller, fill, json!([])).await.ok()["rowsAffected"], 200);
    // Another server has none of the pages.
    let other = TestApp::on(TestDatabase::shared().await);
    let there = Caller { url: other.url.clone(), ..caller.clone() };
    assert_eq!(rows(&there, "select count(*), sum(length(data)) from t").await, json!([[200, 4_000_000]]));
    assert_eq!(rows(&there, "select length(data) from t where id = 150").await, json!([[20_000]]));
    execute(&there, "delete from t where id > 1", json!([])).await.ok();
    assert_eq!(rows(&caller, "select count(*), sum(length(data)) from t").await, json!([[1, 20_000]]));
    let too_much = "with recursive c(x) as (select 1 union all select x + 1 from c limit 20)
        insert into t select null, zeroblob(900000) from c";
    execute(&caller, too_much, json!([])).await.problem(403, "database-full");
    assert_eq!(rows(&caller, "select count(*) from t").await, json!([[1]]));
}

#[tokio::test]
async fn endless_statements_end_and_disturb_nobody() {
    let app = TestApp::spawn().await;
    let (busy, caller) = (app.caller().await, app.caller().await);
    // The slow worker starts, and others come first: on a busy machine it takes its time.
    let busy = Caller { client: reqwest::Client::new(), ..busy };
    let endless = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c";
    let endless = query(&busy, endless, json!([]));
    let others = async {
        for _ in 0..20 {
            assert_eq!(rows(&caller, "select 1").await, json!([[1]]));
        }
    };
    let (endless, ()) = futures_util::join!(endless, others);
    endless.problem(422, "sql-timeout");
}

#[tokio::test]
async fn writes_do_not_disturb_a_long_read() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    with_table(&caller).await;
    execute(&caller, "insert into t (name) values ('first')", json!([])).await.ok();
    let (writer, stop) = (caller.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let writing = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            execute(&writer, "insert into t (name) values (hex(randomblob(8)))", json!([])).await.ok();
        }
    });
    let long = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 1000000)
        select count(*), (select count(*) > 0 from t) from c";
    for _ in 0..5 {
        assert_eq!(rows(&caller, long).await, json!([[1_000_000, 1]]));
    }
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
}

#[tokio::test]
async fn scopes_separate_reading_from_writing() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    with_table(&caller).await;
    let reader = Caller {
        token: Some(app.token(&caller.payer, &[Scope::SqlRead], Duration::from_secs(60)).await),
        ..caller.clone()
    };
    assert_eq!(rows(&reader, "select count(*) from t").await, json!([[0]]));
    let problem = execute(&reader, "insert into t values (1, 'a')", json!([])).await.problem(403, "missing-scope");
    assert_eq!(problem["scope"], "sql:write");
    let delete = query(&reader, "delete from t", json!([])).await;
    delete.problem(422, "sql-not-allowed");
}

async fn migrate(caller: &Caller, migrations: Value) -> Answer {
    caller.post("/v1/sql/migrate", json!({"migrations": migrations})).await
}

#[tokio::test]
async fn migrations_run_once_each() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let one = json!({"id": "1", "sql": "-- a\ncreate table t (a);;\ninsert into t values (1), (2); -- the end"});
    let two = json!({"id": "it's 2", "sql": "alter table t add column b; update t set b = a + 1 returning b"});
    assert_eq!(migrate(&caller, json!([one])).await.ok(), json!({"applied": ["1"]}));
    let both = json!([one, two]);
    assert_eq!(migrate(&caller, both.clone()).await.ok(), json!({"applied": ["it's 2"]}));
    assert_eq!(migrate(&caller, both.clone()).await.ok(), json!({"applied": []}));
    assert_eq!(rows(&caller, "select * from t").await, json!([[1, 2], [2, 3]]));
    assert_eq!(rows(&caller, "select id from pb_migrations order by id").await, json!([["1"], ["it's 2"]]));
    let changed = json!([one, {"id": "it's 2", "sql": "select 1"}]);
    let problem = migrate(&caller, changed).await.problem(409, "migration-changed");
    assert_eq!(problem["errors"][0]["pointer"], "/migrations/1/sql");
    // One that fails undoes those before it.
    let failing = json!([{"id": "3", "sql": "create table u (a)"}, {"id": "4", "sql": "insert into u values (1);\nselect x from u"}]);
    let problem = migrate(&caller, failing).await.problem(422, "sql-error");
    assert_eq!(problem["errors"][0]["pointer"], "/migrations/1/sql");
    assert_eq!(problem["offset"], "insert into u values (1);\nselect ".len());
    assert_eq!(
        migrate(&caller, json!([{"id": "3", "sql": "create table u (a)"}])).await.ok(),
        json!({"applied": ["3"]})
    );
    migrate(&caller, json!([])).await.problem(422, "invalid-value");
    migrate(&caller, json!([{"id": "5", "sql": "insert into t values (?, 1)"}])).await.problem(422, "sql-not-allowed");
    migrate(&caller, json!([{"id": "6", "sql": "commit"}])).await.problem(422, "sql-not-allowed");
}

#[tokio::test]
async fn programs_that_start_at_once_migrate_once() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let migrations = json!([{"id": "1", "sql": "create table t (a)"}, {"id": "2", "sql": "insert into t values (1)"}]);
    let answers = join_all((0..8).map(|_| migrate(&caller, migrations.clone()))).await;
    let applied = answers.into_iter().map(|answer| answer.ok()["applied"].as_array().unwrap().len());
    assert_eq!(applied.sum::<usize>(), 2);
    assert_eq!(rows(&caller, "select count(*) from t").await, json!([[1]]));
}

#[tokio::test]
async fn own_tables_of_payerbase_can_only_be_read() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    migrate(&caller, json!([{"id": "1", "sql": "create table t (a)"}])).await.ok();
    for sql in [
        "insert into pb_migrations values ('2', '', '')",
        "update pb_migrations set sha256 = ''",
        "delete from PB_migrations",
        "drop table pb_migrations",
        "alter table pb_migrations rename to other",
        "alter table pb_migrations add column a",
        "create index i on pb_migrations (sha256)",
        "alter table t rename to pb_jobs",
        "create view pb_x as select 1",
    ] {
        execute(&caller, sql, json!([])).await.problem(422, "sql-not-allowed");
    }
    // Nor is there another way to its name.
    let other = app.caller().await;
    execute(
        &other,
        "create table t (id TEXT PRIMARY KEY, sha256 TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT",
        json!([]),
    )
    .await
    .ok();
    execute(&other, "alter table t rename to pb_migrations", json!([])).await.problem(422, "sql-not-allowed");
}

#[tokio::test]
async fn the_schema_describes_tables_and_views() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let schema = caller.get("/v1/sql/schema").await.ok();
    assert_eq!(schema, json!({"tables": [], "bytes": 0, "bytesMax": 16 << 20}));
    for sql in [
        "create table t (id integer primary key, name text not null default 'it''s', twice as (id * 2), unique (name))",
        "create index \"t \"\"by\" on t (name, id)",
        "create view \"v's\" as select id, name from t",
        "create view broken as select * from gone",
        "insert into t (name) values ('a'), ('b')",
    ] {
        execute(&caller, sql, json!([])).await.ok();
    }
    let schema = caller.get("/v1/sql/schema").await.ok();
    assert_eq!(schema["bytes"], 4096 * 4);
    let names: Vec<_> = schema["tables"].as_array().unwrap().iter().map(|table| &table["name"]).collect();
    assert_eq!(names, ["broken", "t", "v's"]);
    let [broken, table, view] = [0, 1, 2].map(|at| schema["tables"][at].clone());
    assert_eq!((&broken["type"], &broken["columns"], &broken["rowCount"]), (&json!("view"), &json!([]), &json!(null)));
    assert_eq!((&view["columns"][1]["name"], &view["indexes"]), (&json!("name"), &json!([])));
    assert_eq!((&table["type"], &table["rowCount"]), (&json!("table"), &json!(2)));
    assert_eq!(
        table["columns"],
        json!([
            {"name": "id", "type": "INTEGER", "notNull": false, "default": null, "primaryKey": 1, "generated": false},
            {"name": "name", "type": "TEXT", "notNull": true, "default": "'it''s'", "primaryKey": 0, "generated": false},
            {"name": "twice", "type": "", "notNull": false, "default": null, "primaryKey": 0, "generated": true}
        ])
    );
    assert_eq!(
        table["indexes"],
        json!([
            {"name": "sqlite_autoindex_t_1", "sql": null, "unique": true},
            {"name": "t \"by", "sql": "CREATE INDEX \"t \"\"by\" on t (name, id)", "unique": false}
        ])
    );
}
