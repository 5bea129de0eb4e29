//! Calls that wait for something to come free: a lock, a job. They stand in line in this process, wake when a call here
//! (or, through Redis, in another server) says so, and look for themselves now and then, the first of the line alone.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::auth::Payer;
use crate::name::Name;
use crate::number::Bounded;

/// How often the first of a line looks for itself, for what nobody says: a replica without Redis, a time that came.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most calls that wait in this process.
pub const WAITING_MAX: usize = 10_000;
/// Most calls of one payer among them.
pub const WAITING_PAYER_MAX: usize = 1_000;

/// What a call can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A lock.
    Lock,
    /// Jobs of a queue.
    Queue,
}

/// What a call waits for.
#[derive(Clone, Debug)]
pub struct Wait {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// How long at most.
    pub patience: Duration,
}

/// How long a call may wait, in milliseconds: 0 to 30,000, default 0.
pub type WaitMs = Bounded<0, 30_000>;

impl Wait {
    /// For this, so long; nothing if it is not to wait.
    #[must_use]
    pub fn of(kind: Kind, name: &Name, wait_ms: WaitMs) -> Option<Self> {
        (wait_ms.get() > 0).then(|| Self { kind, name: name.as_str().to_owned(), patience: wait_ms.millis() })
    }
}

/// Says that something came free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// For how many.
    pub count: usize,
}

impl Wake {
    /// This came free, for so many.
    #[must_use]
    pub fn of(kind: Kind, name: &Name, count: usize) -> Self {
        Self { kind, name: name.as_str().to_owned(), count }
    }
}

type Key = (Payer, Kind, String);

/// All lines of this process.
pub(crate) struct Lines {
    state: Mutex<State>,
    look_every: Duration,
    waiting: Gauge,
}

#[derive(Default)]
struct State {
    lines: HashMap<Key, VecDeque<Arc<Notify>>>,
    by_payer: HashMap<Payer, usize>,
    count: usize,
    is_closed: bool,
}

impl Lines {
    /// Empty ones, whose first looks so often.
    pub fn new(look_every: Duration, registry: &mut Registry) -> Self {
        let waiting = Gauge::default();
        registry.register("waiting", "Calls that wait for a lock or a job", waiting.clone());
        Self { state: Mutex::default(), look_every, waiting }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the line; nothing if too many wait.
    pub fn join(self: &Arc<Self>, payer: &Payer, kind: Kind, name: &str) -> Option<Place> {
        let key = (payer.clone(), kind, name.to_owned());
        let mut state = self.state();
        let of_payer = state.by_payer.get(payer).copied().unwrap_or_default();
        if state.count >= WAITING_MAX || of_payer >= WAITING_PAYER_MAX {
            return None;
        }
        state.count += 1;
        self.waiting.inc();
        state.by_payer.insert(payer.clone(), of_payer + 1);
        let woken = Arc::new(Notify::new());
        state.lines.entry(key.clone()).or_default().push_back(Arc::clone(&woken));
        drop(state);
        Some(Place { lines: Arc::clone(self), key, woken })
    }

    /// Ends all waiting, now and later.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        for woken in state.lines.values().flatten() {
            woken.notify_one();
        }
    }

    /// Lets the first of the line try.
    pub fn wake(&self, payer: &Payer, wake: &Wake) {
        let state = self.state();
        if let Some(line) = state.lines.get(&(payer.clone(), wake.kind, wake.name.clone())) {
            for woken in line.iter().take(wake.count) {
                woken.notify_one();
            }
        }
    }
}

/// A place in a line, until it is dropped.
pub(crate) struct Place {
    lines: Arc<Lines>,
    key: Key,
    woken: Arc<Notify>,
}

impl Place {
    fn is_closed(&self) -> bool {
        self.lines.state().is_closed
    }

    /// Whether nobody came before.
    pub fn is_first(&self) -> bool {
        let state = self.lines.state();
        state.lines.get(&self.key).and_then(VecDeque::front).is_some_and(|first| Arc::ptr_eq(first, &self.woken))
    }

    /// Waits until it is time to try: woken, or the first of the line and `soon` (or the time between two looks) has
    /// passed. `false`: the deadline came first.
    pub async fn turn(&self, soon: Duration, deadline: Instant) -> bool {
        let look_every = self.lines.look_every;
        let mut look = soon.min(look_every);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_closed() {
                return false;
            }
            if tokio::time::timeout(look.min(left), self.woken.notified()).await.is_ok() {
                return !self.is_closed();
            }
            if look <= left && self.is_first() {
                return true;
            }
            look = look_every;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.lines.state();
        state.count -= 1;
        self.lines.waiting.dec();
        if let Some(count) = state.by_payer.get_mut(&self.key.0) {
            *count -= 1;
            if *count == 0 {
                state.by_payer.remove(&self.key.0);
            }
        }
        let Some(line) = state.lines.get_mut(&self.key) else { return };
        line.retain(|woken| !Arc::ptr_eq(woken, &self.woken));
        match line.front() {
            // Whatever this one was woken for may still be there, and it was perhaps the only one that looked.
            Some(next) => next.notify_one(),
            None => {
                state.lines.remove(&self.key);
            }
        }
    }
}
