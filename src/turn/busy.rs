//! Busy payers: another transaction holds the payer's lock, a turn of another server or a long transaction.
//!
//! The lane goes on with other payers, and tries a busy payer again after a pause that grows. A lock that is held for some
//! milliseconds costs nothing else. If it is held for longer, or again each time, the payer also joins a line: its turn
//! then waits for the lock in PostgreSQL, which serves waiters in order of arrival.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::access::Access;
use super::call::Call;
use super::error::CallError;
use super::inbox::Inbox;
use super::rerun::{SendBatch, run_alone};
use super::send_error::SendError;
use super::statement::{self, BatchResults, SILENCE_MAX, Terms};
use crate::db::{Database, POOL_WAIT};
use crate::payer::Payer;

/// Tries of the lane before a payer joins the line.
const LANE_TRIES: u32 = 4;
/// Number of turns that wait for the lock of their payer. Each uses a connection of the pool.
const BUSY_TURNS_MAX: usize = 4;
/// A turn takes only calls younger than this.
pub(super) const TURN_AGE_MAX: Duration = Duration::from_millis(1_500);
/// How long a turn waits for the payer's lock.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// A call that is older than this when its payer is found busy is refused. With the time of a turn, less than the deadline
/// of a call.
const BUSY_AGE_MAX: Duration = TURN_AGE_MAX.saturating_add(LOCK_WAIT);

pub(super) struct BusyPath {
    database: Database,
    /// The payers in the line.
    in_line: Mutex<HashSet<Payer>>,
    turns: Semaphore,
}

impl BusyPath {
    pub fn new(database: Database) -> Self {
        Self { database, in_line: Mutex::default(), turns: Semaphore::new(BUSY_TURNS_MAX) }
    }

    fn in_line(&self) -> MutexGuard<'_, HashSet<Payer>> {
        self.in_line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes calls that found their payer busy. They run later, or are refused if they are too old.
    pub fn postpone(self: &Arc<Self>, inbox: &Arc<Inbox>, payer: &Payer, calls: Vec<Call>) {
        let (old, mut calls): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| call.age() >= BUSY_AGE_MAX);
        for call in old {
            call.refuse(CallError::PayerBusy, "the lock of the payer was not free in time");
        }
        for call in &mut calls {
            call.busy_tries += 1;
        }
        let is_long = calls.iter().any(|call| call.busy_tries >= LANE_TRIES);
        if !calls.is_empty() {
            inbox.rest(payer, calls);
        }
        if is_long && self.in_line().insert(payer.clone()) {
            let place = Place { path: Arc::clone(self), payer: payer.clone(), inbox: Arc::clone(inbox) };
            tokio::spawn(place.take_turns());
        }
    }

    async fn process(self: &Arc<Self>, inbox: &Arc<Inbox>, payer: &Payer, mut batch: Vec<Call>) {
        let mut sender = &**self;
        statement::group(&mut batch);
        match sender.send(&batch).await {
            Ok(results) => answer(batch, results),
            Err(error) if error.is_lock_timeout() => self.postpone(inbox, payer, batch),
            // Rolled back by a bug in one of the calls, or by a deadlock.
            Err(error) if error.is_rolled_back() && (batch.len() > 1 || error.is_transient(Access::Write)) => {
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
            statement::execute(&mut *connection, Access::Write, batch, Terms::waiting(LOCK_WAIT)).await
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

/// The place of a payer in the line. Dropping it leaves the line.
struct Place {
    path: Arc<BusyPath>,
    payer: Payer,
    inbox: Arc<Inbox>,
}

impl Place {
    /// Runs turns of the payer until none of its calls waits. Meanwhile the lane still tries them.
    async fn take_turns(self) {
        while let Ok(_turn) = self.path.turns.acquire().await {
            let batch = self.inbox.take_of(&self.payer, TURN_AGE_MAX);
            if batch.is_empty() {
                return;
            }
            self.path.process(&self.inbox, &self.payer, batch).await;
            self.inbox.wake(&self.payer);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.path.in_line().remove(&self.payer);
    }
}
