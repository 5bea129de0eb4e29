//! Sharing: the servers that use the same Redis tell each other what they let through.
//!
//! Every [`INTERVAL`] this server adds what it took to the shared time at which a key is full, and takes over that time
//! for its own decisions. No request waits for it. A server tells of a key, and learns of it, only when it has itself taken a
//! hundredth of the burst. So at most the burst per server is let through too much in an interval, and a hundredth of it
//! besides.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::bucket::Unshared;
use super::limiter::{Limiter, Queued};
use crate::redis::{Redis, RedisFailure, Script};

const PREFIX: &str = "payerbase:rate";
/// How often the servers tell each other.
const INTERVAL: Duration = Duration::from_millis(100);
/// Redis is asked after this time at the latest, so that its loss is noticed without anything to tell.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Pause after Redis failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Keys in one round trip. Redis does nothing else in the meantime, about 5 milliseconds.
const BATCH_MAX: usize = 1_000;
const NS_IN_US: u64 = 1_000;

/// Shares these limits with the servers that use the same Redis, until all of the limiters are dropped. Each limiter must
/// have a kind of keys of its own. Without Redis each server goes on with what it knows.
pub fn share<'a>(redis: Option<Redis>, limiters: impl Iterator<Item = &'a Arc<Limiter>>, registry: &mut Registry) {
    let errors = Counter::default();
    registry.register("rate_limit_redis_errors", "Failures to share rate limits with other servers", errors.clone());
    let Some(redis) = redis else { return };
    let mut sharing = Sharing::new(redis, errors);
    let limiters: Vec<Weak<Limiter>> = limiters
        .map(|limiter| {
            limiter.start_sharing();
            Arc::downgrade(limiter)
        })
        .collect();
    tokio::spawn(async move {
        loop {
            let pause = {
                let limiters: Vec<_> = limiters.iter().filter_map(Weak::upgrade).collect();
                if limiters.is_empty() {
                    return;
                }
                if sharing.round(&limiters).await { INTERVAL } else { RETRY_AFTER }
            };
            tokio::time::sleep(pause).await;
        }
    });
}

struct Sharing {
    redis: Redis,
    script: Script,
    errors: Counter,
    is_lost: bool,
    /// When Redis was last asked.
    asked: Option<Instant>,
}

/// What Redis is told about a key.
struct Told<'a> {
    limiter: &'a Limiter,
    queued: Queued,
    unshared: Unshared,
    asked: Instant,
}

impl<'a> Told<'a> {
    /// `None`: there is nothing to tell.
    fn draw(limiter: &'a Limiter, queued: Queued, asked: Instant) -> Option<Self> {
        let unshared = queued.1.lock().draw_unshared(limiter.since_start(asked));
        (unshared.taken > 0).then_some(Self { limiter, queued, unshared, asked })
    }

    fn call(&self) -> (String, [u64; 3]) {
        let most = self.limiter.rate().debt_max_ns().div_ceil(NS_IN_US);
        let arguments = [self.unshared.taken.div_ceil(NS_IN_US), self.unshared.age / NS_IN_US, most];
        (self.queued.0.in_redis(PREFIX), arguments)
    }

    /// The reset counts from when it was asked for: a slow answer must not lock anyone out.
    fn learn(self, reset_us: u64) {
        let (asked, reset) = (self.limiter.since_start(self.asked), reset_us.saturating_mul(NS_IN_US));
        self.queued.1.lock().learn(self.limiter.rate(), asked, reset);
    }

    fn give_back(self, now: Instant) {
        let must_queue =
            self.queued.1.lock().give_back(self.limiter.rate(), self.unshared, self.limiter.since_start(now));
        if must_queue {
            self.limiter.queue(self.queued);
        }
    }
}

impl Sharing {
    fn new(redis: Redis, errors: Counter) -> Self {
        Self { redis, script: Script::new(include_str!("share.lua")), errors, is_lost: false, asked: None }
    }

    /// Tells Redis what was taken since. Whether Redis has answered. Without anything to tell it is not asked, unless it
    /// was lost, or was not asked for a while.
    async fn round(&mut self, limiters: &[Arc<Limiter>]) -> bool {
        let mut queued = limiters
            .iter()
            .flat_map(|limiter| limiter.drain_queue().into_iter().map(move |queued| (limiter.as_ref(), queued)));
        let is_silent = self.asked.is_none_or(|asked| asked.elapsed() >= SILENCE_MAX);
        let mut was_told = false;
        let told = loop {
            let asked = Instant::now();
            let batch: Vec<_> = queued.by_ref().take(BATCH_MAX).collect();
            if batch.is_empty() && (was_told || !(self.is_lost || is_silent)) {
                break Ok(());
            }
            let batch: Vec<_> =
                batch.into_iter().filter_map(|(limiter, queued)| Told::draw(limiter, queued, asked)).collect();
            let calls: Vec<_> = batch.iter().map(Told::call).collect();
            let told = self.redis.run(&self.script, &calls).await;
            was_told = true;
            self.asked = Some(asked);
            if let Err(failure) = settle(batch, told) {
                break Err(failure);
            }
        };
        let now = Instant::now();
        queued.filter_map(|(limiter, queued)| Told::draw(limiter, queued, now)).for_each(|told| told.give_back(now));
        self.note(told)
    }

    /// Logs when Redis is lost, and when it is back.
    fn note(&mut self, told: Result<(), RedisFailure>) -> bool {
        let was_lost = std::mem::replace(&mut self.is_lost, told.is_err());
        match &told {
            Ok(()) if was_lost => tracing::info!("Redis is back: rate limits are shared with other servers"),
            Ok(()) => {}
            Err(failure) => {
                self.errors.inc();
                if !was_lost {
                    tracing::warn!(%failure, "no Redis: each server has rate limits of its own");
                }
            }
        }
        told.is_ok()
    }
}

/// Takes over what Redis answered. What may have been counted is not told again, so that a slow Redis locks nobody out.
fn settle(batch: Vec<Told<'_>>, told: Result<Vec<u64>, RedisFailure>) -> Result<(), RedisFailure> {
    match told {
        Ok(resets) => batch.into_iter().zip(resets).for_each(|(told, reset)| told.learn(reset)),
        Err(failure) => {
            if failure.is_unsent() {
                let now = Instant::now();
                batch.into_iter().for_each(|told| told.give_back(now));
            }
            return Err(failure);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
