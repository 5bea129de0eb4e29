//! The inbox of a lane: bounded, fair between payers, and exact about which calls have not begun.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::access::{Access, Load};
use super::call::Call;
use super::error::CallError;
use crate::payer::Payer;

pub(super) use state::LIGHT_MAX;
use state::{BATCH_BYTES_MAX, BATCH_CALLS_MAX, BATCH_WEIGHT_MAX, State};

/// The calls that wait for one lane. Light calls share statements; heavy calls run one at a time on a connection of their own.
pub(super) struct Inbox {
    access: Access,
    state: Mutex<State>,
    light_ready: Notify,
    heavy_ready: Notify,
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

impl Inbox {
    pub fn new(access: Access) -> Arc<Self> {
        let (light_ready, heavy_ready) = (Notify::new(), Notify::new());
        Arc::new(Self { access, state: Mutex::new(State::new()), light_ready, heavy_ready })
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

    /// Remembers how long each call used the lane, and the size of its result, in bytes.
    pub fn ran<'a>(&self, calls: impl Iterator<Item = (&'a Call, Duration, usize)>) {
        let (mut state, now) = (self.state(), Instant::now());
        for (call, time, result_bytes) in calls {
            state.history.add_use(call.sender(), time, now);
            state.history.add_result(&call.payer, call.command.method, result_bytes, now);
        }
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
