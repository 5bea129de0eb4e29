//! The path of busy payers: another transaction holds the payer's lock (a turn of another replica, or a long transaction),
//! so its calls wait here while the lane goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::access::Access;
use super::call::Call;
use super::error::CallError;
use super::inbox::BATCH_CALLS_MAX;
use super::rerun::{SendBatch, run_alone};
use super::send_error::SendError;
use super::statement::{self, BatchResults, SILENCE_MAX};
use crate::db::{Database, POOL_WAIT};
use crate::payer::Payer;

/// Number of turns that wait for the lock of their payer. Each uses a connection of the pool.
const BUSY_TURNS_MAX: usize = 4;
/// How long the calls of a payer wait for one of these turns.
const TURN_WAIT: Duration = Duration::from_millis(1_500);
/// How long a turn waits for the payer's lock. With the time before and after it, less than the deadline of a call.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Number of parked calls of one payer.
const PARKED_PAYER_SHARE: usize = 1_024;
/// Number of parked calls of all payers.
const PARKED_CALLS_MAX: usize = 4_096;
/// Bytes of parameters of all parked calls.
const PARKED_BYTES_MAX: usize = 32 << 20;

pub(super) struct BusyPath {
    database: Database,
    /// The busy payers, each with the calls that came after its batch was sent.
    parked: Mutex<HashMap<Payer, Vec<Call>>>,
    turns: Semaphore,
}

impl BusyPath {
    pub fn new(database: Database) -> Self {
        Self { database, parked: Mutex::default(), turns: Semaphore::new(BUSY_TURNS_MAX) }
    }

    fn parked(&self) -> MutexGuard<'_, HashMap<Payer, Vec<Call>>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the calls of one payer when its lock is free or the wait is over. Calls of a payer that is already parked
    /// join its queue.
    pub fn park(self: &Arc<Self>, payer: &Payer, calls: Vec<Call>) {
        let mut parked = self.parked();
        let is_parked = parked.contains_key(payer);
        let mut count: usize = parked.values().map(Vec::len).sum();
        let mut bytes: usize = parked.values().flatten().map(Call::bytes).sum();
        let of_payer = parked.entry(payer.clone()).or_default();
        let mut refused = Vec::new();
        for call in calls {
            let has_room = count < PARKED_CALLS_MAX
                && of_payer.len() < PARKED_PAYER_SHARE
                && bytes + call.bytes() <= PARKED_BYTES_MAX;
            if has_room {
                count += 1;
                bytes += call.bytes();
                of_payer.push(call);
            } else {
                refused.push(call);
            }
        }
        drop(parked);
        for call in refused {
            call.refuse(CallError::Overloaded, "too many calls wait for the locks of their payers");
        }
        if !is_parked {
            let parked = Parked { path: Arc::clone(self), payer: Some(payer.clone()) };
            tokio::spawn(parked.drive());
        }
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

    async fn process(&self, mut batch: Vec<Call>) {
        let mut sender = self;
        statement::sort(&mut batch);
        match sender.send(&batch).await {
            Ok(results) => answer(batch, results),
            // Rolled back by a bug in one of the calls, or by a deadlock.
            Err(error)
                if error.is_rolled_back()
                    && !error.is_lock_timeout()
                    && (batch.len() > 1 || error.is_transient(Access::Write)) =>
            {
                for call in batch {
                    match run_alone(&mut sender, Access::Write, &call).await {
                        None => {}
                        Some(Ok(results)) => answer(vec![call], results),
                        Some(Err(error)) => call.fail(Access::Write, &error),
                    }
                }
            }
            Err(error) => batch.into_iter().for_each(|call| call.fail(Access::Write, &error)),
        }
    }
}

impl SendBatch for &BusyPath {
    async fn send(&mut self, batch: &[Call]) -> Result<BatchResults, SendError> {
        let statement = async {
            let mut connection = self.database.slow().acquire().await?;
            statement::execute(&mut *connection, Access::Write, batch, LOCK_WAIT).await
        };
        match tokio::time::timeout(POOL_WAIT + LOCK_WAIT + SILENCE_MAX, statement).await {
            Ok(result) => result,
            Err(_elapsed) => Err(SendError::silence()),
        }
    }
}

fn answer(batch: Vec<Call>, results: BatchResults) {
    for (call, result) in batch.into_iter().zip(results.results) {
        call.answer(Ok(result));
    }
}

/// A parked payer. Dropping it answers its remaining calls.
struct Parked {
    path: Arc<BusyPath>,
    /// `None` once all calls are answered.
    payer: Option<Payer>,
}

impl Parked {
    async fn drive(mut self) {
        while let Some(payer) = &self.payer {
            let Ok(Ok(_turn)) = tokio::time::timeout(TURN_WAIT, self.path.turns.acquire()).await else { return };
            match self.path.next(payer) {
                Some(batch) => self.path.process(batch).await,
                None => self.payer = None,
            }
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let left = self.payer.take().and_then(|payer| self.path.parked().remove(&payer));
        for call in left.into_iter().flatten() {
            call.refuse(CallError::PayerBusy, "no connection became free to wait for the lock of the payer");
        }
    }
}
