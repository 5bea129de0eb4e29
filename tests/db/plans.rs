//! The plans of the statements that must stay fast, with row-level security in force.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::database::TestDatabase;
use crate::plan::plan;

/// The plan of a statement of a turn, which runs as `payerbase_rpc`.
async fn turn_plan(statement: &str, variables: &[&str]) -> String {
    let mut db = TestDatabase::shared().await.admin().await;
    plan(&mut db, "payerbase_rpc", "", statement, variables).await
}

/// The plan of a statement of a turn on tables of thousands of payers with three rows each, from which the planner must not
/// conclude that every payer has few rows.
async fn plan_among_small_payers(statement: &str, variables: &[&str]) -> String {
    const SMALL_PAYERS: &str = "
        set local enable_bitmapscan = off;
        insert into tenant.counters (payer, name, value, created_at, updated_at)
          select '0x' || lpad(to_hex(n / 3), 40, '0'), 'c' || n % 3, 0, now(), now() from generate_series(1, 20000) as n;
        insert into tenant.jobs (payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at,
            errors, created_at, updated_at)
          select '0x' || lpad(to_hex(n / 3), 40, '0'), gen_random_uuid(), 'q', 'pending', -1, n, '{}', 0, 3, 1000, now(), '[]',
              now(), now()
            from generate_series(1, 20000) as n;
        analyze tenant.counters, tenant.jobs";
    let database = TestDatabase::own().await;
    plan(&mut database.admin().await, "payerbase_rpc", SMALL_PAYERS, statement, variables).await
}

#[tokio::test]
async fn statements_on_one_counter_use_its_primary_key() {
    let variables = ["p_payer text", "v_name text", "v_delta numeric", "v_now timestamptz"];
    let read = turn_plan(
        "select name, value, min, max, created_at, updated_at from tenant.counters where payer = p_payer and name = v_name",
        &variables[..2],
    );
    let write = turn_plan(
        "update tenant.counters
           set value = value + v_delta, updated_at = v_now
           where payer = p_payer and name = v_name
             and case
               when v_delta > 0 then value + v_delta <= coalesce(max, 9223372036854775807)
               else value + v_delta >= coalesce(min, -9223372036854775808)
             end
           returning value, min, max, created_at",
        &variables,
    );
    for plan in [read.await, write.await] {
        let conditions: Vec<&str> = plan.lines().filter(|line| line.contains("Index Cond")).collect();
        assert!(plan.contains("counters_pkey") && conditions.len() == 1, "{plan}");
        assert!(conditions[0].contains("payer") && conditions[0].contains("name"), "{plan}");
    }
}

#[tokio::test]
async fn a_page_of_counters_is_a_range_scan_of_the_primary_key() {
    let page = turn_plan(
        "select name, value, min, max, created_at, updated_at
           from tenant.counters
           where payer = p_payer and name > v_after and name >= v_prefix and name <= v_last
           order by name
           limit v_limit + 1",
        &["p_payer text", "v_after text", "v_prefix text", "v_last text", "v_limit integer"],
    );
    let page = page.await;
    assert!(page.contains("counters_pkey") && page.contains("Index Cond") && !page.contains("Sort"), "{page}");
}

#[tokio::test]
async fn a_pop_reads_the_next_job_from_the_ordered_index() {
    let pop = turn_plan(
        "update tenant.jobs
           set state = 'running', attempts = attempts + 1, lease = v_lease, due_at = v_until, updated_at = v_now
           where payer = p_payer and id = (
             select id
               from tenant.jobs
               where payer = p_payer and queue = v_name and state = 'pending' and rank = v_rank and place >= v_head
               order by place
               limit 1)
           returning *",
        &[
            "p_payer text",
            "v_lease uuid",
            "v_until timestamptz",
            "v_now timestamptz",
            "v_name text",
            "v_rank smallint",
            "v_head bigint",
        ],
    );
    let pop = pop.await;
    assert!(pop.contains("Limit") && pop.contains("jobs_by_state") && pop.contains("jobs_pkey"), "{pop}");
    assert!(!pop.contains("Sort") && !pop.contains("Seq Scan"), "{pop}");
    let ordered = pop.lines().find(|line| line.contains("Index Cond") && line.contains("place")).expect(&pop);
    for column in ["payer", "queue", "state", "rank"] {
        assert!(ordered.contains(column), "{column}:\n{pop}");
    }
}

/// Even on a table without statistics, where all indexes have the same cost and the planner takes the newest one.
#[tokio::test]
async fn statements_on_one_row_use_its_primary_key() {
    for (key, statement, variables) in [
        (
            "jobs_pkey",
            "select * from tenant.jobs where payer = p_payer and id = p_id",
            &["p_payer text", "p_id uuid"][..],
        ),
        (
            "links_pkey",
            "select * from tenant.links where payer = p_payer and slug = v_slug",
            &["p_payer text", "v_slug text"],
        ),
        (
            "queues_pkey",
            "update tenant.queues set last_place = last_place + v_count where payer = p_payer and queue = p_queue",
            &["p_payer text", "p_queue text", "v_count integer"],
        ),
        (
            "locks_pkey",
            "select fence, token_sha256, acquired_at, expires_at from tenant.locks where payer = p_payer and name = v_name",
            &["p_payer text", "v_name text"],
        ),
        (
            "idempotency_pkey",
            "select request_sha256, answer, created_at, large_bytes from tenant.idempotency where payer = p_payer and key_sha256 = v_key",
            &["p_payer text", "v_key bytea"],
        ),
    ] {
        let plan = turn_plan(statement, variables).await;
        assert!(plan.contains(&format!("using {key}")) && plan.contains("= $2"), "{plan}");
    }
    let by_key = turn_plan(
        "select id from tenant.jobs where payer = p_payer and queue = p_queue and dedup_key = p_dedup_key
           and state in ('delayed', 'pending', 'waiting', 'running')",
        &["p_payer text", "p_queue text", "p_dedup_key text"],
    );
    let by_key = by_key.await;
    assert!(by_key.contains("jobs_by_dedup_key"), "{by_key}");
}

/// Also where nearly all payers have few rows: then reading all rows of the payer would look cheap.
#[tokio::test]
async fn updates_of_many_rows_use_the_primary_key() {
    let start = plan_among_small_payers(
        "update tenant.jobs
           set state = 'running', attempts = attempts + 1, lease = v_leases[array_position(p_ids, id)], due_at = p_until,
             updated_at = p_now
           where payer = p_payer and id = any (p_ids)
           returning *",
        &["p_payer text", "p_ids uuid[]", "v_leases uuid[]", "p_until timestamptz", "p_now timestamptz"],
    );
    let complete = plan_among_small_payers(
        "update tenant.jobs
           set state = 'completed', due_at = v_kept_until, lease = null, result = v_results[array_position(v_ids, id)],
             updated_at = v_now, finished_at = v_now
           where payer = p_payer and id = any (v_ids) and due_at > v_now and lease = v_leases[array_position(v_ids, id)]
           returning *",
        &[
            "p_payer text",
            "v_ids uuid[]",
            "v_leases uuid[]",
            "v_results jsonb[]",
            "v_kept_until timestamptz",
            "v_now timestamptz",
        ],
    );
    let add = plan_among_small_payers(
        "update tenant.counters
           set value = value + v_totals[array_position(v_names, name::text)], updated_at = v_now
           where payer = p_payer and name = any (v_names)
             and case
               when p_sign > 0
                 then value + v_totals[array_position(v_names, name::text)] <= coalesce(max, 9223372036854775807)
               else value + v_totals[array_position(v_names, name::text)] >= coalesce(min, -9223372036854775808)
             end
           returning array_position(v_names, name::text) as at, name, value, min, max, created_at",
        &["p_payer text", "v_totals numeric[]", "v_names text[]", "v_now timestamptz", "p_sign integer"],
    );
    for (plan, key) in [(start.await, "$2"), (complete.await, "$2"), (add.await, "$3")] {
        assert!(plan.contains("_pkey") && plan.contains(&format!("= ANY ({key})")), "{plan}");
        let conditions: Vec<&str> = plan.lines().filter(|line| line.contains("Index Cond")).collect();
        assert!(conditions.len() == 1 && conditions[0].contains("= ANY"), "{plan}");
    }
}

#[tokio::test]
async fn due_jobs_are_found_with_an_index() {
    let due = turn_plan(
        "select due_at from tenant.jobs
           where payer = p_payer and queue = p_queue.queue and state in ('delayed', 'running')
           order by due_at
           limit 1",
        &["p_payer text", "p_queue.queue text"],
    );
    let due = due.await;
    assert!(due.contains("jobs_due") && !due.contains("Sort"), "{due}");
    let finished = turn_plan(
        "select id from tenant.jobs
           where payer = p_payer and state in ('completed', 'dead') and due_at <= v_now
           limit 500",
        &["p_payer text", "v_now timestamptz"],
    );
    let finished = finished.await;
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
async fn updates_of_hot_rows_are_heap_only() {
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
async fn the_cost_of_a_pop_does_not_depend_on_the_number_of_jobs() {
    let database = TestDatabase::own().await;
    let mut db = database.admin().await;
    // The blocks that it reads would be counted too.
    let still = "alter table tenant.jobs set (autovacuum_enabled = false);
                 alter table tenant.queues set (autovacuum_enabled = false)";
    db.execute(still).await.unwrap();
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
    let queues = "insert into tenant.queues (payer, queue, last_place, ranks, heads, has_more_ranks, due_at)
                   select payer, queue, max(place), array[-1], array[1], false, now() + interval '1 hour'
                     from tenant.jobs group by payer, queue";
    db.execute(queues).await.unwrap();
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
