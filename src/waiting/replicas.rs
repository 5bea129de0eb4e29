//! Wake-ups between replicas: a lock that one server releases may be awaited in another. The servers publish wake-ups
//! through Redis, many in one message. Without Redis, waiting calls rely on polling.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::waiters::Waiters;
use super::wake::{Awaited, Wake};
use crate::payer::Payer;
use crate::redis::{Redis, RedisFailure};

const CHANNEL: &str = "payerbase:wakes";
/// Number of wake-ups that wait to be published. More are dropped: their waiters poll.
const OUTBOX_MAX: usize = 4_096;
/// Number of wake-ups in one message.
const MESSAGE_WAKES_MAX: usize = 512;
/// Pause after Redis failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Message {
    /// The sender. It ignores its own messages.
    from: Uuid,
    wakes: Vec<(Payer, Wake)>,
}

struct Metrics {
    listens: Gauge,
    sent: Counter,
    received: Counter,
    dropped: Counter,
}

impl Metrics {
    fn register(registry: &mut Registry, dropped: Counter) -> Self {
        let metrics =
            Self { listens: Gauge::default(), sent: Counter::default(), received: Counter::default(), dropped };
        registry.register(
            "replicas_listens",
            "Whether this server receives wake-ups of the others",
            metrics.listens.clone(),
        );
        registry.register("replicas_wakes_sent", "Wake-ups published to other servers", metrics.sent.clone());
        registry.register("replicas_wakes_received", "Wake-ups received from other servers", metrics.received.clone());
        registry.register("replicas_wakes_dropped", "Wake-ups not published to other servers", metrics.dropped.clone());
        metrics
    }
}

/// Publishes wake-ups to the replicas that use the same Redis, and receives theirs.
pub struct Replicas {
    id: Uuid,
    redis: Redis,
    waiters: Arc<Waiters>,
    outbox: mpsc::Receiver<(Payer, Wake)>,
    metrics: Metrics,
}

impl Replicas {
    /// From now on the wake-ups of `waiters` are published.
    #[must_use]
    pub(crate) fn new(redis: Redis, waiters: Arc<Waiters>, registry: &mut Registry) -> Self {
        let (queue, outbox) = mpsc::channel(OUTBOX_MAX);
        let metrics = Metrics::register(registry, waiters.outbox.dropped.clone());
        if waiters.outbox.queue.set(queue).is_err() {
            tracing::error!("the wake-ups of this server are already published elsewhere");
        }
        Self { id: Uuid::now_v7(), redis, waiters, outbox, metrics }
    }

    /// Publishes and receives for as long as it is polled.
    pub async fn run(&mut self) {
        let Self { id, redis, waiters, outbox, metrics } = self;
        tokio::join!(publish(*id, redis, outbox, metrics), receive(*id, redis, waiters, metrics));
    }
}

async fn publish(id: Uuid, redis: &Redis, outbox: &mut mpsc::Receiver<(Payer, Wake)>, metrics: &Metrics) {
    let mut next = Vec::with_capacity(MESSAGE_WAKES_MAX);
    while outbox.recv_many(&mut next, MESSAGE_WAKES_MAX).await > 0 {
        let mut counts: HashMap<(Payer, Awaited, String), usize> = HashMap::new();
        for (payer, wake) in next.drain(..) {
            let count = counts.entry((payer, wake.kind, wake.name)).or_default();
            *count = count.saturating_add(wake.count);
        }
        let wakes = counts.into_iter().map(|((payer, kind, name), count)| (payer, Wake { kind, name, count }));
        let wakes: Vec<_> = wakes.collect();
        let count = u64::try_from(wakes.len()).unwrap_or(u64::MAX);
        let Ok(message) = serde_json::to_vec(&Message { from: id, wakes }) else { continue };
        match redis.publish(CHANNEL, message).await {
            Ok(()) => {
                metrics.sent.inc_by(count);
            }
            Err(failure) => {
                metrics.dropped.inc_by(count);
                tracing::debug!(%failure, "wake-ups were not published to other replicas");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

async fn receive(id: Uuid, redis: &Redis, waiters: &Waiters, metrics: &Metrics) {
    let mut is_failure_logged = false;
    loop {
        let received = async {
            let mut subscription = redis.subscribe(CHANNEL).await?;
            metrics.listens.set(1);
            tracing::info!("receiving wake-ups of other replicas through Redis");
            is_failure_logged = false;
            loop {
                on_message(id, &subscription.next().await?, waiters, metrics);
            }
        };
        let received: Result<(), RedisFailure> = received.await;
        metrics.listens.set(0);
        if let Err(failure) = received
            && !is_failure_logged
        {
            is_failure_logged = true;
            tracing::warn!(%failure, "no Redis: waiting calls poll");
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

fn on_message(id: Uuid, message: &[u8], waiters: &Waiters, metrics: &Metrics) {
    match serde_json::from_slice::<Message>(message) {
        Ok(message) if message.from == id => {}
        Ok(message) => {
            for (payer, wake) in message.wakes {
                metrics.received.inc();
                waiters.wake(&payer, &wake);
            }
        }
        // From another version of payerbase, or not from payerbase.
        Err(error) => tracing::debug!(%error, "unreadable message on the channel"),
    }
}
