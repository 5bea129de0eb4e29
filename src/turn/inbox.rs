//! The inbox of a lane: bounded, fair between payers, and exact about which calls have not begun.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::call::{Call, Sender};
use super::error::CallError;
use super::resting::Resting;
use crate::payer::Payer;

/// Calls in one statement. More would not make a call cheaper, and the last one would wait for all the others.
pub(super) const BATCH_CALLS_MAX: usize = 64;
/// Weight of a light call. Heavier calls run in a batch of their own, alternating with batches of light calls.
const LIGHT_MAX: usize = BATCH_PAYER_SHARE;
/// Bytes of parameters in one statement, unless a single call is larger.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Calls of one payer in one statement while calls of other payers wait.
const BATCH_PAYER_SHARE: usize = BATCH_CALLS_MAX / 4;
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

/// The calls that wait for one lane.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    light: VecDeque<Call>,
    heavy: VecDeque<Call>,
    /// Whether the next batch is a heavy call.
    is_heavy_next: bool,
    /// The payer of the last heavy call.
    last_heavy: Option<Payer>,
    bytes: usize,
    by_sender: HashMap<Sender, usize>,
    visits: usize,
    /// Calls of busy payers. The limits above do not count them.
    resting: Resting,
    closed: bool,
}

impl State {
    fn count(&mut self, call: &Call) {
        self.bytes += call.bytes();
        self.visits += usize::from(call.command.is_visit);
        *self.by_sender.entry(call.sender()).or_default() += 1;
    }

    fn forget(&mut self, call: &Call) {
        self.bytes = self.bytes.saturating_sub(call.bytes());
        self.visits = self.visits.saturating_sub(usize::from(call.command.is_visit));
        let sender = call.sender();
        if let Some(count) = self.by_sender.get_mut(&sender) {
            *count -= 1;
            if *count == 0 {
                self.by_sender.remove(&sender);
            }
        }
    }

    /// Whether the inbox has room for a call.
    fn has_room_for(&self, call: &Call) -> bool {
        let of_sender = self.by_sender.get(&call.sender()).copied().unwrap_or_default();
        let share = if call.command.is_visit { WAITING_VISITS_SHARE } else { WAITING_PAYER_SHARE };
        of_sender < share
            && self.light.len() + self.heavy.len() < WAITING_CALLS_MAX
            && (self.visits < WAITING_VISITS_MAX || !call.command.is_visit)
            && self.bytes + call.bytes() <= WAITING_BYTES_MAX
    }

    /// Puts the calls of busy payers that are due before all others: they are older.
    fn resume(&mut self) {
        for call in self.resting.take_due().into_iter().rev() {
            self.count(&call);
            match call.command.total_weight() > LIGHT_MAX {
                true => self.heavy.push_front(call),
                false => self.light.push_front(call),
            }
        }
    }

    /// Removes the calls of a payer that do not rest.
    fn remove_of(&mut self, payer: &Payer) -> Vec<Call> {
        let mut removed = Vec::new();
        if [false, true].into_iter().all(|is_visit| !self.by_sender.contains_key(&(payer.clone(), is_visit))) {
            return removed;
        }
        for calls in [&mut self.light, &mut self.heavy] {
            let (of_payer, others) = std::mem::take(calls).into_iter().partition(|call| call.payer == *payer);
            *calls = others;
            removed.extend::<VecDeque<Call>>(of_payer);
        }
        removed.iter().for_each(|call| self.forget(call));
        removed
    }

    /// Takes the next batch: one heavy call and many light calls alternate.
    fn take(&mut self) -> Vec<Call> {
        self.is_heavy_next = !self.is_heavy_next || self.light.is_empty();
        if self.is_heavy_next
            && let Some(call) = self.take_heavy()
        {
            self.forget(&call);
            self.last_heavy = Some(call.payer.clone());
            return vec![call];
        }
        self.take_light()
    }

    /// The first heavy call of another payer than that of the last heavy call; otherwise the first heavy call.
    fn take_heavy(&mut self) -> Option<Call> {
        let index = self.heavy.iter().position(|call| Some(&call.payer) != self.last_heavy.as_ref());
        self.heavy.remove(index.unwrap_or_default())
    }

    /// Fills a batch in order of arrival, in two passes: first at most `BATCH_PAYER_SHARE` calls per payer, then the free
    /// slots for any payer.
    fn take_light(&mut self) -> Vec<Call> {
        let mut batch = Vec::with_capacity(self.light.len().min(BATCH_CALLS_MAX));
        let mut bytes = 0;
        for share in [BATCH_PAYER_SHARE, BATCH_CALLS_MAX] {
            let mut taken: HashMap<Sender, usize> = HashMap::new();
            let mut left = VecDeque::new();
            while let Some(call) = self.light.pop_front() {
                let of_sender = taken.entry(call.sender()).or_default();
                let fits = batch.is_empty() || bytes + call.bytes() <= BATCH_BYTES_MAX;
                if batch.len() < BATCH_CALLS_MAX && *of_sender < share && fits {
                    *of_sender += 1;
                    bytes += call.bytes();
                    self.forget(&call);
                    batch.push(call);
                } else {
                    left.push_back(call);
                    if batch.len() == BATCH_CALLS_MAX {
                        break;
                    }
                }
            }
            left.append(&mut self.light);
            self.light = left;
        }
        batch
    }
}

impl Inbox {
    /// Number of calls that wait.
    pub fn len(&self) -> usize {
        let state = self.state();
        state.light.len() + state.heavy.len() + state.resting.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code in here panics between two changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        match call.command.total_weight() > LIGHT_MAX {
            true => state.heavy.push_back(call),
            false => state.light.push_back(call),
        }
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Removes a call, so that it never runs, and says why it did not run in time. `None` if it has begun.
    pub fn withdraw(&self, id: u64) -> Option<CallError> {
        let mut state = self.state();
        if state.resting.withdraw(id) {
            return Some(CallError::PayerBusy);
        }
        let State { light, heavy, .. } = &mut *state;
        let remove = |calls: &mut VecDeque<Call>| {
            let index = calls.iter().position(|call| call.id == id)?;
            calls.remove(index)
        };
        let removed = remove(light).or_else(|| remove(heavy))?;
        state.forget(&removed);
        Some(CallError::Overloaded)
    }

    /// Waits for calls and takes the next batch. `None` once the inbox is closed and empty.
    pub async fn take(&self) -> Option<Vec<Call>> {
        loop {
            let due = {
                let mut state = self.state();
                state.resume();
                let batch = state.take();
                if !batch.is_empty() {
                    return Some(batch);
                }
                if state.closed && state.resting.is_empty() {
                    return None;
                }
                state.resting.next_due()
            };
            let arrived = self.arrived.notified();
            match due {
                // Either way there may be calls.
                Some(due) => drop(timeout_at(due.into(), arrived).await),
                None => arrived.await,
            }
        }
    }

    /// Lets the calls of a busy payer rest: these, and those that wait behind them.
    pub fn rest(&self, payer: &Payer, mut calls: Vec<Call>) {
        let mut state = self.state();
        calls.extend(state.remove_of(payer));
        let refused = state.resting.rest(payer, calls);
        drop(state);
        self.arrived.notify_one();
        refused
            .into_iter()
            .for_each(|call| call.refuse(CallError::Overloaded, "too many calls wait for the locks of their payers"));
    }

    /// Ends the rest of a payer.
    pub fn wake(&self, payer: &Payer) {
        self.state().resting.wake(payer);
        self.arrived.notify_one();
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
                && weight + call.command.total_weight() <= BATCH_CALLS_MAX;
            if call.age() < age && (fits || batch.is_empty()) {
                bytes += call.bytes();
                weight += call.command.total_weight();
                batch.push(call);
            } else {
                left.push(call);
            }
        }
        let refused = if left.is_empty() { left } else { state.resting.rest(payer, left) };
        drop(state);
        refused
            .into_iter()
            .for_each(|call| call.refuse(CallError::Overloaded, "too many calls wait for the locks of their payers"));
        batch
    }

    /// Takes all calls: for a lane that has no connection.
    pub fn take_all(&self) -> Vec<Call> {
        let mut state = self.state();
        state.bytes = 0;
        state.by_sender.clear();
        state.visits = 0;
        let mut calls = state.resting.take_all();
        let State { light, heavy, .. } = &mut *state;
        calls.extend(light.drain(..).chain(heavy.drain(..)));
        calls
    }

    /// Refuses new calls. Calls that wait still run.
    pub fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests;
