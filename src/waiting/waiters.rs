//! The waiting calls of this process, in one line per payer and resource.
//!
//! A release or a push wakes the first waiters of a line. The head of each line also polls, since a wake-up from another
//! server can be lost, and no wake-up is sent when a lease expires or a job becomes due.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, mpsc};

use super::wake::{Awaited, Wake};
use crate::payer::Payer;

/// How often the head of a line polls.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Number of calls that wait in this process.
pub const WAITING_MAX: usize = 10_000;
/// Number of calls of one caller that wait in this process.
pub const WAITING_PAYER_MAX: usize = 1_000;
/// A payer has at most this part of the free places, so that some payers cannot take them all.
const FREE_PART: usize = 8;

type Key = (Payer, Awaited, String);

/// Wake-ups to publish to the other replicas. Without replicas they are discarded.
#[derive(Default)]
pub(super) struct Outbox {
    pub queue: OnceLock<mpsc::Sender<(Payer, Wake)>>,
    pub dropped: Counter,
}

impl Outbox {
    fn publish(&self, payer: &Payer, wake: Wake) {
        if let Some(queue) = self.queue.get()
            && queue.try_send((payer.clone(), wake)).is_err()
        {
            self.dropped.inc();
        }
    }
}

/// All waiting calls of this process.
pub(crate) struct Waiters {
    state: Mutex<State>,
    poll_interval: Duration,
    waiting: Gauge,
    pub(super) outbox: Outbox,
}

#[derive(Default)]
struct State {
    lines: HashMap<Key, VecDeque<Arc<Notify>>>,
    by_caller: HashMap<Payer, usize>,
    count: usize,
    is_closed: bool,
}

impl Waiters {
    /// No waiters yet. `poll_interval` is how often the head of each line polls.
    pub fn new(poll_interval: Duration, registry: &mut Registry) -> Self {
        let waiting = Gauge::default();
        registry.register("waiting", "Calls that wait for a lock or a job", waiting.clone());
        Self { state: Mutex::default(), poll_interval, waiting, outbox: Outbox::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the end of a line of a payer. The place is one of the caller's, who may act for the payer.
    pub fn join(self: &Arc<Self>, payer: &Payer, caller: &Payer, kind: Awaited, name: &str) -> Result<Waiter, NoPlace> {
        let key = (payer.clone(), kind, name.to_owned());
        let mut state = self.state();
        let of_caller = state.by_caller.get(caller).copied().unwrap_or_default();
        let free = WAITING_MAX.saturating_sub(state.count);
        if free == 0 || of_caller >= WAITING_PAYER_MAX.min((free / FREE_PART).max(1)) {
            let has_waiters = state.lines.contains_key(&key);
            return Err(if has_waiters { NoPlace::BehindOthers } else { NoPlace::First });
        }
        state.count += 1;
        self.waiting.inc();
        state.by_caller.insert(caller.clone(), of_caller + 1);
        let woken = Arc::new(Notify::new());
        state.lines.entry(key.clone()).or_default().push_back(Arc::clone(&woken));
        drop(state);
        Ok(Waiter { waiters: Arc::clone(self), caller: caller.clone(), key, woken })
    }

    /// Ends all waiting, now and later: the server stops.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        for woken in state.lines.values().flatten() {
            woken.notify_one();
        }
    }

    /// Wakes the first waiters of a line in this process.
    pub fn wake(&self, payer: &Payer, wake: &Wake) {
        let state = self.state();
        if let Some(line) = state.lines.get(&(payer.clone(), wake.kind, wake.name.clone())) {
            for woken in line.iter().take(wake.count) {
                woken.notify_one();
            }
        }
    }

    /// Wakes the first waiters of a line, here and in the other replicas.
    pub fn wake_everywhere(&self, payer: &Payer, wake: Wake) {
        self.wake(payer, &wake);
        self.outbox.publish(payer, wake);
    }
}

/// The process or the payer has too many waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Nobody waits for the resource: it may be free.
    First,
    /// Others wait for the resource.
    BehindOthers,
}

/// A call in a line. Dropping it leaves the line.
pub(crate) struct Waiter {
    waiters: Arc<Waiters>,
    caller: Payer,
    key: Key,
    woken: Arc<Notify>,
}

impl Waiter {
    fn is_closed(&self) -> bool {
        self.waiters.state().is_closed
    }

    /// Whether it is the head of the line.
    pub fn is_first(&self) -> bool {
        let state = self.waiters.state();
        state.lines.get(&self.key).and_then(VecDeque::front).is_some_and(|first| Arc::ptr_eq(first, &self.woken))
    }

    /// Waits until it is time to try: on a wake-up, or, at the head of the line, after `delay` or the poll interval.
    /// `false` if the deadline came first.
    pub async fn ready(&self, delay: Duration, deadline: Instant) -> bool {
        let poll_interval = self.waiters.poll_interval;
        let mut poll = delay.min(poll_interval);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_closed() {
                return false;
            }
            if tokio::time::timeout(poll.min(left), self.woken.notified()).await.is_ok() {
                return !self.is_closed();
            }
            if poll <= left && self.is_first() {
                return true;
            }
            poll = poll_interval;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.waiters.state();
        state.count -= 1;
        self.waiters.waiting.dec();
        if let Some(count) = state.by_caller.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                state.by_caller.remove(&self.caller);
            }
        }
        let Some(line) = state.lines.get_mut(&self.key) else { return };
        line.retain(|woken| !Arc::ptr_eq(woken, &self.woken));
        match line.front() {
            // This waiter may have taken a wake-up without using it, so the next one tries.
            Some(next) => next.notify_one(),
            None => {
                state.lines.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiters() -> Arc<Waiters> {
        Arc::new(Waiters::new(POLL_INTERVAL, &mut Registry::default()))
    }

    /// Joins until there is no place.
    fn fill(waiters: &Arc<Waiters>, payer: usize) -> (Vec<Waiter>, NoPlace) {
        let payer: Payer = format!("0x{payer:040x}").parse().unwrap();
        let mut joined = Vec::new();
        loop {
            match waiters.join(&payer, &payer, Awaited::Queue, "q") {
                Ok(waiter) => joined.push(waiter),
                Err(full) => return (joined, full),
            }
        }
    }

    #[test]
    fn some_payers_cannot_take_all_places() {
        let waiters = waiters();
        assert_eq!(fill(&waiters, 1).0.len(), WAITING_PAYER_MAX, "the places are free again");
        let taken: Vec<_> = (1..=30).map(|payer| fill(&waiters, payer).0).collect();
        assert_eq!(taken[0].len(), WAITING_PAYER_MAX);
        assert!(taken.iter().is_sorted_by_key(|joined| std::cmp::Reverse(joined.len())));
        let (late, _) = fill(&waiters, 31);
        assert!(late.len() >= 10, "{}", late.len());
    }

    #[test]
    fn a_call_without_a_place_learns_whether_others_wait() {
        let waiters = waiters();
        let (_joined, full) = fill(&waiters, 1);
        assert_eq!(full, NoPlace::BehindOthers);
        let payer: Payer = format!("0x{:040x}", 1).parse().unwrap();
        assert_eq!(waiters.join(&payer, &payer, Awaited::Lock, "free").err(), Some(NoPlace::First));
    }
}
