//! What is slow and runs apart, slow reads and texts that become vectors: how many of them a payer may have under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::outcome::Failure;
use crate::auth::Payer;

/// How many of one payer run at the same time: there is room for those of several payers.
const PAYER_RUNNING_MAX: usize = 2;
/// How many of one payer run or wait.
const PAYER_WAITING_MAX: usize = 32;

/// What is under way, by payer.
#[derive(Default)]
pub(super) struct Places {
    payers: Mutex<HashMap<Payer, Weak<OfPayer>>>,
}

/// The places of one payer, as long as something of it is under way.
struct OfPayer {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// A place among those of a payer.
pub(super) struct Place {
    places: Arc<OfPayer>,
    _waiting: OwnedSemaphorePermit,
}

impl Places {
    /// Lets one in, unless too many of its payer are under way.
    pub fn enter(&self, payer: &Payer) -> Result<Place, Failure> {
        let mut payers = self.payers.lock().unwrap_or_else(PoisonError::into_inner);
        let places = payers.get(payer).and_then(Weak::upgrade).unwrap_or_else(|| {
            payers.retain(|_payer, places| places.strong_count() > 0);
            let places = Arc::new(OfPayer {
                running: Arc::new(Semaphore::new(PAYER_RUNNING_MAX)),
                waiting: Arc::new(Semaphore::new(PAYER_WAITING_MAX)),
            });
            payers.insert(payer.clone(), Arc::downgrade(&places));
            places
        });
        drop(payers);
        let waiting = Arc::clone(&places.waiting).try_acquire_owned();
        let waiting = waiting.map_err(|_full| Failure::Overloaded)?;
        Ok(Place { places, _waiting: waiting })
    }
}

impl Place {
    /// Waits until it may run. It runs as long as what this returns is kept.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places.running).acquire_owned().await.ok()
    }
}
