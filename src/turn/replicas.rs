//! Wakes between replicas: what comes free in one may be waited for in another. They tell each other through Redis, many
//! wakes in one message. Without it, the first of every line looks for itself.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Turns, WaitFor, Wake};
use crate::auth::Payer;
use crate::redis::{Fault, Redis};

const CHANNEL: &str = "payerbase:wakes";
/// Most wakes that wait to be told. Further ones are dropped: those who wait for them look for themselves.
const UNTOLD_MAX: usize = 4_096;
/// Most wakes in a message.
const TOLD_MAX: usize = 512;
/// How long to wait after Redis failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Message {
    /// The replica that says so, for which it is no news.
    from: Uuid,
    wakes: Vec<(Payer, Wake)>,
}

/// Where wakes wait to be told.
#[derive(Default)]
pub(super) struct Untold {
    queue: OnceLock<mpsc::Sender<(Payer, Wake)>>,
    dropped: Counter,
}

impl Untold {
    /// Will be told to the other replicas, if there is a way.
    pub fn tell(&self, payer: &Payer, wake: Wake) {
        if let Some(queue) = self.queue.get()
            && queue.try_send((payer.clone(), wake)).is_err()
        {
            self.dropped.inc();
        }
    }
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
        registry.register("replicas_listens", "Whether this server hears the others", metrics.listens.clone());
        registry.register("replicas_wakes_sent", "Wakes told to other servers", metrics.sent.clone());
        registry.register("replicas_wakes_received", "Wakes heard from other servers", metrics.received.clone());
        registry.register("replicas_wakes_dropped", "Wakes not told to other servers", metrics.dropped.clone());
        metrics
    }
}

/// The other replicas, as far as Redis reaches them.
pub struct Replicas {
    id: Uuid,
    redis: Redis,
    turns: Arc<Turns>,
    untold: mpsc::Receiver<(Payer, Wake)>,
    metrics: Metrics,
}

impl Replicas {
    /// Those that use the same Redis. From now on, what wakes here will be told to them.
    #[must_use]
    pub fn new(redis: Redis, turns: Arc<Turns>, registry: &mut Registry) -> Self {
        let (queue, untold) = mpsc::channel(UNTOLD_MAX);
        let metrics = Metrics::register(registry, turns.untold.dropped.clone());
        if turns.untold.queue.set(queue).is_err() {
            tracing::error!("the turns of this server have told their wakes somewhere else already");
        }
        Self { id: Uuid::now_v7(), redis, turns, untold, metrics }
    }

    /// Tells and listens for as long as it is polled.
    pub async fn run(&mut self) {
        let Self { id, redis, turns, untold, metrics } = self;
        tokio::join!(tell(*id, redis, untold, metrics), listen(*id, redis, turns, metrics));
    }
}

async fn tell(id: Uuid, redis: &Redis, untold: &mut mpsc::Receiver<(Payer, Wake)>, metrics: &Metrics) {
    let mut next = Vec::with_capacity(TOLD_MAX);
    while untold.recv_many(&mut next, TOLD_MAX).await > 0 {
        let mut counts: HashMap<(Payer, WaitFor, String), usize> = HashMap::new();
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
            Err(fault) => {
                metrics.dropped.inc_by(count);
                tracing::debug!(%fault, "wakes could not be told to other replicas");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

async fn listen(id: Uuid, redis: &Redis, turns: &Turns, metrics: &Metrics) {
    let mut is_known_to_fail = false;
    loop {
        let heard = async {
            let mut ear = redis.listen(CHANNEL).await?;
            metrics.listens.set(1);
            tracing::info!("listening to other replicas through Redis");
            is_known_to_fail = false;
            loop {
                hear(id, &ear.next().await?, turns, metrics);
            }
        };
        let heard: Result<(), Fault> = heard.await;
        metrics.listens.set(0);
        if let Err(fault) = heard
            && !is_known_to_fail
        {
            is_known_to_fail = true;
            tracing::warn!(%fault, "no Redis: calls that wait for another replica's wake look for themselves");
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

fn hear(id: Uuid, message: &[u8], turns: &Turns, metrics: &Metrics) {
    match serde_json::from_slice::<Message>(message) {
        Ok(message) if message.from == id => {}
        Ok(message) => {
            for (payer, wake) in message.wakes {
                metrics.received.inc();
                turns.lines.wake(&payer, &wake);
            }
        }
        // Another version of payerbase, or somebody else.
        Err(error) => tracing::debug!(%error, "a message on our channel cannot be read"),
    }
}
