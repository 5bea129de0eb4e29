//! The databases that stay open.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::sqlite::engine::{AllMemory, Database};
use crate::sqlite::wire::Kept;

/// An instance that has grown beyond this size, in bytes, is closed after its call.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Memory of all databases that no call uses, in bytes: three quarters of what a worker has. An instance takes half a MiB.
const IDLE_BYTES_MAX: usize = 768 << 20;

/// An open database, at a version.
pub(super) struct Open {
    pub database: Database,
    pub version: Uuid,
}

/// The databases that no call uses.
pub(super) struct Idle {
    max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    databases: HashMap<String, (u64, Open)>,
    /// Their names, by the time of their last use.
    order: BTreeMap<u64, String>,
    uses: u64,
    bytes: usize,
    evictions: u64,
    /// The last report to the server.
    told: Kept,
}

impl State {
    fn remove(&mut self, name: &str) -> Option<Open> {
        let (used, open) = self.databases.remove(name)?;
        self.order.remove(&used);
        self.bytes = self.bytes.saturating_sub(open.database.memory());
        Some(open)
    }
}

impl Idle {
    pub fn new(max: usize) -> Self {
        Self { max, state: Mutex::default() }
    }

    /// Takes a database of this version. One of another version is closed.
    pub fn take(&self, name: &str, version: Uuid) -> Option<Open> {
        let open = self.state().remove(name)?;
        (open.version == version).then_some(open)
    }

    /// Keeps a database open. Closes those that were not used for the longest time, if there are too many.
    pub fn put(&self, name: String, open: Open) {
        if self.max == 0 || open.database.memory() > KEPT_BYTES_MAX {
            return;
        }
        let mut state = self.state();
        let mut closed = Vec::from_iter(state.remove(&name));
        state.uses += 1;
        let used = state.uses;
        state.bytes += open.database.memory();
        state.order.insert(used, name.clone());
        state.databases.insert(name, (used, open));
        while state.databases.len() > self.max || state.bytes > IDLE_BYTES_MAX {
            let Some(oldest) = state.order.values().next().cloned() else { break };
            closed.extend(state.remove(&oldest));
            state.evictions += 1;
        }
        // Closing takes time.
        drop(state);
        drop(closed);
    }

    /// The open databases, also those in use, if they differ from the ones that the server was told last.
    pub fn news(&self, memory: &AllMemory) -> Option<Kept> {
        let bytes = u64::try_from(memory.bytes()).unwrap_or(u64::MAX);
        let mut state = self.state();
        let kept = Kept { databases: memory.instances(), bytes, evictions: state.evictions };
        let is_new = kept != state.told;
        state.told = kept;
        is_new.then_some(kept)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
