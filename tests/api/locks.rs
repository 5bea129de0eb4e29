//! Locks: leases, fences, and waiters in order of arrival.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp};

async fn acquire(caller: &Caller, name: &str, body: Value) -> Answer {
    caller.post(&format!("/v1/locks/{name}/acquire"), body).await
}

async fn release(caller: &Caller, name: &str, token: &Value) -> Answer {
    caller.post(&format!("/v1/locks/{name}/release"), json!({"token": token})).await
}

/// Expires every lease of the payer.
async fn expire(app: &TestApp, caller: &Caller) {
    let mut admin = app.database.admin().await;
    sqlx::query("update tenant.locks set expires_at = clock_timestamp() where payer = $1")
        .bind(caller.payer.as_str())
        .execute(&mut admin)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lock_has_one_holder_and_its_fence_rises() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let first = acquire(&caller, "a", json!({"ttlMs": 60_000, "metadata": {"worker": 1}})).await.ok();
    assert_eq!((&first["name"], &first["fence"]), (&json!("a"), &json!(1)));
    let held = acquire(&caller, "a", json!({"ttlMs": 60_000})).await.problem(409, "lock-held");
    assert_eq!(held["expiresAt"], first["expiresAt"]);
    assert!(held["expiresInMs"].as_u64().unwrap() <= 60_000);
    let seen = caller.get("/v1/locks/a").await.ok();
    assert_eq!((&seen["locked"], &seen["fence"], &seen["metadata"]), (&json!(true), &json!(1), &json!({"worker": 1})));
    assert!(seen.get("token").is_none());
    assert_eq!(caller.get("/v1/locks").await.ok()["items"], json!([seen]));
    assert_eq!(release(&caller, "a", &first["token"]).await.status, 204);
    assert_eq!(caller.get("/v1/locks/a").await.ok()["locked"], false);
    assert_eq!(caller.get("/v1/locks").await.ok()["items"], json!([]));
    release(&caller, "a", &first["token"]).await.problem(409, "lock-not-held");
    assert_eq!(acquire(&caller, "a", json!({"ttlMs": 60_000})).await.ok()["fence"], 2);
}

#[tokio::test]
async fn a_second_acquire_by_the_holder_returns_the_same_lease() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let body = json!({"ttlMs": 60_000, "token": "a token of my own"});
    let first = acquire(&caller, "a", body.clone()).await.ok();
    assert_eq!(acquire(&caller, "a", body.clone()).await.ok(), first);
    assert_eq!(first["token"], "a token of my own");
    expire(&app, &caller).await;
    assert_eq!(acquire(&caller, "a", body).await.ok()["fence"], 2, "an expired lease is not returned again");
}

#[tokio::test]
async fn an_expired_lease_cannot_be_extended_or_released() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let lease = acquire(&caller, "a", json!({"ttlMs": 60_000})).await.ok();
    let extend = async || caller.post("/v1/locks/a/extend", json!({"token": lease["token"], "ttlMs": 1_000})).await;
    let extended = extend().await.ok();
    assert_eq!((&extended["fence"], &extended["token"]), (&json!(1), &lease["token"]));
    assert_eq!(extended["expiresAt"], lease["expiresAt"], "an extension never shortens a lease");
    expire(&app, &caller).await;
    assert!(extend().await.problem(409, "lock-expired")["expiredAt"].is_string());
    release(&caller, "a", &lease["token"]).await.problem(409, "lock-expired");
    assert_eq!(caller.get("/v1/locks/a").await.ok()["locked"], false);
    let next = acquire(&caller, "a", json!({"ttlMs": 60_000})).await.ok();
    assert_eq!(next["fence"], 2);
    release(&caller, "a", &lease["token"]).await.problem(409, "lock-wrong-token");
    extend().await.problem(409, "lock-wrong-token");
    caller
        .post("/v1/locks/missing/extend", json!({"token": lease["token"], "ttlMs": 1_000}))
        .await
        .problem(409, "lock-not-held");
}

#[tokio::test]
async fn invalid_input_is_refused_and_changes_no_data() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for (body, pointer) in [
        (json!({"ttlMs": 999}), "/ttlMs"),
        (json!({"ttlMs": 86_400_001}), "/ttlMs"),
        (json!({"ttlMs": -1}), "/ttlMs"),
        (json!({"ttlMs": u64::MAX}), "/ttlMs"),
        (json!({"ttlMs": 1_000, "waitMs": 30_001}), "/waitMs"),
        (json!({"ttlMs": 1_000, "waitMs": -1}), "/waitMs"),
        (json!({"ttlMs": 1_000, "token": "15 characters.."}), "/token"),
        (json!({"ttlMs": 1_000, "token": "x".repeat(129)}), "/token"),
        (json!({"ttlMs": 1_000, "token": "sixteen characters \u{e4}"}), "/token"),
        (json!({"ttlMs": 1_000, "metadata": "x".repeat(4_095)}), "/metadata"),
        // All digits of a number count.
        (json!({"ttlMs": 1_000, "metadata": vec![1e308; 27]}), "/metadata"),
    ] {
        let problem = acquire(&caller, "a", body).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    for body in [json!({}), json!({"ttlMs": "1000"}), json!({"ttlMs": 1_000.5}), json!({"ttlMs": 1_000, "tll": 1})] {
        acquire(&caller, "a", body).await.problem(400, "invalid-json");
    }
    assert_eq!(caller.get("/v1/locks/a").await.ok()["fence"], json!(null));
}

/// Starts calls that wait for a held lock, one after the other, and then releases the lock.
async fn start_waiters(app: &TestApp, callers: usize) -> Vec<tokio::task::JoinHandle<Value>> {
    let caller = app.caller().await;
    let first = acquire(&caller, "a", json!({"ttlMs": 60_000})).await.ok();
    let mut waiting = Vec::new();
    for number in 0..callers {
        let caller = caller.clone();
        waiting.push(tokio::spawn(async move {
            let lease =
                acquire(&caller, "a", json!({"ttlMs": 60_000, "waitMs": 20_000, "metadata": number})).await.ok();
            release(&caller, "a", &lease["token"]).await.ok();
            lease
        }));
        // Each call arrives after the previous one.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    release(&caller, "a", &first["token"]).await.ok();
    waiting
}

#[tokio::test]
async fn waiters_are_served_in_order_of_arrival() {
    let app = TestApp::spawn().await;
    let mut fences = Vec::new();
    for waiter in start_waiters(&app, 8).await {
        fences.push(waiter.await.unwrap()["fence"].as_i64().unwrap());
    }
    assert_eq!(fences, [2, 3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_waiter_gets_an_expired_lock_or_times_out() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    acquire(&caller, "a", json!({"ttlMs": 1_000})).await.ok();
    let lease = acquire(&caller, "a", json!({"ttlMs": 60_000, "waitMs": 20_000})).await.ok();
    assert_eq!(lease["fence"], 2, "the first lease expired without a release");
    acquire(&caller, "a", json!({"ttlMs": 60_000, "waitMs": 300})).await.problem(409, "lock-held");
}

#[tokio::test]
async fn a_stopping_server_answers_its_waiters() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    acquire(&caller, "a", json!({"ttlMs": 60_000})).await.ok();
    let waiter = tokio::spawn({
        let caller = caller.clone();
        async move { acquire(&caller, "a", json!({"ttlMs": 60_000, "waitMs": 30_000})).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.stop().await;
    waiter.await.unwrap().problem(409, "lock-held");
}

#[tokio::test]
async fn fences_keep_increasing_after_a_lock_is_swept() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for _ in 0..3 {
        let lease = acquire(&caller, "a", json!({"ttlMs": 1_000})).await.ok();
        release(&caller, "a", &lease["token"]).await.ok();
    }
    let mut admin = app.database.admin().await;
    let age = "update tenant.locks set expires_at = expires_at - interval '2 hours' where payer = $1";
    sqlx::query(age).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    app.until(async || caller.get("/v1/me").await.ok()["usage"]["locks"] == 0).await;
    assert_eq!(acquire(&caller, "a", json!({"ttlMs": 1_000})).await.ok()["fence"], 4);
    assert_eq!(
        acquire(&caller, "b", json!({"ttlMs": 1_000})).await.ok()["fence"],
        4,
        "the fence of a new lock is higher than those of swept locks"
    );
}
