//! Two servers on one database, with and without Redis.

use std::time::Duration;

use payerbase::redis::Redis;
use serde_json::{Value, json};

use crate::support::{Caller, TestApp, TestDatabase, TestRedis};

/// A poll interval longer than any test: only a wake-up can end a wait.
const NEVER: Duration = Duration::from_hours(1);
/// Longer than the client waits for an answer: a call that is not woken fails the test.
const WAIT_MS: u64 = 30_000;

/// Two servers, and one payer as a caller of each.
struct Pair {
    apps: [TestApp; 2],
    here: Caller,
    there: Caller,
}

impl Pair {
    async fn new(poll_interval: Duration, redis: impl Fn() -> Option<Redis>) -> Self {
        let database = || TestDatabase::shared();
        let apps = [
            TestApp::with(database().await, poll_interval, redis()),
            TestApp::with(database().await, poll_interval, redis()),
        ];
        let here = apps[0].caller().await;
        let there = Caller { url: apps[1].url.clone(), ..here.clone() };
        Self { apps, here, there }
    }

    async fn until_both_listen(&self) {
        for app in &self.apps {
            app.until(async || app.metric("payerbase_replicas_listens").await == 1).await;
        }
    }

    /// A call on one server waits for a lock that the other server releases.
    async fn hand_over_a_lock(&self, name: &str) -> Value {
        let path = format!("/v1/locks/{name}/acquire");
        let lease = self.here.post(&path, json!({ "ttlMs": 600_000 })).await.ok();
        let acquire = json!({ "ttlMs": 1_000, "waitMs": WAIT_MS });
        let release = async {
            self.until_a_call_waits_there().await;
            let body = json!({ "token": lease["token"] });
            self.here.post(&format!("/v1/locks/{name}/release"), body).await.ok();
        };
        let (next, ()) = tokio::join!(self.there.post(&path, acquire), release);
        next.ok()
    }

    /// A call on one server waits for a job that is pushed on the other.
    async fn hand_over_a_job(&self, queue: &str) -> Value {
        let push = async {
            self.until_a_call_waits_there().await;
            self.here.post(&format!("/v1/queues/{queue}/jobs"), json!({ "payload": queue })).await.ok();
        };
        let (path, pop) = (format!("/v1/queues/{queue}/pop"), json!({ "waitMs": WAIT_MS }));
        let (popped, ()) = tokio::join!(self.there.post(&path, pop), push);
        popped.ok()
    }

    async fn until_a_call_waits_there(&self) {
        let app = &self.apps[1];
        app.until(async || app.metric("payerbase_waiting").await == 1).await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_release_on_one_server_wakes_a_waiter_on_another() {
    let redis = TestRedis::start().await;
    let pair = Pair::new(NEVER, || Some(redis.client())).await;
    pair.until_both_listen().await;
    pair.hand_over_a_lock("l").await;
    assert_eq!(pair.hand_over_a_job("q").await["payload"], "q");
    assert!(pair.apps[1].metric("payerbase_replicas_wakes_received_total").await > 0);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn servers_fall_back_to_polling_when_redis_dies() {
    let mut redis = TestRedis::start().await;
    let pair = Pair::new(Duration::from_millis(200), || Some(redis.client())).await;
    pair.until_both_listen().await;
    redis.kill();
    pair.hand_over_a_lock("l").await;
    assert_eq!(pair.hand_over_a_job("q").await["payload"], "q");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn servers_wake_each_other_again_after_redis_restarts() {
    let mut redis = TestRedis::start().await;
    let pair = Pair::new(NEVER, || Some(redis.client())).await;
    pair.until_both_listen().await;
    redis.kill();
    for app in &pair.apps {
        app.until(async || app.metric("payerbase_replicas_listens").await == 0).await;
    }
    redis.restart().await;
    pair.until_both_listen().await;
    pair.hand_over_a_lock("l").await;
    assert_eq!(pair.hand_over_a_job("q").await["payload"], "q");
}

#[tokio::test]
async fn servers_poll_when_redis_is_not_configured() {
    let pair = Pair::new(Duration::from_millis(200), || None).await;
    pair.hand_over_a_lock("l").await;
    assert_eq!(pair.hand_over_a_job("q").await["payload"], "q");
}
