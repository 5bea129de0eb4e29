//! Quotas in a turn: several calls of a full payer in a batch, and measurements in several steps.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use crate::database::TestDatabase;
use crate::plan::plan;

const FULL: &str = "insert into tenant.full_primitives (payer, primitive, unit, quota)
                      values ('0xa', 'counters', 'rows', 2), ('0xa', 'jobs', 'bytes', 3)";

/// Runs calls of one payer and method in one batch. Returns their results.
async fn run(db: &mut PgConnection, method: &str, params: &[Value]) -> Vec<Value> {
    run_if(db, None, method, params).await
}

/// Runs them under these conditions.
async fn run_if(db: &mut PgConnection, conditions: Option<&str>, method: &str, params: &[Value]) -> Vec<Value> {
    let batch = "select results from rpc.write_batch('0xa', array_fill('0xa'::text, array[$3]),
                   array_fill($1::text, array[$3]), $2, array_fill($4::text, array[$3]), 0, null)";
    let params: Vec<String> = params.iter().map(Value::to_string).collect();
    let count = i32::try_from(params.len()).unwrap();
    let batch = sqlx::query_scalar(batch).bind(method).bind(params).bind(count).bind(conditions);
    let results: Vec<String> = batch.fetch_one(db).await.unwrap();
    results.iter().map(|result| serde_json::from_str(result).unwrap()).collect()
}

fn job(id: u128) -> Value {
    let id = uuid::Uuid::from_u128(id);
    json!({"queue": "q", "id": id, "payload": 1, "priority": 0, "maxAttempts": 3, "backoffMs": 1_000})
}

#[tokio::test]
async fn calls_of_a_batch_are_refused_one_by_one() {
    let mut db = TestDatabase::own().await.admin().await;
    let increment = |name: &str| json!({"name": name, "amount": 1});
    let before = run(&mut db, "increment", &["a", "b"].map(increment)).await;
    assert!(before.iter().all(|result| result["ok"]["value"] == 1), "{before:?}");
    run(&mut db, "pushJob", &[job(1)]).await;
    db.execute(FULL).await.unwrap();

    // A server that does not know the mark yet.
    assert_eq!(run(&mut db, "increment", &[increment("e")]).await[0]["ok"]["value"], 1);
    let full = Some(r#"{"quotas": true}"#);
    let results = run_if(&mut db, full, "increment", &["a", "c", "b", "d", "a"].map(increment)).await;
    let seen = results.iter().map(|result| result.pointer("/ok/value").or(result.pointer("/problem/limit")));
    assert_eq!(seen.map(|seen| seen.unwrap().as_i64().unwrap()).collect::<Vec<_>>(), [2, 2, 2, 2, 3], "{results:?}");
    assert_eq!(
        (&results[1]["problem"]["code"], &results[3]["problem"]["code"]),
        (&json!("quota-exceeded"), &json!("quota-exceeded"))
    );
    for refused in run_if(&mut db, full, "pushJob", &[job(2), job(3)]).await {
        assert_eq!(refused["problem"]["limit"], 3, "{refused}");
        assert!(refused["problem"]["detail"].as_str().unwrap().contains("bytes"), "{refused}");
    }
    let left: (i64, i64) =
        sqlx::query_as("select (select count(*) from tenant.counters), (select count(*) from tenant.jobs)")
            .fetch_one(&mut db)
            .await
            .unwrap();
    assert_eq!(left, (3, 1));
}

/// Measures a primitive. Returns its rows and bytes, and the number of steps.
async fn measure(db: &mut PgConnection, primitive: &str) -> (i64, i64, usize) {
    let read =
        "select results[1] from rpc.read_batch('0xa', array['0xa'], array['measureRows'], array[$1], null, null)";
    let (mut rows, mut bytes, mut after) = (0, 0, Value::Null);
    for steps in 1.. {
        let params = json!({"primitive": primitive, "after": after}).to_string();
        let result: String = sqlx::query_scalar(read).bind(params).fetch_one(&mut *db).await.unwrap();
        let result: Value = serde_json::from_str(&result).unwrap();
        let step = &result["ok"];
        rows += step["rows"].as_i64().unwrap();
        bytes += step["bytes"].as_i64().unwrap();
        after = step["after"].clone();
        if after.is_null() {
            return (rows, bytes, steps);
        }
    }
    unreachable!()
}

/// More rows than one step reads, beside rows of another payer.
#[tokio::test]
async fn a_measurement_in_steps_finds_each_row_once() {
    const ROWS: i64 = 10_000;
    let mut db = TestDatabase::own().await.admin().await;
    let fill = "
        insert into tenant.counters (payer, name, value, created_at, updated_at)
          select payer, 'c' || lpad(n::text, 6, '0'), 0, now(), now()
            from generate_series(1, 10000) n cross join unnest(array['0xa', '0xb']) payer;
        insert into tenant.links (payer, slug, id, url, clicks, bot_clicks, rolled_until, created_at, updated_at)
          select payer, payer || n, gen_random_uuid(), 'https://a.example', 0, 0, now(), now(), now()
            from generate_series(1, 10000) n cross join unnest(array['0xa', '0xb']) payer;
        insert into tenant.clicks (payer, slug, clicked_at, id, bot)
          select payer, 's' || n % 3, timestamptz '2026-01-01' + n % 7 * interval '1 microsecond', gen_random_uuid(), false
            from generate_series(1, 10000) n cross join unnest(array['0xa', '0xb']) payer;
        insert into tenant.click_totals (payer, slug, day, kind, value, clicks, bot_clicks)
          select payer, 's' || n % 3, date '2026-01-01' + n % 2, 'referrer', n::text, 1, 0
            from generate_series(1, 10000) n cross join unnest(array['0xa', '0xb']) payer;
        insert into tenant.locks (payer, name, fence, acquired_at, expires_at)
          select payer, 'l' || n, n, now(), now()
            from generate_series(1, 10000) n cross join unnest(array['0xa', '0xb']) payer;
        insert into tenant.jobs (payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at,
            errors, created_at, updated_at)
          select payer, gen_random_uuid(), 'q', 'pending', -1, n, '{}', 0, 3, 1000, now(), '[]', now(), now()
            from generate_series(1, 10000) n cross join unnest(array['0xa', '0xb']) payer;
        insert into tenant.memories (payer, id, place, importance, created_at, updated_at, dimensions, is_made, model,
            namespace, tags, metadata, content, words)
          select payer, 'm' || n, 0, 0.5, now(), now(), 0, false, '', 'default', '{}', '{}', 'tea', ''
            from generate_series(1, 10000) n cross join unnest(array['0xa', '0xb']) payer";
    db.execute(fill).await.unwrap();
    for (primitive, rows, steps) in [
        ("counters", ROWS, 3),
        ("links", ROWS, 3),
        ("clicks", 2 * ROWS, 6),
        ("locks", ROWS, 3),
        ("jobs", ROWS, 3),
        ("memories", ROWS, 11),
    ] {
        let (measured, bytes, taken) = measure(&mut db, primitive).await;
        assert_eq!((measured, taken), (rows, steps), "{primitive}");
        assert!((rows * 100..rows * 200).contains(&bytes), "{primitive}: {bytes} bytes");
    }
}

/// What was written while a measurement ran is counted for the next one.
#[tokio::test]
async fn writes_during_a_measurement_stay() {
    let mut db = TestDatabase::own().await.admin().await;
    let add = json!({"written": [{"primitive": "jobs", "writes": 7, "bytes": 70}]});
    run(&mut db, "addWritten", &[add.clone(), add]).await;
    let mut save = json!({
        "primitive": "jobs", "rows": 5, "bytes": 500, "rowsMax": 5, "bytesMax": null, "writes": 7, "writtenBytes": 70,
    });
    run(&mut db, "saveUsage", &[save.clone()]).await;
    let usage = "select rows, bytes, writes, written_bytes, measured_at is not null,
                   (select unit || ' ' || quota from tenant.full_primitives) from tenant.usage";
    let usage = async |db: &mut PgConnection| -> (i64, i64, i64, i64, bool, Option<String>) {
        sqlx::query_as(usage).fetch_one(db).await.unwrap()
    };
    assert_eq!(usage(&mut db).await, (5, 500, 7, 70, true, Some("rows 5".to_owned())));
    save["rows"] = json!(4);
    run(&mut db, "saveUsage", &[save]).await;
    assert_eq!(usage(&mut db).await, (4, 500, 0, 0, true, None));
}

/// A mark without a row would never be looked at again.
#[tokio::test]
async fn a_measurement_of_erased_data_marks_nothing() {
    let mut db = TestDatabase::own().await.admin().await;
    let save = json!({
        "primitive": "jobs", "rows": 5, "bytes": 500, "rowsMax": 5, "bytesMax": null, "writes": 7, "writtenBytes": 70,
    });
    run(&mut db, "saveUsage", &[save]).await;
    let marks = "select (select count(*) from tenant.full_primitives) + (select count(*) from tenant.usage)";
    let marks: i64 = sqlx::query_scalar(marks).fetch_one(&mut db).await.unwrap();
    assert_eq!(marks, 0);
}

/// The primitives that the sweeper would measure.
async fn due(db: &mut PgConnection, rows_max: Option<i64>, bytes_max: Option<i64>) -> Vec<String> {
    let due = "select primitive from sweep.usage('', '', $1, $2) where is_due order by primitive";
    sqlx::query_scalar(due).bind(rows_max).bind(bytes_max).fetch_all(db).await.unwrap()
}

#[tokio::test]
async fn a_primitive_is_measured_after_many_writes_or_some_time() {
    let mut db = TestDatabase::own().await.admin().await;
    let usage = "insert into tenant.usage (payer, primitive, rows, bytes, writes, written_bytes, measured_at) values
        ('0xa', 'counters', 900, 0, 99, 999, now()),
        ('0xa', 'links', 0, 0, 1, 0, now() - interval '25 hours'),
        ('0xa', 'clicks', 0, 0, 0, 0, now() - interval '25 hours'),
        ('0xa', 'jobs', 0, 0, 1, 1000, now()),
        ('0xa', 'locks', 0, 0, 100, 0, now()),
        ('0xa', 'memories', 0, 0, 0, 0, null)";
    db.execute(usage).await.unwrap();
    assert_eq!(due(&mut db, Some(1_000), Some(10_000)).await, ["jobs", "links", "locks", "memories"]);
    assert_eq!(due(&mut db, None, None).await, ["links", "memories"]);
    // At or above a quota without a mark.
    assert_eq!(due(&mut db, Some(900), None).await, ["counters", "links", "locks", "memories"]);

    db.execute("delete from tenant.usage where primitive <> 'counters'").await.unwrap();
    let mark =
        "insert into tenant.full_primitives (payer, primitive, unit, quota) values ('0xa', 'counters', 'rows', 900)";
    db.execute(mark).await.unwrap();
    for (change, is_due) in [
        ("writes = 0", false),
        ("writes = 8", false),
        ("writes = 9", true),
        ("writes = 1, measured_at = now() - interval '11 minutes'", true),
        ("writes = 0, measured_at = now() - interval '11 minutes'", false),
    ] {
        db.execute("update tenant.usage set measured_at = now()").await.unwrap();
        db.execute(AssertSqlSafe(format!("update tenant.usage set {change}"))).await.unwrap();
        assert_eq!(due(&mut db, Some(900), None).await.is_empty(), !is_due, "{change}");
    }
    // The operator has changed the quota, or removed it.
    assert_eq!(due(&mut db, Some(901), None).await, ["counters"]);
    assert_eq!(due(&mut db, None, None).await, ["counters"]);
}

#[tokio::test]
async fn steps_of_a_measurement_and_looks_at_a_mark_are_index_scans() {
    let mut db = TestDatabase::shared().await.admin().await;
    let jobs = "select id::text collate \"C\" as key,
          100 + pg_column_size(queue) + pg_column_size(payload) + pg_column_size(errors)
            + coalesce(pg_column_size(result), 0) + coalesce(pg_column_size(dedup_key), 0)
            + coalesce(pg_column_size(\"group\"), 0) as bytes
        from tenant.jobs
        where payer = p_payer and id > v_after
        order by id
        limit 5000";
    let counters = "select name::text collate \"C\" as key, 100 + pg_column_size(name) as bytes
        from tenant.counters
        where payer = p_payer and name > v_after
        order by name
        limit 5000";
    let off = "set local enable_bitmapscan = off";
    for (key, statement, after) in [("jobs_pkey", jobs, "v_after uuid"), ("counters_pkey", counters, "v_after text")] {
        let plan = plan(&mut db, "payerbase_rpc", off, statement, &["p_payer text", after]).await;
        assert!(plan.contains(&format!("using {key}")) && plan.contains("> $2") && !plan.contains("Sort"), "{plan}");
    }
    let mark = "select unit, quota into v_unit, v_quota
        from tenant.full_primitives
        where payer = p_payer and primitive = p_primitive";
    let mark = plan(&mut db, "payerbase_rpc", off, mark, &["p_payer text", "p_primitive text"]).await;
    assert!(mark.contains("using full_primitives_pkey") && mark.contains("= $2"), "{mark}");
}
