//! The turn: an error in one call, one payer or one connection does not affect the others.

use std::time::Duration;

use futures_util::future::join_all;
use payerbase::turn::LaneCounts;
use serde_json::json;
use sqlx::{Executor as _, PgConnection};
use tokio::task::JoinHandle;

use crate::support::{Answer, Caller, TestApp, TestDatabase};

/// Takes the lock of a payer, like a long turn of another server.
async fn lock_payer(admin: &mut PgConnection, caller: &Caller) {
    let lock = "select pg_advisory_lock(tenant.payer_lock($1))";
    sqlx::query(lock).bind(caller.payer.as_str()).execute(admin).await.unwrap();
}

/// Waits until a session is blocked by a lock that `admin` holds.
async fn wait_for_waiter(admin: &mut PgConnection) {
    let waits = "select count(*) from pg_stat_activity where pg_backend_pid() = any (pg_blocking_pids(pid))";
    for _ in 0..400 {
        let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&mut *admin).await.unwrap();
        if waiting > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no session waits for the lock");
}

/// Locks the row of a counter, so that the next write of it hangs in its turn.
async fn lock_row(admin: &mut PgConnection, caller: &Caller) {
    admin.execute("begin").await.unwrap();
    let row = "select from tenant.counters where payer = $1 for update";
    sqlx::query(row).bind(caller.payer.as_str()).execute(admin).await.unwrap();
}

/// Sends a second increment that hangs in its turn until the transaction of the connection ends.
async fn hang(app: &TestApp, caller: &Caller) -> (JoinHandle<Answer>, PgConnection) {
    caller.increment("a", json!({})).await.ok();
    let mut admin = app.database.admin().await;
    lock_row(&mut admin, caller).await;
    let hanging = tokio::spawn({
        let caller = caller.clone();
        async move { caller.increment("a", json!({})).await }
    });
    wait_for_waiter(&mut admin).await;
    (hanging, admin)
}

#[tokio::test]
async fn a_failed_call_does_not_fail_other_calls_of_its_batch() {
    let database = TestDatabase::own().await;
    let constraint = "alter table tenant.counters add constraint poison check (name <> 'poison')";
    database.admin().await.execute(constraint).await.unwrap();
    let app = TestApp::on(database);
    let callers = join_all((0..8).map(|_| app.caller())).await;
    for _ in 0..5 {
        let calls = (0..80).map(|n| {
            let name = if n % 20 == 7 { "poison" } else { "good" };
            let caller = &callers[n % 8];
            async move { (name, caller.increment(name, json!({})).await) }
        });
        for (name, answer) in join_all(calls).await {
            match name {
                "poison" => {
                    let problem = answer.problem(500, "internal");
                    assert!(
                        !problem.to_string().contains("constraint"),
                        "the problem hides the database error: {problem}"
                    );
                }
                _ => drop(answer.ok()),
            }
        }
    }
    let values = join_all(callers.iter().map(|caller| caller.value("good"))).await;
    assert_eq!(values.iter().sum::<i64>(), 5 * 76, "each valid call ran once, although its batch ran again");
}

#[tokio::test]
async fn a_busy_payer_does_not_delay_other_payers() {
    let app = TestApp::spawn().await;
    let (busy, others) = (app.caller().await, join_all((0..10).map(|_| app.caller())).await);
    let mut admin = app.database.admin().await;
    lock_payer(&mut admin, &busy).await;
    let waiting = tokio::spawn({
        let busy = busy.clone();
        async move { busy.increment("a", json!({})).await }
    });
    wait_for_waiter(&mut admin).await;
    for other in &others {
        other.increment("a", json!({})).await.ok();
        // Some of these payers share the busy payer's lane.
        assert!(!waiting.is_finished());
    }
    admin.execute("select pg_advisory_unlock_all()").await.unwrap();
    assert_eq!(waiting.await.unwrap().ok()["value"], 1);
}

#[tokio::test]
async fn a_call_of_a_payer_that_stays_busy_fails_with_503() {
    let app = TestApp::spawn().await;
    let busy = app.caller().await;
    let mut admin = app.database.admin().await;
    lock_payer(&mut admin, &busy).await;
    busy.increment("a", json!({})).await.problem(503, "payer-busy");
    busy.get("/v1/counters/a").await.problem(404, "not-found");
    admin.execute("select pg_advisory_unlock_all()").await.unwrap();
    assert_eq!(busy.increment("a", json!({})).await.ok()["value"], 1);
}

#[tokio::test]
async fn more_busy_payers_than_connections_wait_for_their_locks() {
    let app = TestApp::on(TestDatabase::own().await);
    let busy = join_all((0..12).map(|_| app.caller())).await;
    let mut admin = app.database.admin().await;
    for caller in &busy {
        lock_payer(&mut admin, caller).await;
    }
    let mut others = app.database.admin().await;
    let unlock = async {
        let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut others).await.unwrap() == 0 {}
        admin.execute("select pg_advisory_unlock_all()").await.unwrap();
    };
    let calls = join_all(busy.iter().map(|caller| caller.increment("a", json!({}))));
    for answer in tokio::join!(calls, unlock).0 {
        assert_eq!(answer.ok()["value"], 1);
    }
}

#[tokio::test]
async fn every_busy_payer_waits_not_only_those_with_a_connection() {
    let app = TestApp::on(TestDatabase::own().await);
    let busy = join_all((0..12).map(|_| app.caller())).await;
    let mut admin = app.database.admin().await;
    for caller in &busy {
        lock_payer(&mut admin, caller).await;
    }
    // Half of the time that a call waits for the lock of its payer.
    let unlock = async {
        tokio::time::sleep(Duration::from_millis(1_750)).await;
        admin.execute("select pg_advisory_unlock_all()").await.unwrap();
    };
    let calls = join_all(busy.iter().map(|caller| caller.increment("a", json!({}))));
    for answer in tokio::join!(calls, unlock).0 {
        assert_eq!(answer.ok()["value"], 1);
    }
}

#[tokio::test]
async fn two_servers_share_a_payer_and_no_increment_is_lost() {
    let (one, two) = (TestApp::spawn().await, TestApp::spawn().await);
    let caller = one.caller().await;
    let mut other = caller.clone();
    other.url.clone_from(&two.url);
    // Sequential clients cause many small turns, which collide more often than a few large ones.
    let clients = (0..16).map(|n| {
        let caller = if n % 2 == 0 { &caller } else { &other };
        async move {
            for _ in 0..25 {
                // With new bounds, a call reads the counter before it writes it: without the lock, updates would be
                // lost.
                while caller.increment("a", json!({"max": 1_000})).await.status != 200 {}
            }
        }
    });
    join_all(clients).await;
    assert_eq!(caller.value("a").await, 400);
    assert_eq!(other.value("a").await, 400);
}

#[tokio::test]
async fn a_write_on_a_broken_connection_has_an_unknown_outcome() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    let (hanging, mut admin) = hang(&app, &caller).await;
    let kill =
        "select pg_terminate_backend(pid) from pg_stat_activity where pg_backend_pid() = any (pg_blocking_pids(pid))";
    admin.execute(kill).await.unwrap();
    hanging.await.unwrap().problem(503, "outcome-unknown");
    admin.execute("commit").await.unwrap();
    assert_eq!(caller.increment("a", json!({})).await.ok()["value"], 2, "the lane has a new connection");
}

#[tokio::test]
async fn a_hanging_call_times_out_and_the_rest_of_its_batch_runs_once() {
    let app = TestApp::on(TestDatabase::own().await);
    let (hanging, neighbours) = (app.caller().await, join_all((0..20).map(|_| app.caller())).await);
    hanging.increment("a", json!({})).await.ok();
    let mut admin = app.database.admin().await;
    lock_row(&mut admin, &hanging).await;
    let calls = neighbours.iter().chain([&hanging]).map(|caller| caller.increment("a", json!({})));
    let mut answers = join_all(calls).await;
    answers.pop().unwrap().problem(503, "payer-busy");
    for answer in answers {
        answer.ok();
    }
    admin.execute("commit").await.unwrap();
    assert_eq!(hanging.increment("a", json!({})).await.ok()["value"], 2, "the refused call had no effect");
    for neighbour in &neighbours {
        assert_eq!(neighbour.value("a").await, 1);
    }
}

#[tokio::test]
async fn a_full_inbox_refuses_only_the_payer_that_fills_it() {
    let app = TestApp::on(TestDatabase::own().await);
    let (hot, other) = (app.caller().await, app.caller().await);
    for caller in [&hot, &other] {
        caller.increment("a", json!({})).await.ok();
    }
    let mut admin = app.database.admin().await;
    lock_payer(&mut admin, &hot).await;
    let flood = join_all((0..1_500).map(|_| hot.increment("a", json!({}))));
    let (answers, others) = tokio::join!(flood, join_all((0..20).map(|_| other.increment("a", json!({})))));
    admin.execute("select pg_advisory_unlock_all()").await.unwrap();
    let count = |code: &str| -> i64 {
        let found =
            answers.iter().filter(|answer| answer.json().get("code").is_some_and(|found| found == code)).count();
        i64::try_from(found).unwrap()
    };
    let acknowledged = i64::try_from(answers.iter().filter(|answer| answer.status == 200).count()).unwrap();
    let (refused, unknown) = (count("payer-busy") + count("overloaded"), count("outcome-unknown"));
    assert_eq!(acknowledged + refused + unknown, 1_500);
    assert!(refused > 0);
    for answer in others {
        answer.ok();
    }
    let value = hot.value("a").await - 1;
    assert!((acknowledged..=acknowledged + unknown).contains(&value), "{acknowledged} <= {value} <= + {unknown}");
}

#[tokio::test]
async fn a_turn_on_the_wrong_node_is_reported_as_not_run() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    let misrouted =
        "create or replace function rpc.increment(p_payer text, p_params jsonb) returns json language plpgsql as $$
        begin
          raise exception using errcode = '08006', message = 'role is not permitted to log in';
        end $$";
    app.database.admin().await.execute(misrouted).await.unwrap();
    caller.increment("a", json!({})).await.problem(503, "database-unavailable");
    assert_eq!(caller.post("/v1/counters/a/decrement", json!({})).await.ok()["value"], -1);
}

/// Raises an error of PostgreSQL in a function.
async fn raise(app: &TestApp, function: &str, sqlstate: &str) {
    let body =
        format!("raise exception using errcode = '{sqlstate}', message = 'could not extend file: No space left'");
    let raising = format!("create or replace function {function} language plpgsql as $$ begin {body}; end $$");
    app.database.admin().await.execute(sqlx::AssertSqlSafe(raising)).await.unwrap();
}

/// Disk space, memory, connections: nothing was changed, and the next attempt may find room.
#[tokio::test]
async fn a_database_without_resources_is_503_and_nothing_is_changed() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    for sqlstate in ["53100", "53200", "53300", "53400", "53000"] {
        raise(&app, "rpc.increment(p_payer text, p_params jsonb) returns json", sqlstate).await;
        let answer = caller.increment("a", json!({})).await;
        assert_eq!(answer.headers["retry-after"], "30");
        let problem = answer.problem(503, "database-exhausted");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("Nothing was changed") && !detail.contains("extend"), "{detail}");
    }
    caller.get("/v1/counters/a").await.problem(404, "not-found");
    // A read, a slow read and a slug, each by its own way.
    raise(&app, "rpc.get_counter(p_payer text, p_params jsonb) returns json", "53100").await;
    caller.get("/v1/counters/a").await.problem(503, "database-exhausted");
    raise(&app, "rpc.list_counters(p_payer text, p_params jsonb) returns json", "53200").await;
    caller.get("/v1/counters").await.problem(503, "database-exhausted");
    let hold =
        "slug.hold(p_slug text, p_payer text, out held boolean, out is_new boolean, out reserved_at timestamptz)";
    raise(&app, hold, "53100").await;
    caller.post("/v1/links", json!({"url": "https://example.org/"})).await.problem(503, "database-exhausted");
    assert_eq!(caller.post("/v1/counters/a/decrement", json!({})).await.ok()["value"], -1);
}

#[tokio::test]
async fn a_server_finishes_running_calls_before_it_stops() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    let (hanging, mut admin) = hang(&app, &caller).await;
    let stopping = tokio::spawn(app.stop());
    // Wait until the server accepts no new connections.
    let timeout = Duration::from_millis(200);
    let fresh = || reqwest::Client::builder().timeout(timeout).build().unwrap().get(format!("{}/healthz", caller.url));
    while fresh().send().await.is_ok() {}
    assert!(!stopping.is_finished());
    admin.execute("commit").await.unwrap();
    assert_eq!(hanging.await.unwrap().ok()["value"], 2);
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_call_that_takes_too_long_does_not_fail_the_rest_of_its_batch() {
    let app = TestApp::on(TestDatabase::own().await);
    let stuck = "create or replace function rpc.delete_counter(p_payer text, p_params jsonb) returns json language plpgsql as $$
        begin
          perform pg_sleep(10);
          return rpc.problem('not-found');
        end $$";
    app.database.admin().await.execute(stuck).await.unwrap();
    let (culprit, neighbours) = (app.caller().await, join_all((0..20).map(|_| app.caller())).await);
    let stuck = culprit.delete("/v1/counters/a");
    let calls = join_all(neighbours.iter().map(|caller| caller.increment("a", json!({}))));
    let (stuck, answers) = tokio::join!(stuck, calls);
    stuck.problem(503, "overloaded");
    for answer in answers {
        assert_eq!(answer.ok()["value"], 1, "each call had its effect once");
    }
}

#[tokio::test]
async fn a_heavy_call_does_not_delay_the_light_calls_of_other_payers() {
    let app = TestApp::set(TestDatabase::own().await, |settings| settings.lanes = LaneCounts { write: 1, read: 1 });
    let (heavy, other) = (app.caller().await, app.caller().await);
    let mut admin = app.database.admin().await;
    let wait =
        "create or replace function rpc.purge_queue(p_payer text, p_params jsonb) returns json language plpgsql as $$
        begin
          while not pg_try_advisory_xact_lock(1) loop
            perform pg_sleep(0.01);
          end loop;
          return json_build_object('ok', json_build_object('purged', 0, 'hasMore', false));
        end $$";
    admin.execute(wait).await.unwrap();
    admin.execute("select pg_advisory_lock(1)").await.unwrap();
    let purge = tokio::spawn({
        let heavy = heavy.clone();
        async move { heavy.delete("/v1/queues/q/jobs").await }
    });
    let runs = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    while sqlx::query_scalar::<_, i64>(runs).fetch_one(&mut admin).await.unwrap() == 0 {}
    other.increment("a", json!({})).await.ok();
    let held_back = tokio::spawn({
        let heavy = heavy.clone();
        async move { heavy.increment("a", json!({})).await }
    });
    other.increment("a", json!({})).await.ok();
    assert!(!purge.is_finished() && !held_back.is_finished());
    admin.execute("select pg_advisory_unlock_all()").await.unwrap();
    purge.await.unwrap().ok();
    held_back.await.unwrap().ok();
}

/// What a list costs is known only once it ran.
#[tokio::test]
async fn slow_lists_of_strangers_leave_connections_for_short_ones() {
    let app = TestApp::on(TestDatabase::own().await);
    let known = app.caller().await;
    let mut admin = app.database.admin().await;
    let wait = format!(
        "alter function rpc.list_counters(text, jsonb) rename to list_counters_at_last;
        create function rpc.list_counters(p_payer text, p_params jsonb) returns json language plpgsql as $$
        begin
          while p_payer <> '{}' and not pg_try_advisory_xact_lock(1) loop
            perform pg_sleep(0.01);
          end loop;
          return rpc.list_counters_at_last(p_payer, p_params);
        end $$;
        grant execute on function rpc.list_counters(text, jsonb) to payerbase_app",
        known.payer
    );
    admin.execute(sqlx::AssertSqlSafe(wait)).await.unwrap();
    known.get("/v1/counters").await.ok();
    admin.execute("select pg_advisory_lock(1)").await.unwrap();
    let strangers = join_all((0..8).map(|_| app.caller())).await;
    let lists: Vec<_> =
        strangers.into_iter().map(|stranger| tokio::spawn(async move { stranger.get("/v1/counters").await })).collect();
    let running = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    while sqlx::query_scalar::<_, i64>(running).fetch_one(&mut admin).await.unwrap() < 3 {}
    known.get("/v1/counters").await.ok();
    admin.execute("select pg_advisory_unlock_all()").await.unwrap();
    for list in lists {
        list.await.unwrap().ok();
    }
}
