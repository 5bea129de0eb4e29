//! The inbox of a lane: bounded, fair between payers, and exact about which calls have not begun.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::access::{Access, Load};
use super::call::{Call, Sender};
use super::error::CallError;
use super::history::History;
use super::resting::Resting;
use super::ring::Ring;
use crate::payer::Payer;

/// Calls in one statement. More would not make a call cheaper, and the last one would wait for all the others.
pub(super) const BATCH_CALLS_MAX: usize = 64;
/// Weight of one statement with several calls.
const BATCH_WEIGHT_MAX: usize = 2 * BATCH_CALLS_MAX;
/// Weight of a light call. Heavier calls run one at a time, beside the batches of light calls.
pub(super) const LIGHT_MAX: usize = BATCH_CALLS_MAX / 4;
/// Bytes of parameters in one statement, unless a single call is larger.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Time that a unit of weight takes, to tell which payer has used the lane less.
const WEIGHT_TIME: Duration = Duration::from_micros(50);
/// Calls that wait for one lane: about a quarter of a second of work.
const WAITING_CALLS_MAX: usize = 4_096;
/// Waiting calls of one payer, so that a payer cannot cause `overloaded` for its neighbours.
const WAITING_PAYER_SHARE: usize = WAITING_CALLS_MAX / 2;
/// Waiting visits of all links, so that visitors, who need no token, cannot cause `overloaded` for payers.
const WAITING_VISITS_MAX: usize = WAITING_CALLS_MAX / 2;
/// Waiting visits of the links of one payer.
const WAITING_VISITS_SHARE: usize = WAITING_VISITS_MAX / 2;
/// Bytes of parameters that wait for one lane.
const WAITING_BYTES_MAX: usize = 32 << 20;
/// Bytes of parameters of one payer that wait for one lane.
const WAITING_BYTES_SHARE: usize = WAITING_BYTES_MAX / 2;

/// The calls that wait for one lane. Light calls share statements; heavy calls run one at a time on a connection of their own.
pub(super) struct Inbox {
    access: Access,
    state: Mutex<State>,
    light_ready: Notify,
    heavy_ready: Notify,
}

struct State {
    light: VecDeque<Call>,
    heavy: Ring,
    /// Calls of busy payers. The limits above do not count them.
    resting: Resting,
    /// The payers whose locks the running batch of light writes holds.
    light_holds: Vec<Payer>,
    /// The payer whose lock the running heavy write holds: its light calls wait.
    heavy_holds: Option<Payer>,
    /// Batches that run: one of light calls, and one heavy call.
    running: usize,
    history: History,
    bytes: usize,
    by_sender: HashMap<Sender, Share>,
    visits: usize,
    closed: bool,
}

/// What waits of one sender.
#[derive(Default)]
struct Share {
    calls: usize,
    bytes: usize,
}

/// A batch that runs. Dropping it ends the batch.
pub(super) struct Running {
    inbox: Arc<Inbox>,
    load: Load,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.inbox.state();
        state.running -= 1;
        match self.load {
            Load::Light => state.light_holds.clear(),
            Load::Heavy => state.heavy_holds = None,
        }
        // The other task waits for the locks, or for the end of all work.
        if self.load == Load::Heavy || state.heavy_holds.is_some() || state.closed {
            drop(state);
            self.inbox.notify(match self.load {
                Load::Light => Load::Heavy,
                Load::Heavy => Load::Light,
            });
        }
    }
}

impl State {
    fn count(&mut self, call: &Call) {
        self.bytes += call.bytes();
        self.visits += usize::from(call.command.is_visit);
        let share = self.by_sender.entry(call.sender()).or_default();
        share.calls += 1;
        share.bytes += call.bytes();
    }

    fn forget(&mut self, call: &Call) {
        self.bytes = self.bytes.saturating_sub(call.bytes());
        self.visits = self.visits.saturating_sub(usize::from(call.command.is_visit));
        let sender = call.sender();
        if let Some(share) = self.by_sender.get_mut(&sender) {
            share.calls -= 1;
            share.bytes -= call.bytes();
            if share.calls == 0 {
                self.by_sender.remove(&sender);
            }
        }
    }

    /// Whether the inbox has room for a call.
    fn has_room_for(&self, call: &Call) -> bool {
        let (calls, bytes) = self.by_sender.get(&call.sender()).map_or((0, 0), |share| (share.calls, share.bytes));
        let calls_max = if call.command.is_visit { WAITING_VISITS_SHARE } else { WAITING_PAYER_SHARE };
        calls < calls_max
            && bytes + call.bytes() <= WAITING_BYTES_SHARE
            && self.light.len() + self.heavy.len() < WAITING_CALLS_MAX
            && (self.visits < WAITING_VISITS_MAX || !call.command.is_visit)
            && self.bytes + call.bytes() <= WAITING_BYTES_MAX
    }

    fn load(&self, call: &Call) -> Load {
        let is_large = || self.history.is_large(&call.payer, call.command.method, Instant::now());
        match call.weight > LIGHT_MAX || call.is_rerun || is_large() {
            true => Load::Heavy,
            false => Load::Light,
        }
    }

    /// Puts older calls before all others, in their order.
    fn put_back(&mut self, calls: Vec<Call>) {
        for call in calls.into_iter().rev() {
            self.count(&call);
            match self.load(&call) {
                Load::Heavy => self.heavy.push_front(vec![call]),
                Load::Light => self.light.push_front(call),
            }
        }
    }

    /// Removes the calls of a payer that do not rest, in the order of their arrival.
    fn remove_of(&mut self, payer: &Payer) -> Vec<Call> {
        if [false, true].into_iter().all(|is_visit| !self.by_sender.contains_key(&(payer.clone(), is_visit))) {
            return Vec::new();
        }
        let light = self.light.drain(..);
        let (mut removed, others): (Vec<_>, Vec<_>) = light.partition(|call| call.payer == *payer);
        self.light.extend(others);
        removed.extend(self.heavy.take_of(payer));
        removed.sort_by_key(|call| call.id);
        removed.iter().for_each(|call| self.forget(call));
        removed
    }

    /// Fills a batch. The sender that has used the lane least is first; each of its calls adds to its use.
    fn take_light(&mut self) -> Vec<Call> {
        let mut used: HashMap<Sender, Duration> = HashMap::new();
        let mut order = Vec::with_capacity(self.light.len());
        for (at, call) in self.light.iter().enumerate() {
            if self.heavy_holds.as_ref() == Some(&call.payer) {
                continue;
            }
            let sender = call.sender();
            let of_sender = self.history.used(&sender);
            let used = used.entry(sender).or_insert(of_sender);
            order.push((*used, at));
            *used += WEIGHT_TIME.saturating_mul(u32::try_from(call.weight).unwrap_or(u32::MAX));
        }
        order.sort_unstable();
        let mut waiting: Vec<Option<Call>> = self.light.drain(..).map(Some).collect();
        let mut batch: Vec<Call> = Vec::with_capacity(order.len().min(BATCH_CALLS_MAX));
        let (mut weight, mut bytes) = (0, 0);
        for (_, at) in order {
            if batch.len() == BATCH_CALLS_MAX {
                break;
            }
            let fits = |call: &mut Call| {
                batch.is_empty() || weight + call.weight <= BATCH_WEIGHT_MAX && bytes + call.bytes() <= BATCH_BYTES_MAX
            };
            if let Some(call) = waiting.get_mut(at).and_then(|call| call.take_if(fits)) {
                weight += call.weight;
                bytes += call.bytes();
                batch.push(call);
            }
        }
        self.light.extend(waiting.into_iter().flatten());
        batch.iter().for_each(|call| self.forget(call));
        batch
    }

    /// The next heavy call. It begins after the light calls of its payer that arrived before it.
    fn take_heavy(&mut self) -> Option<Call> {
        if self.heavy.is_empty() {
            return None;
        }
        let mut first_light: HashMap<&Payer, u64> = HashMap::new();
        for call in &self.light {
            let first = first_light.entry(&call.payer).or_insert(call.id);
            *first = call.id.min(*first);
        }
        let call = self.heavy.take(|heavy| first_light.get(&heavy.payer).is_none_or(|light| *light > heavy.id))?;
        self.forget(&call);
        Some(call)
    }

    /// Whether nothing runs, and nothing ever will.
    fn is_over(&self) -> bool {
        let is_empty = self.light.is_empty() && self.heavy.is_empty() && self.resting.is_empty();
        self.closed && self.running == 0 && is_empty
    }
}

impl Inbox {
    pub fn new(access: Access) -> Arc<Self> {
        let state = State {
            light: VecDeque::new(),
            heavy: Ring::default(),
            resting: Resting::default(),
            light_holds: Vec::new(),
            heavy_holds: None,
            running: 0,
            history: History::new(Instant::now()),
            bytes: 0,
            by_sender: HashMap::new(),
            visits: 0,
            closed: false,
        };
        let (light_ready, heavy_ready) = (Notify::new(), Notify::new());
        Arc::new(Self { access, state: Mutex::new(state), light_ready, heavy_ready })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code in here panics between two changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, load: Load) {
        match load {
            Load::Light => self.light_ready.notify_one(),
            Load::Heavy => self.heavy_ready.notify_one(),
        }
    }

    fn notify_both(&self) {
        self.light_ready.notify_one();
        self.heavy_ready.notify_one();
    }

    /// Number of calls of this load that wait. Those of busy payers count as light.
    pub fn len(&self, load: Load) -> usize {
        let state = self.state();
        match load {
            Load::Light => state.light.len() + state.resting.len(),
            Load::Heavy => state.heavy.len(),
        }
    }

    /// Adds a call, unless the inbox is full.
    pub fn push(&self, call: Call) -> Result<(), CallError> {
        let mut state = self.state();
        if state.closed {
            return Err(CallError::Unavailable);
        }
        if state.resting.has(&call.payer) {
            return state.resting.join(call).then_some(()).ok_or(CallError::Overloaded);
        }
        if !state.has_room_for(&call) {
            return Err(CallError::Overloaded);
        }
        state.count(&call);
        let load = state.load(&call);
        match load {
            Load::Heavy => state.heavy.push(call),
            Load::Light => state.light.push_back(call),
        }
        drop(state);
        self.notify(load);
        Ok(())
    }

    /// Takes back light calls that have not begun although they were in a batch. They keep their places.
    pub fn give_back(&self, mut calls: Vec<Call>) {
        calls.iter_mut().for_each(|call| call.is_again = true);
        self.state().put_back(calls);
        self.notify_both();
    }

    /// Takes back the calls of a failed batch. Each of them runs alone, before the heavy calls that wait, the first payer first.
    pub fn give_back_alone(&self, mut calls: Vec<Call>) {
        let mut state = self.state();
        for call in &mut calls {
            call.is_rerun = true;
            state.count(call);
        }
        state.heavy.push_front(calls);
        drop(state);
        self.notify(Load::Heavy);
    }

    /// Remembers how long a call used the lane, and the size of its result.
    pub fn ran(&self, call: &Call, time: Duration, result_bytes: usize) {
        let (mut state, now) = (self.state(), Instant::now());
        state.history.add_use(call.sender(), time, now);
        state.history.add_result(&call.payer, call.command.method, result_bytes, now);
    }

    /// Removes a call, so that it never runs, and says why it did not run in time. `None` if it has begun.
    pub fn withdraw(&self, id: u64) -> Option<CallError> {
        let mut state = self.state();
        if state.resting.withdraw(id) {
            return Some(CallError::PayerBusy);
        }
        let at = state.light.iter().position(|call| call.id == id);
        let light = at.and_then(|at| state.light.remove(at));
        let removed = light.or_else(|| state.heavy.remove(id))?;
        state.forget(&removed);
        drop(state);
        // A heavy call of the payer may have waited for it.
        self.notify(Load::Heavy);
        Some(CallError::Overloaded)
    }

    /// Waits for light calls and takes the next batch. `None` once the inbox is closed and all calls have ended.
    pub async fn take_light(self: &Arc<Self>) -> Option<(Vec<Call>, Running)> {
        self.take(Load::Light, &self.light_ready, |state| {
            let batch = state.take_light();
            if batch.is_empty() {
                return None;
            }
            if self.access == Access::Write {
                state.light_holds = batch.iter().map(|call| call.payer.clone()).collect();
            }
            if !state.heavy.is_empty() {
                self.notify(Load::Heavy);
            }
            Some(batch)
        })
        .await
    }

    /// Waits for a heavy call and takes it. `None` once the inbox is closed and all calls have ended.
    ///
    /// If light calls of its payer run, it waits for their end, and later ones wait for the heavy call.
    pub async fn take_heavy(self: &Arc<Self>) -> Option<(Call, Running)> {
        let taken = self.take(Load::Heavy, &self.heavy_ready, |state| {
            let call = state.take_heavy()?;
            state.heavy_holds = (self.access == Access::Write).then(|| call.payer.clone());
            Some(call)
        });
        let (call, running) = taken.await?;
        while self.state().light_holds.contains(&call.payer) {
            self.heavy_ready.notified().await;
        }
        Some((call, running))
    }

    async fn take<T>(
        self: &Arc<Self>,
        load: Load,
        ready: &Notify,
        next: impl Fn(&mut State) -> Option<T>,
    ) -> Option<(T, Running)> {
        loop {
            let due = {
                let mut state = self.state();
                let due = state.resting.take_due();
                if !due.is_empty() {
                    state.put_back(due);
                    self.notify_both();
                }
                if let Some(taken) = next(&mut state) {
                    state.running += 1;
                    return Some((taken, Running { inbox: Arc::clone(self), load }));
                }
                if state.is_over() {
                    drop(state);
                    self.notify_both();
                    return None;
                }
                state.resting.next_due()
            };
            match due {
                // Either way there may be calls.
                Some(due) => drop(timeout_at(due.into(), ready.notified()).await),
                None => ready.notified().await,
            }
        }
    }

    /// Lets the calls of a busy payer rest: these, and those that wait behind them.
    pub fn rest(&self, payer: &Payer, mut calls: Vec<Call>) {
        let mut state = self.state();
        calls.extend(state.remove_of(payer));
        let refused = state.resting.rest(payer, calls);
        drop(state);
        self.notify(Load::Light);
        refuse_resting(refused);
    }

    /// Ends the rest of a payer.
    pub fn wake(&self, payer: &Payer) {
        self.state().resting.wake(payer);
        self.notify(Load::Light);
    }

    /// Takes the oldest calls of a busy payer that are younger than `age`, as one batch. The others rest.
    pub fn take_of(&self, payer: &Payer, age: Duration) -> Vec<Call> {
        let mut state = self.state();
        let mut calls = state.resting.take(payer);
        calls.extend(state.remove_of(payer));
        calls.retain(|call| !call.is_abandoned());
        let (mut batch, mut left) = (Vec::new(), Vec::new());
        let (mut bytes, mut weight) = (0, 0);
        for call in calls {
            let fits = batch.len() < BATCH_CALLS_MAX
                && bytes + call.bytes() <= BATCH_BYTES_MAX
                && weight + call.weight <= BATCH_WEIGHT_MAX;
            if call.age() < age && (fits || batch.is_empty()) {
                bytes += call.bytes();
                weight += call.weight;
                batch.push(call);
            } else {
                left.push(call);
            }
        }
        let refused = if left.is_empty() { left } else { state.resting.rest(payer, left) };
        drop(state);
        refuse_resting(refused);
        batch
    }

    /// Takes all calls of this load, and with the light calls those of busy payers: for a task that has no connection.
    pub fn take_all(&self, load: Load) -> Vec<Call> {
        let mut state = self.state();
        let calls = match load {
            Load::Light => state.light.drain(..).collect(),
            Load::Heavy => state.heavy.drain(),
        };
        calls.iter().for_each(|call| state.forget(call));
        match load {
            Load::Light => {
                // Heavy calls may have waited for them.
                self.notify(Load::Heavy);
                calls.into_iter().chain(state.resting.take_all()).collect()
            }
            Load::Heavy => calls,
        }
    }

    /// Refuses new calls. Calls that wait still run.
    pub fn close(&self) {
        self.state().closed = true;
        self.notify_both();
    }
}

fn refuse_resting(calls: Vec<Call>) {
    for call in calls {
        call.refuse(CallError::Overloaded, "too many calls wait for the locks of their payers");
    }
}

#[cfg(test)]
mod tests;
