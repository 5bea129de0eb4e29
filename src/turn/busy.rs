//! The path of busy payers: somebody else holds the payer's lock (another replica's turn, a long transaction), so its
//! calls wait here, alone, while the lane goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::outcome::Failure;
use super::queue::Call;
use super::statement::{self, Kind};
use crate::db::Database;

/// Most payers that wait for their locks at the same time; each holds a connection of the pool.
pub(super) const BUSY_PAYERS_MAX: usize = 4;
/// How long a payer's lock is waited for: below the deadline of a call.
const LOCK_WAIT: Duration = Duration::from_secs(2);

pub(super) struct BusyPath {
    database: Database,
    places: Arc<Semaphore>,
}

impl BusyPath {
    pub fn new(database: Database) -> Self {
        Self { database, places: Arc::new(Semaphore::new(BUSY_PAYERS_MAX)) }
    }

    /// Answers the calls of one payer as soon as its lock is free, or when it has been waited for long enough.
    pub fn settle(&self, calls: Vec<Call>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            for call in calls {
                call.answer(Err(Failure::PayerBusy));
            }
            return;
        };
        let database = self.database.clone();
        tokio::spawn(async move {
            wait_and_run(&database, calls).await;
            drop(place);
        });
    }
}

async fn wait_and_run(database: &Database, calls: Vec<Call>) {
    match statement::run(database.pool(), Kind::Write, &calls, LOCK_WAIT).await {
        Ok(answers) => {
            for (call, result) in calls.into_iter().zip(answers.results) {
                call.answer(Ok(result));
            }
        }
        Err(fault) => {
            for call in calls {
                let failure = fault.end(Kind::Write, call.method);
                call.answer(Err(failure));
            }
        }
    }
}
