//! The plans of the statements that must stay fast, with row-level security in force.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::database::TestDatabase;

/// The generic plan of a statement of a turn, as `payerbase_rpc` runs it.
async fn plan(prepare: &str) -> String {
    let mut db = TestDatabase::shared().await.admin().await;
    db.execute("begin; set local role payerbase_rpc; set local payerbase.payer = '0xa'; set local plan_cache_mode = force_generic_plan").await.unwrap();
    db.execute("set local enable_seqscan = off").await.unwrap();
    db.execute(AssertSqlSafe(format!("prepare the_statement as {prepare}"))).await.unwrap();
    let parameters = (1..).take_while(|number| prepare.contains(&format!("${number}")));
    let arguments = vec!["null"; parameters.count()].join(", ");
    let explain = format!("explain (costs off) execute the_statement ({arguments})");
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut db).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

fn uses_primary_key(plan: &str) {
    let conditions: Vec<&str> = plan.lines().filter(|line| line.contains("Index Cond")).collect();
    assert!(plan.contains("counters_pkey") && conditions.len() == 1 && conditions[0].contains("payer"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
}

#[tokio::test]
async fn one_counter_is_found_by_its_key() {
    let read = plan("select value from tenant.counters where payer = $1 and name = $2").await;
    uses_primary_key(&read);
    let write = plan("update tenant.counters set value = value + $3 where payer = $1 and name = $2").await;
    uses_primary_key(&write);
    for plan in [read, write] {
        let condition = plan.lines().find(|line| line.contains("Index Cond")).unwrap();
        assert!(condition.contains("name"), "{plan}");
    }
}

#[tokio::test]
async fn a_page_of_counters_reads_a_range_of_the_key_in_order() {
    let page = plan(
        "select name from tenant.counters where payer = $1 and name > $2 and name >= $3 and name <= $4 order by name limit $5",
    )
    .await;
    uses_primary_key(&page);
    assert!(!page.contains("Sort"), "{page}");
}

#[tokio::test]
async fn a_pop_is_one_step_along_the_jobs_in_their_order() {
    let pop = plan(
        "update tenant.jobs set state = 'running', attempts = attempts + 1, lease = $1, due_at = $2, updated_at = $3
         where payer = $4 and id = (
           select id from tenant.jobs where payer = $4 and queue = $5 and state = 'pending' and rank = $6 and place >= $7
             order by place limit 1)",
    )
    .await;
    assert!(pop.contains("Limit") && pop.contains("jobs_by_state") && pop.contains("jobs_pkey"), "{pop}");
    assert!(!pop.contains("Sort") && !pop.contains("Seq Scan"), "{pop}");
    let ordered = pop.lines().find(|line| line.contains("Index Cond") && line.contains("place")).expect(&pop);
    for column in ["payer", "queue", "state", "rank"] {
        assert!(ordered.contains(column), "{column}:\n{pop}");
    }
}

/// Also on a table without statistics, where all indexes have the same cost and the planner takes the newest one.
#[tokio::test]
async fn one_row_is_found_by_its_key_whatever_other_indexes_there_are() {
    for (key, statement) in [
        ("jobs_pkey", "select * from tenant.jobs where payer = $1 and id = $2"),
        (
            "jobs_pkey",
            "update tenant.jobs set state = 'completed' where payer = $1 and id = $2 and due_at > $3 and lease = case when $4 then lease else $5 end",
        ),
        ("links_pkey", "select * from tenant.links where payer = $1 and slug = $2"),
        (
            "links_pkey",
            "update tenant.links set clicks = clicks + 1 where payer = $1 and slug = $2 and expires_at > $3",
        ),
        ("queues_pkey", "update tenant.queues set last_place = last_place + 1 where payer = $1 and queue = $2"),
        ("locks_pkey", "select * from tenant.locks where payer = $1 and name = $2"),
        ("idempotency_pkey", "select * from tenant.idempotency where payer = $1 and key_sha256 = $2"),
    ] {
        let plan = plan(statement).await;
        assert!(plan.contains(&format!("using {key}")) && plan.contains("= $2"), "{plan}");
    }
    let by_key = plan(
        "select id from tenant.jobs where payer = $1 and queue = $2 and dedup_key = $3
           and state in ('delayed', 'pending', 'waiting', 'running')",
    );
    let by_key = by_key.await;
    assert!(by_key.contains("jobs_by_dedup_key"), "{by_key}");
}

/// Many rows too: with the state of the jobs in the statement as well, another index would look as good before the first
/// analyze.
#[tokio::test]
async fn many_rows_are_found_by_their_keys() {
    for (key, statement) in [
        (
            "jobs_pkey",
            "update tenant.jobs set state = 'running', lease = ($3::uuid[])[array_position($2::uuid[], id)]
               where payer = $1 and id = any ($2)",
        ),
        (
            "jobs_pkey",
            "update tenant.jobs set state = 'completed' where payer = $1 and id = any ($2::uuid[]) and due_at > $3
               and lease = ($4::uuid[])[array_position($2, id)]",
        ),
        ("counters_pkey", "update tenant.counters set value = value + 1 where payer = $1 and name = any ($2::text[])"),
    ] {
        let plan = plan(statement).await;
        assert!(plan.contains(&format!("using {key}")) && plan.contains("= ANY ($2)"), "{plan}");
    }
}

#[tokio::test]
async fn what_is_due_is_found_along_its_index() {
    let due = plan(
        "select * from tenant.jobs where payer = $1 and queue = $2 and state in ('delayed', 'running') and due_at <= $3
           order by due_at limit 100",
    )
    .await;
    assert!(due.contains("jobs_due") && !due.contains("Sort"), "{due}");
    let finished = plan(
        "select id from tenant.jobs where payer = $1 and state in ('completed', 'dead') and due_at <= $2 limit 500",
    )
    .await;
    assert!(finished.contains("jobs_finished"), "{finished}");
}

/// Runs a write like the server. Returns its result.
async fn turn(db: &mut PgConnection, method: &str, params: &Value) -> Value {
    let turn = "select results[1] from rpc.turn('0xa', array['0xa'], array[$1], array[$2], array[null], 0)";
    let turn = sqlx::query_scalar(turn).bind(method).bind(params.to_string());
    let answer: String = turn.fetch_one(db).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer.get("ok").unwrap_or_else(|| panic!("{method}: {answer}")).clone()
}

/// Updates of a hot row stay in its page and add no index entries (heap-only).
#[tokio::test]
async fn hot_rows_move_no_index_entry() {
    let database = TestDatabase::own().await;
    let mut db = database.admin().await;
    let (slug, id) = ("spring-sale", "019ab1c2-6f3e-7d10-9c55-2f4d8e1b7a90");
    turn(&mut db, "createLink", &json!({"slug": slug, "id": id, "url": "https://a.example"})).await;
    for _ in 0..200 {
        turn(&mut db, "increment", &json!({"name": "a", "amount": 1})).await;
        turn(&mut db, "acquireLock", &json!({"name": "a", "token": "0123456789abcdef", "ttlMs": 1_000})).await;
        turn(&mut db, "releaseLock", &json!({"name": "a", "token": "0123456789abcdef"})).await;
        let click = Uuid::now_v7();
        turn(&mut db, "followLink", &json!({"slug": slug, "id": click, "bot": false})).await;
        turn(&mut db, "pushJob", &push(Uuid::now_v7())).await;
        turn(&mut db, "popJob", &json!({"queue": "q", "leaseMs": 1_000})).await;
    }
    db.execute("select pg_stat_force_next_flush()").await.unwrap();
    for table in ["counters", "locks", "links", "queues"] {
        let stats = sqlx::query("select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = $1");
        let stats = stats.bind(table).fetch_one(&mut db).await.unwrap();
        let (updates, heap_only): (i64, i64) = (stats.get(0), stats.get(1));
        // Some updates find no free space while, for example, autovacuum still sees the earlier versions.
        assert!(
            updates >= 199 && heap_only >= updates - 10,
            "{table}: {updates} updates, {heap_only} of them heap-only"
        );
    }
}

fn push(id: Uuid) -> Value {
    json!({"queue": "q", "id": id, "payload": 1, "priority": 0, "maxAttempts": 3, "backoffMs": 1_000})
}

/// Number of blocks of tables and indexes that were read so far.
async fn blocks(db: &mut PgConnection) -> i64 {
    db.execute("select pg_stat_force_next_flush()").await.unwrap();
    let blocks =
        "select sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::bigint from pg_statio_user_tables";
    sqlx::query_scalar(blocks).fetch_one(db).await.unwrap()
}

/// A pop reads few blocks, independent of the number of jobs, of queues and of earlier pops.
#[tokio::test]
async fn a_pop_reads_as_little_among_a_million_jobs_and_ten_thousand_queues() {
    let database = TestDatabase::own().await;
    let mut db = database.admin().await;
    let fill = async |db: &mut PgConnection, queue: &str, jobs: i32| {
        let jobs = format!(
            "insert into tenant.jobs (payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at, errors, created_at, updated_at)
               select '0xa', gen_random_uuid(), {queue}, 'pending', -1, n, '1', 0, 3, 1000, now(), '[]', now(), now()
                 from generate_series(1, {jobs}) n"
        );
        db.execute(AssertSqlSafe(jobs)).await.unwrap();
    };
    fill(&mut db, "'q'", 1_000_000).await;
    fill(&mut db, "'q' || n", 10_000).await;
    let known = "insert into tenant.queues (payer, queue, last_place, ranks, heads, has_more_ranks, due_at)
                   select payer, queue, max(place), array[-1], array[1], false, now() + interval '1 hour'
                     from tenant.jobs group by payer, queue";
    db.execute(known).await.unwrap();
    let pop = json!({"queue": "q", "leaseMs": 60_000});
    turn(&mut db, "popJob", &pop).await;
    for _round in 0..3 {
        let before = blocks(&mut db).await;
        for _ in 0..500 {
            assert_eq!(turn(&mut db, "popJob", &pop).await["status"], "running");
        }
        let blocks = (blocks(&mut db).await - before) / 500;
        println!("{blocks} blocks for a pop");
        assert!(blocks < 80, "{blocks} blocks for a pop");
    }
}
