//! What a call can wait for, and what wakes it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::number::Bounded;

/// The kind of resource that a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Awaited {
    /// A lock.
    Lock,
    /// Jobs of a queue.
    Queue,
}

/// How long a call waits, in milliseconds: 0 to 30,000, default 0.
pub type WaitMs = Bounded<0, 30_000>;

/// Wakes calls that wait for a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The kind of the resource.
    pub kind: Awaited,
    /// The name of the resource.
    pub name: String,
    /// Number of waiters to wake.
    pub count: usize,
}

impl Wake {
    /// Wakes up to `count` waiters.
    #[must_use]
    pub fn of(kind: Awaited, name: &Name, count: usize) -> Self {
        Self { kind, name: name.as_str().to_owned(), count }
    }
}

/// The resource that a call waits for, and for how long.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The kind of the resource.
    pub kind: Awaited,
    /// The name of the resource.
    pub name: String,
    /// Maximum time to wait.
    pub patience: Duration,
}

impl Wanted {
    /// Waits for this resource. `None` if the call does not wait.
    #[must_use]
    pub fn of(kind: Awaited, name: &Name, wait_ms: WaitMs) -> Option<Self> {
        (wait_ms.get() > 0).then(|| Self { kind, name: name.as_str().to_owned(), patience: wait_ms.millis() })
    }
}
