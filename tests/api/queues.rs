//! Queues: order, leases, retries, groups, and faulty workers.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Answer, Caller, TestApp};

async fn push(caller: &Caller, job: Value) -> Value {
    caller.post("/v1/queues/q/jobs", job).await.ok()
}

async fn pop(caller: &Caller) -> Option<Value> {
    let answer = caller.post("/v1/queues/q/pop", json!({"leaseMs": 60_000})).await;
    match answer.status.as_u16() {
        204 => None,
        _ => Some(answer.ok()),
    }
}

async fn act(caller: &Caller, job: &Value, what: &str, body: Value) -> Answer {
    caller.post(&format!("/v1/jobs/{}/{what}", job["id"].as_str().unwrap()), body).await
}

async fn read(caller: &Caller, job: &Value) -> Value {
    caller.get(&format!("/v1/jobs/{}", job["id"].as_str().unwrap())).await.ok()
}

async fn status(caller: &Caller) -> Value {
    caller.get("/v1/queues/q").await.ok()
}

/// Expires every lease of the payer, and makes its delayed jobs due.
async fn end_leases_and_delays(app: &TestApp, caller: &Caller) {
    let mut admin = app.database.admin().await;
    for update in [
        "update tenant.jobs set due_at = clock_timestamp() where payer = $1 and state in ('delayed', 'running')",
        "update tenant.jobs set run_at = due_at where payer = $1 and state = 'delayed'",
        "update tenant.queues set due_at = clock_timestamp() where payer = $1",
    ] {
        sqlx::query(update).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    }
}

#[tokio::test]
async fn a_job_is_pushed_popped_and_completed() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    assert_eq!(pop(&caller).await, None);
    let pushed = caller.post("/v1/queues/q/jobs", json!({"payload": {"invoice": 17}})).await;
    assert_eq!(pushed.status, 201);
    let pushed = pushed.ok();
    assert_eq!(
        (&pushed["status"], &pushed["attempts"], &pushed["maxAttempts"]),
        (&json!("pending"), &json!(0), &json!(3))
    );
    let popped = pop(&caller).await.unwrap();
    assert_eq!((&popped["id"], &popped["status"], &popped["attempts"]), (&pushed["id"], &json!("running"), &json!(1)));
    assert_eq!(popped["payload"], json!({"invoice": 17}));
    assert_eq!(pop(&caller).await, None);
    let done = act(&caller, &popped, "complete", json!({"lease": popped["lease"], "result": [1]})).await.ok();
    assert_eq!(
        (&done["status"], &done["result"], &done["leaseExpiresAt"]),
        (&json!("completed"), &json!([1]), &json!(null))
    );
    assert_eq!(read(&caller, &popped).await["errors"], json!([]));
    let counted = status(&caller).await;
    assert_eq!(
        (&counted["completed"], &counted["total"], &counted["oldestPendingAt"]),
        (&json!(1), &json!(1), &json!(null))
    );
}

#[tokio::test]
async fn jobs_are_popped_by_priority_and_then_in_push_order() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let jobs: Vec<Value> = [0, 5, -32_768, 5, 32_767, 0]
        .iter()
        .enumerate()
        .map(|(place, priority)| json!({"payload": place, "priority": priority}))
        .collect();
    let pushed = caller.post("/v1/queues/q/jobs/batch", json!({"jobs": jobs})).await;
    assert_eq!(pushed.status, 201);
    assert_eq!(pushed.ok()["jobs"].as_array().unwrap().len(), 6);
    let popped = caller.post("/v1/queues/q/pop/batch", json!({"count": 4})).await.ok();
    let payloads: Vec<_> = popped["jobs"].as_array().unwrap().iter().map(|job| job["payload"].clone()).collect();
    assert_eq!(payloads, [4, 1, 3, 0]);
    assert_eq!(popped["jobs"][0]["priority"], 32_767);
    assert_eq!(pop(&caller).await.unwrap()["payload"], 5);
    let last = pop(&caller).await.unwrap();
    assert_eq!((&last["payload"], &last["priority"]), (&json!(2), &json!(-32_768)));
}

#[tokio::test]
async fn a_queue_keeps_order_with_more_priorities_than_its_row_holds() {
    const PRIORITIES: i64 = 150;
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for half in 0..2 {
        let numbers = (half * PRIORITIES / 2)..((half + 1) * PRIORITIES / 2);
        // Each priority once, in a mixed order: 7 and the number of priorities have no common divisor.
        let jobs: Vec<Value> = numbers.map(|n| json!({"payload": n, "priority": n * 7 % PRIORITIES})).collect();
        assert_eq!(caller.post("/v1/queues/q/jobs/batch", json!({"jobs": jobs})).await.status, 201);
    }
    let oldest = status(&caller).await["oldestPendingAt"].clone();
    for priority in (0..PRIORITIES).rev() {
        if priority == PRIORITIES / 2 {
            // One job that is next, and one with a priority that the queue's row no longer holds.
            push(&caller, json!({"payload": "last", "priority": -1})).await;
            push(&caller, json!({"payload": "next", "priority": PRIORITIES})).await;
            assert_eq!(pop(&caller).await.unwrap()["payload"], "next");
        }
        let job = pop(&caller).await.unwrap();
        assert_eq!(job["priority"], priority);
        if job["payload"] == 0 {
            assert_eq!(job["createdAt"], oldest);
        }
    }
    assert_eq!(pop(&caller).await.unwrap()["payload"], "last");
    assert_eq!(pop(&caller).await, None);
}

#[tokio::test]
async fn a_job_with_an_expired_lease_goes_to_the_next_worker() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    push(&caller, json!({"payload": 1, "maxAttempts": 2})).await;
    let first = pop(&caller).await.unwrap();
    end_leases_and_delays(&app, &caller).await;
    let second = pop(&caller).await.unwrap();
    assert_eq!((&second["id"], &second["attempts"]), (&first["id"], &json!(2)));
    for (what, body) in [
        ("complete", json!({"lease": first["lease"]})),
        ("fail", json!({"lease": first["lease"], "error": "late"})),
        ("extend", json!({"lease": first["lease"], "leaseMs": 1_000})),
    ] {
        act(&caller, &first, what, body).await.problem(409, "lease-lost");
    }
    let extended = act(&caller, &second, "extend", json!({"lease": second["lease"], "leaseMs": 1_000})).await.ok();
    assert_eq!(extended["leaseExpiresAt"], second["leaseExpiresAt"], "an extension never shortens a lease");
    end_leases_and_delays(&app, &caller).await;
    // No attempts are left: the sweeper, or the first call on the job, makes it dead.
    app.until(async || read(&caller, &first).await["finishedAt"].is_string()).await;
    let dead = read(&caller, &first).await;
    assert_eq!(
        (&dead["status"], &dead["attempts"], &dead["error"]),
        (&json!("dead"), &json!(2), &json!("the lease ran out"))
    );
    assert_eq!(dead["errors"].as_array().unwrap().len(), 2);
    let problem = act(&caller, &first, "complete", json!({})).await.problem(409, "job-not-running");
    assert_eq!(problem["jobStatus"], "dead");
}

#[tokio::test]
async fn a_failed_job_is_retried_until_no_attempts_are_left() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    push(&caller, json!({"payload": 1, "maxAttempts": 2, "backoffMs": 3_600_000})).await;
    let first = pop(&caller).await.unwrap();
    let failed = act(&caller, &first, "fail", json!({"error": "no route", "retryInMs": 60_000})).await.ok();
    assert_eq!((&failed["status"], &failed["error"]), (&json!("pending"), &json!("no route")));
    assert_eq!(pop(&caller).await, None, "the job is not due yet");
    assert_eq!(status(&caller).await["delayed"], 1);
    end_leases_and_delays(&app, &caller).await;
    assert_eq!(status(&caller).await["pending"], 1);
    let second = pop(&caller).await.unwrap();
    let dead = act(&caller, &second, "fail", json!({"error": "no route", "lease": second["lease"]})).await.ok();
    assert_eq!(dead["status"], "dead");
    assert_eq!(caller.post("/v1/queues/q/retry-dead", json!({})).await.ok()["retried"], 1);
    let third = pop(&caller).await.unwrap();
    assert_eq!((&third["id"], &third["attempts"]), (&first["id"], &json!(1)));
    let given_up = act(&caller, &third, "fail", json!({"error": "never", "retry": false})).await.ok();
    assert_eq!(given_up["status"], "dead", "although an attempt was left");
    assert_eq!(read(&caller, &first).await["errors"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_group_runs_one_job_at_a_time_and_skips_delayed_jobs() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    push(&caller, json!({"payload": "late", "group": "g", "delayMs": 60_000})).await;
    for number in 0..3 {
        // Within a group, priorities do not change the order.
        push(&caller, json!({"payload": number, "group": "g", "priority": number})).await;
    }
    push(&caller, json!({"payload": "other", "group": "h", "priority": -1})).await;
    let first = pop(&caller).await.unwrap();
    assert_eq!(first["payload"], 0);
    assert_eq!(pop(&caller).await.unwrap()["payload"], "other");
    assert_eq!(pop(&caller).await, None);
    act(&caller, &first, "fail", json!({"error": "again", "retryInMs": 0})).await.ok();
    let again = pop(&caller).await.unwrap();
    assert_eq!((&again["payload"], &again["attempts"]), (&json!(0), &json!(2)), "the job keeps its place in the group");
    act(&caller, &again, "complete", json!({})).await.ok();
    let second = pop(&caller).await.unwrap();
    assert_eq!(second["payload"], 1);
    end_leases_and_delays(&app, &caller).await;
    // The lease has expired, and the delayed job, which was pushed first, is due.
    assert_eq!(pop(&caller).await.unwrap()["payload"], "late");
}

#[tokio::test]
async fn a_dedup_key_is_free_again_after_its_job_has_finished() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let job = json!({"payload": 1, "dedupKey": "k"});
    let first = push(&caller, job.clone()).await;
    let second = caller.post("/v1/queues/q/jobs", json!({"payload": 2, "dedupKey": "k"})).await;
    assert_eq!(second.status, 200);
    let second = second.ok();
    assert_eq!((&second["id"], &second["deduplicated"], &second["payload"]), (&first["id"], &json!(true), &json!(1)));
    caller.post("/v1/queues/other/jobs", job.clone()).await.ok();
    let batch = json!({"jobs": [job, {"payload": 3, "dedupKey": "l"}, {"payload": 4, "dedupKey": "l"}]});
    let batch = caller.post("/v1/queues/q/jobs/batch", batch).await.ok();
    let same: Vec<_> = batch["jobs"].as_array().unwrap().iter().map(|job| job["deduplicated"].clone()).collect();
    assert_eq!(same, [true, false, true]);
    let popped = pop(&caller).await.unwrap();
    assert_eq!(push(&caller, json!({"payload": 5, "dedupKey": "k"})).await["id"], first["id"], "the job still runs");
    act(&caller, &popped, "complete", json!({})).await.ok();
    assert_ne!(push(&caller, json!({"payload": 6, "dedupKey": "k"})).await["id"], first["id"]);
}

#[tokio::test]
async fn running_and_finished_jobs_cannot_be_cancelled() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let job = push(&caller, json!({"payload": 1})).await;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let popped = pop(&caller).await.unwrap();
    let problem = caller.delete(&path).await.problem(409, "job-not-pending");
    assert_eq!(problem["jobStatus"], "running");
    act(&caller, &popped, "complete", json!({})).await.ok();
    caller.delete(&path).await.problem(409, "job-not-pending");
    let late = push(&caller, json!({"payload": 1, "runAt": "2999-01-01T00:00:00Z"})).await;
    let path = format!("/v1/jobs/{}", late["id"].as_str().unwrap());
    assert_eq!(caller.delete(&path).await.status, 204);
    caller.get(&path).await.problem(404, "not-found");
}

#[tokio::test]
async fn pages_of_a_list_contain_every_job_once() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for number in 0..7 {
        push(
            &caller,
            json!({"payload": number, "priority": number % 3, "delayMs": if number == 6 { 60_000 } else { 0 }}),
        )
        .await;
    }
    pop(&caller).await.unwrap();
    let done = pop(&caller).await.unwrap();
    act(&caller, &done, "complete", json!({})).await.ok();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("/v1/queues/q/jobs?limit=2{cursor}")).await.ok();
        seen.extend(page["items"].as_array().unwrap().iter().map(|job| job["payload"].as_i64().unwrap()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    for (wanted, count) in [("pending", 5), ("running", 1), ("completed", 1), ("dead", 0)] {
        let page = caller.get(&format!("/v1/queues/q/jobs?status={wanted}")).await.ok();
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{wanted}");
    }
    for bad in ["status=waiting", "cursor=eA", "cursor=YS8xLzI", "limit=0", "limit=x"] {
        let answer = caller.get(&format!("/v1/queues/q/jobs?{bad}")).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422) || bad == "cursor=YS8xLzI", "{bad}: {answer:?}");
    }
    caller.post("/v1/queues/r/jobs", json!({"payload": 1})).await.ok();
    let queues = caller.get("/v1/queues?limit=1").await.ok();
    assert_eq!(queues["items"][0], status(&caller).await);
    let queues =
        caller.get(&format!("/v1/queues?limit=1&cursor={}", queues["nextCursor"].as_str().unwrap())).await.ok();
    assert_eq!((&queues["items"][0]["queue"], &queues["nextCursor"]), (&json!("r"), &json!(null)));
    let purged = caller.delete("/v1/queues/q/jobs?status=completed").await.ok();
    assert_eq!(purged, json!({"purged": 1, "hasMore": false}));
    assert_eq!(caller.delete("/v1/queues/q/jobs").await.ok()["purged"], 5);
    let left = status(&caller).await;
    assert_eq!((&left["running"], &left["total"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_push_wakes_waiting_workers_in_order_of_arrival() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    assert_eq!(pop(&caller).await, None);
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let caller = caller.clone();
        waiting.push(tokio::spawn(async move {
            caller.post("/v1/queues/q/pop", json!({"waitMs": 15_000})).await.ok()["payload"].clone()
        }));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut waiting = waiting.into_iter();
    for number in 0..2 {
        push(&caller, json!({"payload": number})).await;
        assert_eq!(waiting.next().unwrap().await.unwrap(), number);
    }
    // Two jobs in one push wake two waiters.
    caller.post("/v1/queues/q/jobs/batch", json!({"jobs": [{"payload": 2}, {"payload": 3}]})).await.ok();
    let mut rest = Vec::new();
    for waiter in waiting {
        rest.push(waiter.await.unwrap().as_i64().unwrap());
    }
    rest.sort_unstable();
    assert_eq!(rest, [2, 3]);
    assert_eq!(caller.post("/v1/queues/q/pop", json!({"waitMs": 100})).await.status, 204);
    let none: Vec<Value> = Vec::new();
    let batch = caller.post("/v1/queues/q/pop/batch", json!({"count": 3, "waitMs": 100})).await.ok();
    assert_eq!(batch["jobs"], json!(none));
}

#[tokio::test]
async fn invalid_input_is_refused_and_changes_no_data() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for (body, pointer) in [
        (json!({"payload": 1, "priority": 32_768}), "/priority"),
        (json!({"payload": 1, "delayMs": -1}), "/delayMs"),
        (json!({"payload": 1, "delayMs": 31_536_000_001_i64}), "/delayMs"),
        (json!({"payload": 1, "delayMs": 1, "runAt": "2030-01-01T00:00:00Z"}), "/runAt"),
        (json!({"payload": 1, "runAt": "tomorrow"}), "/runAt"),
        (json!({"payload": 1, "runAt": "+10000-01-01T00:00:00Z"}), "/runAt"),
        (json!({"payload": 1, "runAt": "0000-01-01T00:00:00Z"}), "/runAt"),
        (json!({"payload": 1, "runAt": "9999-12-31T23:59:59-23:59"}), "/runAt"),
        (json!({"payload": 1, "maxAttempts": 0}), "/maxAttempts"),
        (json!({"payload": 1, "backoffMs": 3_600_001}), "/backoffMs"),
        (json!({"payload": 1, "dedupKey": ""}), "/dedupKey"),
        (json!({"payload": 1, "group": "x".repeat(257)}), "/group"),
    ] {
        let problem = caller.post("/v1/queues/q/jobs", body).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    for (depth, status, code) in [(65, 422, "invalid-value"), (120, 422, "invalid-value"), (200, 400, "invalid-json")] {
        let deep = format!("{{\"payload\": {}1{}}}", "[".repeat(depth), "]".repeat(depth)).into();
        let deep = caller.send(reqwest::Method::POST, "/v1/queues/q/jobs", Some(("application/json", deep))).await;
        deep.problem(status, code);
    }
    for body in [json!({}), json!({"payload": 1, "id": "x"})] {
        caller.post("/v1/queues/q/jobs", body).await.problem(400, "invalid-json");
    }
    let none: Vec<Value> = Vec::new();
    for (path, body) in [
        ("queues/q/jobs/batch", json!({"jobs": none})),
        ("queues/q/jobs/batch", json!({"jobs": vec![json!({"payload": 1}); 101]})),
        ("queues/q/pop", json!({"leaseMs": 999})),
        ("queues/q/pop/batch", json!({"count": 101})),
        ("queues/q/pop/batch", json!({"count": 0})),
        ("jobs/nothing/complete", json!({})),
        ("jobs/00000000-0000-0000-0000-000000000000/complete", json!({"lease": "x"})),
    ] {
        caller.post(&format!("/v1/{path}"), body).await.problem(422, "invalid-value");
    }
    assert_eq!(status(&caller).await["total"], 0);
}

#[tokio::test]
async fn a_payload_is_at_most_256_kib() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let fits = json!({"payload": "x".repeat(262_142)});
    assert_eq!(push(&caller, fits).await["payload"].as_str().unwrap().len(), 262_142);
    let job = pop(&caller).await.unwrap();
    for payload in [json!("x".repeat(262_143)), json!(vec![1e300; 1_000])] {
        let problem =
            caller.post("/v1/queues/q/jobs", json!({"payload": payload})).await.problem(413, "payload-too-large");
        assert_eq!(problem["limitBytes"], 262_144);
        caller
            .post("/v1/queues/q/jobs/batch", json!({"jobs": [{"payload": 1}, {"payload": payload}]}))
            .await
            .problem(413, "payload-too-large");
        act(&caller, &job, "complete", json!({"result": payload})).await.problem(413, "payload-too-large");
    }
    assert_eq!(status(&caller).await["total"], 1);
}

#[tokio::test]
async fn finished_jobs_are_deleted_after_their_retention() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for number in 0..4 {
        push(&caller, json!({"payload": number})).await;
    }
    for end in ["complete", "complete", "fail", "fail"] {
        let job = pop(&caller).await.unwrap();
        let body = if end == "fail" { json!({"error": "x", "retry": false}) } else { json!({}) };
        act(&caller, &job, end, body).await.ok();
    }
    let mut admin = app.database.admin().await;
    // Move the deletion of the first completed job back by 25 hours, and of the first dead job by 337 hours.
    for (state, age) in [("completed", "25 hours"), ("dead", "337 hours")] {
        let age = format!(
            "update tenant.jobs set due_at = due_at - interval '{age}' where payer = $1 and state = '{state}'
               and id = (select id from tenant.jobs where payer = $1 and state = '{state}' order by place limit 1)"
        );
        sqlx::query(sqlx::AssertSqlSafe(age)).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    }
    app.until(async || status(&caller).await["total"] == 2).await;
    let left = status(&caller).await;
    assert_eq!((&left["completed"], &left["dead"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn payloads_are_returned_unchanged() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let deepest = (0..64).fold(json!(1), |inner, _| json!([inner]));
    let doubles: Vec<f64> = (0..1_000).map(|_| rand::random::<f64>() * 1e9).collect();
    for payload in [deepest, json!(doubles), json!(i64::MIN), json!(u64::MAX), json!({"b": 1, "a": "\u{10FFFF}\r\n"})] {
        let pushed = push(&caller, json!({"payload": payload})).await;
        assert_eq!(pushed["payload"], payload);
        assert_eq!(read(&caller, &pushed).await["payload"], payload);
        assert_eq!(pop(&caller).await.unwrap()["payload"], payload);
    }
    assert_eq!(caller.get("/v1/queues/q/jobs").await.ok()["items"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_page_of_large_jobs_ends_early_with_a_cursor() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for _ in 0..20 {
        push(&caller, json!({"payload": "x".repeat(250_000)})).await;
    }
    let first = caller.get("/v1/queues/q/jobs").await.ok();
    let cursor = first["nextCursor"].as_str().unwrap();
    let rest = caller.get(&format!("/v1/queues/q/jobs?cursor={cursor}")).await.ok();
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&rest), &rest["nextCursor"]), (17, 3, &Value::Null));
}

#[tokio::test]
async fn a_waiter_that_disconnects_gets_no_job() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let address = caller.url.strip_prefix("http://").unwrap().to_owned();
    let mut waiting = TcpStream::connect(address).await.unwrap();
    let body = r#"{"waitMs":30000}"#;
    let token = caller.token.as_ref().unwrap().expose_secret();
    let request = format!(
        "POST /v1/queues/q/pop HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    waiting.write_all(request.as_bytes()).await.unwrap();
    app.until(async || app.metric("payerbase_waiting").await == 1).await;
    waiting.shutdown().await.unwrap();
    app.until(async || app.metric("payerbase_waiting").await == 0).await;
    push(&caller, json!({"payload": 1})).await;
    assert_eq!(pop(&caller).await.unwrap()["attempts"], 1);
}
