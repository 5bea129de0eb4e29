//! The path of busy payers: another transaction holds the payer's lock (a turn of another replica, or a long transaction),
//! so its calls wait here while the lane goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::access::Access;
use super::call::Call;
use super::error::CallError;
use super::inbox::BATCH_CALLS_MAX;
use super::send_error::{RERUNS_MAX, SendError};
use super::statement::{self, BatchResults, SILENCE_MAX};
use crate::db::{Database, POOL_WAIT};
use crate::payer::Payer;

/// Number of payers that wait for their locks at the same time. Each uses a connection of the pool.
const BUSY_PAYERS_MAX: usize = 4;
/// Number of calls of one payer that wait for its lock.
const BUSY_CALLS_MAX: usize = 1_024;
/// How long a turn waits for the payer's lock. With the time before and after it, less than the deadline of a call.
const LOCK_WAIT: Duration = Duration::from_secs(2);

pub(super) struct BusyPath {
    database: Database,
    /// The busy payers, each with the calls that came after its batch was sent.
    parked: Mutex<HashMap<Payer, Vec<Call>>>,
}

impl BusyPath {
    pub fn new(database: Database) -> Self {
        Self { database, parked: Mutex::default() }
    }

    fn parked(&self) -> MutexGuard<'_, HashMap<Payer, Vec<Call>>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the calls of one payer when its lock is free or the wait is over. Calls of a payer that is already parked
    /// join its queue.
    pub fn park(self: &Arc<Self>, payer: &Payer, calls: Vec<Call>) {
        let mut parked = self.parked();
        if let Some(others) = parked.get_mut(payer) {
            let room = BUSY_CALLS_MAX.saturating_sub(others.len());
            let mut calls = calls.into_iter();
            others.extend(calls.by_ref().take(room));
            drop(parked);
            return calls.for_each(|call| call.answer(Err(CallError::Overloaded)));
        }
        if parked.len() >= BUSY_PAYERS_MAX {
            drop(parked);
            return calls.into_iter().for_each(|call| call.answer(Err(CallError::PayerBusy)));
        }
        parked.insert(payer.clone(), calls);
        drop(parked);
        let parked = Parked { path: Arc::clone(self), payer: Some(payer.clone()) };
        tokio::spawn(parked.drive());
    }

    /// Removes a parked call. `false` if it was sent, or never parked.
    pub fn withdraw(&self, payer: &Payer, id: u64) -> bool {
        let mut parked = self.parked();
        let Some(calls) = parked.get_mut(payer) else { return false };
        let before = calls.len();
        calls.retain(|call| call.id != id);
        calls.len() < before
    }

    /// The next batch of a parked payer. `None` when it has no more calls: then it is no longer parked.
    fn next(&self, payer: &Payer) -> Option<Vec<Call>> {
        let mut parked = self.parked();
        let calls = parked.get_mut(payer)?;
        calls.retain(|call| !call.is_abandoned());
        if calls.is_empty() {
            parked.remove(payer);
            return None;
        }
        let count = calls.len().min(BATCH_CALLS_MAX);
        Some(calls.drain(..count).collect())
    }

    async fn process(&self, batch: Vec<Call>) {
        match self.send(&batch).await {
            Ok(results) => {
                for (call, result) in batch.into_iter().zip(results.results) {
                    call.answer(Ok(result));
                }
            }
            // Rolled back by a bug in one of the calls, or by a deadlock.
            Err(error) if error.is_rolled_back() && !error.is_lock_timeout() => {
                for call in batch {
                    self.rerun(call).await;
                }
            }
            Err(error) => batch.into_iter().for_each(|call| fail(call, &error)),
        }
    }

    /// Runs a call of a failed batch alone, so that only the call at fault fails.
    async fn rerun(&self, call: Call) {
        // A caller that was told `outcome-unknown` must not see the effect much later.
        for attempt in 0..=RERUNS_MAX {
            if call.is_abandoned() {
                return;
            }
            match self.send(std::slice::from_ref(&call)).await {
                Ok(batch) => return call.answer(batch.results.into_iter().next().ok_or(CallError::Refused)),
                Err(error) if error.is_rolled_back() && error.is_transient(Access::Write) && attempt < RERUNS_MAX => {}
                Err(error) => return fail(call, &error),
            }
        }
    }

    async fn send(&self, batch: &[Call]) -> Result<BatchResults, SendError> {
        let statement = statement::execute(self.database.pool(), Access::Write, batch, LOCK_WAIT);
        match tokio::time::timeout(POOL_WAIT + LOCK_WAIT + SILENCE_MAX, statement).await {
            Ok(result) => result,
            Err(_elapsed) => Err(SendError::silence()),
        }
    }
}

fn fail(call: Call, error: &SendError) {
    let error = call.span.in_scope(|| error.of_call(Access::Write, call.command.method));
    call.answer(Err(error));
}

/// A parked payer. Dropping it answers its remaining calls.
struct Parked {
    path: Arc<BusyPath>,
    /// `None` once all calls are answered.
    payer: Option<Payer>,
}

impl Parked {
    async fn drive(mut self) {
        while let Some(batch) = self.payer.as_ref().and_then(|payer| self.path.next(payer)) {
            self.path.process(batch).await;
        }
        self.payer = None;
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let left = self.payer.take().and_then(|payer| self.path.parked().remove(&payer));
        for call in left.into_iter().flatten() {
            call.answer(Err(CallError::PayerBusy));
        }
    }
}
