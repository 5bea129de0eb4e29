//! A limit on concurrent work per payer: slow reads and embeddings run outside of the lanes, so a payer gets a few at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::payer::Payer;

/// Number of tasks of one payer that run at the same time. The pool has room for several payers.
const RUNNING_MAX: usize = 2;
/// Number of tasks of one payer that run or wait.
const ADMITTED_MAX: usize = 32;

/// The tasks in progress, by payer.
pub(crate) struct PayerLimit {
    running_max: usize,
    admitted_max: usize,
    payers: Mutex<HashMap<Payer, Weak<Slots>>>,
}

/// The slots of one payer. They are dropped with its last task.
struct Slots {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// The payer already has as many tasks in progress as are admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooManyTasks;

/// A task that was admitted. It may still have to wait for [`Permit::ready`].
pub(crate) struct Permit {
    slots: Arc<Slots>,
    _admitted: OwnedSemaphorePermit,
}

impl Default for PayerLimit {
    fn default() -> Self {
        Self::new(RUNNING_MAX, ADMITTED_MAX)
    }
}

impl PayerLimit {
    /// At most `running_max` tasks of a payer run at the same time, and at most `admitted_max` run or wait.
    pub fn new(running_max: usize, admitted_max: usize) -> Self {
        Self { running_max, admitted_max, payers: Mutex::default() }
    }

    /// Admits a task of this payer.
    pub fn admit(&self, payer: &Payer) -> Result<Permit, TooManyTasks> {
        let mut payers = self.payers.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = payers.get(payer).and_then(Weak::upgrade).unwrap_or_else(|| {
            payers.retain(|_payer, slots| slots.strong_count() > 0);
            let slots = Arc::new(Slots {
                running: Arc::new(Semaphore::new(self.running_max)),
                admitted: Arc::new(Semaphore::new(self.admitted_max)),
            });
            payers.insert(payer.clone(), Arc::downgrade(&slots));
            slots
        });
        drop(payers);
        let admitted = Arc::clone(&slots.admitted).try_acquire_owned().map_err(|_full| TooManyTasks)?;
        Ok(Permit { slots, _admitted: admitted })
    }
}

impl Permit {
    /// Waits until the task may run. It may run as long as the returned permit is held.
    pub async fn ready(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots.running).acquire_owned().await.ok()
    }
}
