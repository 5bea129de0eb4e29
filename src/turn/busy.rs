//! The path of busy payers: somebody else holds the payer's lock (another replica's turn, a long transaction), so its
//! calls wait here, alone, while the lane goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::lane::SILENCE_MAX;
use super::outcome::Failure;
use super::queue::{BATCH_CALLS_MAX, Call};
use super::statement::{self, Answers, Fault, Kind};
use crate::auth::Payer;
use crate::db::{Database, POOL_WAIT};

/// Most payers that wait for their locks at the same time; each holds a connection of the pool.
const BUSY_PAYERS_MAX: usize = 4;
/// Most calls of one payer that wait for its lock.
const BUSY_CALLS_MAX: usize = 1_024;
/// How long a payer's lock is waited for: with what comes before and after, below the deadline of a call.
const LOCK_WAIT: Duration = Duration::from_secs(2);

pub(super) struct BusyPath {
    database: Database,
    /// The payers that wait, each with the calls that have come since its batch was sent.
    waiting: Mutex<HashMap<Payer, Vec<Call>>>,
}

impl BusyPath {
    pub fn new(database: Database) -> Self {
        Self { database, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Payer, Vec<Call>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the calls of one payer as soon as its lock is free, or when it has been waited for long enough. Calls of
    /// a payer that waits already wait with the others, in order.
    pub fn settle(self: &Arc<Self>, payer: &Payer, calls: Vec<Call>) {
        let mut waiting = self.waiting();
        if let Some(others) = waiting.get_mut(payer) {
            let room = BUSY_CALLS_MAX.saturating_sub(others.len());
            let mut calls = calls.into_iter();
            others.extend(calls.by_ref().take(room));
            drop(waiting);
            return calls.for_each(|call| call.answer(Err(Failure::Overloaded)));
        }
        if waiting.len() >= BUSY_PAYERS_MAX {
            drop(waiting);
            return calls.into_iter().for_each(|call| call.answer(Err(Failure::PayerBusy)));
        }
        waiting.insert(payer.clone(), calls);
        drop(waiting);
        let settling = Settling { path: Arc::clone(self), payer: Some(payer.clone()) };
        tokio::spawn(settling.run());
    }

    /// Takes back a call that waits. `false`: it has been sent, or never came here.
    pub fn withdraw(&self, payer: &Payer, id: u64) -> bool {
        let mut waiting = self.waiting();
        let Some(calls) = waiting.get_mut(payer) else { return false };
        let before = calls.len();
        calls.retain(|call| call.id != id);
        calls.len() < before
    }

    /// The next calls of a payer that waits. When there are none, it no longer waits.
    fn next(&self, payer: &Payer) -> Option<Vec<Call>> {
        let mut waiting = self.waiting();
        let calls = waiting.get_mut(payer)?;
        calls.retain(|call| !call.reply.is_closed());
        if calls.is_empty() {
            waiting.remove(payer);
            return None;
        }
        let count = calls.len().min(BATCH_CALLS_MAX);
        Some(calls.drain(..count).collect())
    }

    async fn run(&self, batch: Vec<Call>) {
        match self.attempt(&batch).await {
            Ok(answers) => {
                for (call, result) in batch.into_iter().zip(answers.results) {
                    call.answer(Ok(result));
                }
            }
            // Rolled back by a bug in one of them, or a deadlock: each for itself, so that only the culprit fails.
            Err(fault) if batch.len() > 1 && matches!(fault, Fault::Refused(_)) && !fault.is_lock_timeout() => {
                for call in batch {
                    if !call.reply.is_closed() {
                        Box::pin(self.run(vec![call])).await;
                    }
                }
            }
            Err(fault) => {
                for call in batch {
                    let failure = fault.end(Kind::Write, call.method);
                    call.answer(Err(failure));
                }
            }
        }
    }

    async fn attempt(&self, batch: &[Call]) -> Result<Answers, Fault> {
        let statement = statement::run(self.database.pool(), Kind::Write, batch, LOCK_WAIT);
        match tokio::time::timeout(POOL_WAIT + LOCK_WAIT + SILENCE_MAX, statement).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Fault::silence()),
        }
    }
}

/// Settles what waits for one payer. However it ends, the payer no longer waits.
struct Settling {
    path: Arc<BusyPath>,
    /// Nothing once it has ended by itself.
    payer: Option<Payer>,
}

impl Settling {
    async fn run(mut self) {
        while let Some(batch) = self.payer.as_ref().and_then(|payer| self.path.next(payer)) {
            self.path.run(batch).await;
        }
        self.payer = None;
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        let left = self.payer.take().and_then(|payer| self.path.waiting().remove(&payer));
        for call in left.into_iter().flatten() {
            call.answer(Err(Failure::PayerBusy));
        }
    }
}
