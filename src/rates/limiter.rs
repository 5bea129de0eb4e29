//! The limiter: one rate for many keys.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::bucket::{Bucket, Decision};
use super::key::{Key, Kind};
use super::rate::Rate;

/// Keys that are known at a time. More: the one that was not used for the longest time starts full again.
const KEYS_MAX: u64 = 100_000;
/// Keys that wait to be shared at a time. What is taken of more is not shared.
const UNSHARED_MAX: usize = 100_000;
/// A key is known for this time after its last use, at least.
const KEPT_MIN: Duration = Duration::from_secs(60);

/// What a limit has decided about a request.
#[derive(Clone, Copy, Debug)]
pub struct Rated {
    /// Whom it counts.
    pub kind: Kind,
    /// The rate.
    pub rate: Rate,
    /// The decision.
    pub decision: Decision,
}

/// The bucket of a key.
#[derive(Default)]
pub struct Entry(Mutex<Bucket>);

impl Entry {
    pub(super) fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key with units that other servers do not know of.
pub type Queued = (Key, Arc<Entry>);

/// Limits keys to a rate. Use one limiter per kind of keys: then many addresses do not displace payers.
pub struct Limiter {
    rate: Rate,
    entries: Cache<Key, Arc<Entry>>,
    epoch: Instant,
    is_shared: AtomicBool,
    unshared: Mutex<Vec<Queued>>,
}

impl Limiter {
    /// Every key is full at first.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::with_keys_max(rate, KEYS_MAX)
    }

    fn with_keys_max(rate: Rate, keys_max: u64) -> Self {
        // By then a key is full, whatever other servers took.
        let kept = Duration::from_nanos(rate.debt_max_ns()).max(KEPT_MIN);
        // The default policy would not let new keys in while older ones are used more: they would have no limit.
        let policy = EvictionPolicy::lru();
        let entries = Cache::builder().max_capacity(keys_max).time_to_idle(kept).eviction_policy(policy).build();
        Self { rate, entries, epoch: Instant::now(), is_shared: AtomicBool::new(false), unshared: Mutex::default() }
    }

    /// Takes units of a key, if there are enough. A cost above the burst counts as the burst, a cost of 0 only looks.
    pub fn take(&self, key: &Key, cost: u32, now: Instant) -> Decision {
        let entry = self.entries.get(key).unwrap_or_else(|| self.entries.get_with_by_ref(key, Arc::default));
        let now = self.since_start(now);
        let mut bucket = entry.lock();
        let decision = bucket.take(self.rate, cost, now);
        let is_noted = decision.is_allowed && cost > 0 && self.is_shared.load(Ordering::Relaxed);
        let must_queue = is_noted && bucket.note(self.rate, cost, now);
        drop(bucket);
        if must_queue {
            self.queue((key.clone(), entry));
        }
        decision
    }

    /// The rate of every key.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// From now on what is taken is queued for other servers.
    pub(super) fn start_sharing(&self) {
        self.is_shared.store(true, Ordering::Relaxed);
    }

    pub(super) fn queue(&self, queued: Queued) {
        let mut unshared = self.unshared.lock().unwrap_or_else(PoisonError::into_inner);
        if unshared.len() < UNSHARED_MAX {
            unshared.push(queued);
        } else {
            drop(unshared);
            queued.1.lock().forget_unshared();
        }
    }

    pub(super) fn drain_queue(&self) -> Vec<Queued> {
        std::mem::take(&mut self.unshared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nanoseconds since the limiter began.
    pub(super) fn since_start(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn rate() -> Rate {
        let n = |number| NonZeroU32::new(number).unwrap();
        Rate::per_second(n(1), n(2)).unwrap()
    }

    fn key(number: u32) -> Key {
        Key::of_payer(format!("0x{number:040}").parse().unwrap())
    }

    #[test]
    fn every_key_has_its_own_units() {
        let (limiter, now) = (Limiter::new(rate()), Instant::now());
        let passes = |key: &Key, cost| limiter.take(key, cost, now).is_allowed;
        assert_eq!([passes(&key(1), 2), passes(&key(1), 1), passes(&key(2), 2)], [true, false, true]);
        assert_eq!([passes(&key(1), 0), passes(&key(2), 0)], [true, true]);
        let later = now + Duration::from_secs(1);
        assert_eq!(limiter.take(&key(1), 1, later).reset, Duration::from_secs(2));
        // A clock that was read a little earlier.
        assert!(!limiter.take(&key(1), 1, now).is_allowed);
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_new_ones_are_limited() {
        let (limiter, now) = (Limiter::with_keys_max(rate(), 100), Instant::now());
        for _again in 0..20 {
            for number in 0..100 {
                limiter.take(&key(number), 1, now);
            }
        }
        for number in 1_000..11_000 {
            assert!(limiter.take(&key(number), 2, now).is_allowed);
            limiter.entries.run_pending_tasks();
            assert!(!limiter.take(&key(number), 1, now).is_allowed, "key {number} has no limit");
            assert!(limiter.entries.entry_count() <= 100);
        }
        // The oldest ones start full again.
        assert!(limiter.take(&key(0), 2, now).is_allowed);
    }

    #[test]
    fn only_a_shared_limiter_queues_and_each_key_once() {
        let (limiter, now) = (Limiter::new(rate()), Instant::now());
        limiter.take(&key(1), 1, now);
        assert_eq!(limiter.drain_queue().len(), 0);
        limiter.start_sharing();
        for number in [2, 2, 2, 3] {
            limiter.take(&key(number), 1, now);
        }
        limiter.take(&key(4), 0, now);
        let queued = limiter.drain_queue();
        let told: Vec<_> =
            queued.iter().map(|(key, entry)| (key.clone(), entry.lock().draw_unshared(0).taken)).collect();
        assert_eq!(told, [(key(2), 2_000_000_000), (key(3), 1_000_000_000)]);
    }

    #[test]
    fn the_queue_is_bounded() {
        let limiter = Limiter::new(rate());
        limiter.start_sharing();
        let entry = Arc::new(Entry::default());
        let queue = || {
            let mut bucket = entry.lock();
            bucket.take(rate(), 1, 0);
            bucket.note(rate(), 1, 0);
            drop(bucket);
            limiter.queue((key(0), Arc::clone(&entry)));
            entry.lock().draw_unshared(0).taken
        };
        for _queued in 0..UNSHARED_MAX {
            assert_eq!(queue(), 1_000_000_000);
        }
        // One that does not fit is not told later: it must be queued anew.
        assert_eq!(queue(), 0);
        assert_eq!(limiter.drain_queue().len(), UNSHARED_MAX);
    }
}
