//! The methods of the sweeper. No payer can call them: they are in no list of methods.

use serde::{Deserialize, Serialize};

use crate::call::{Entry, Method, Spec};

/// All methods of the sweeper.
pub(crate) const METHODS: &[Entry] = &[
    Entry::of::<SweepQueues>(),
    Entry::of::<SweepJobs>(),
    Entry::of::<SweepLocks>(),
    Entry::of::<SweepIdempotency>(),
    Entry::of::<SweepMemories>(),
    Entry::of::<GrowGraph>(),
    Entry::of::<SweepLinks>(),
];

/// How much work a bite is at most, in calls that do one thing.
const BITE: usize = 100;

const fn sweep(name: &'static str) -> Spec {
    Spec::write(name)
}

/// Ends leases that ran out, lets jobs be popped whose time came, and forgets queues without a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepQueues {}

impl Method for SweepQueues {
    type Output = u64;
    const SPEC: Spec = sweep("sweepQueues");

    fn weight(&self) -> usize {
        BITE
    }
}

/// Deletes finished jobs that were kept for long enough.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepJobs {}

impl Method for SweepJobs {
    type Output = u64;
    const SPEC: Spec = sweep("sweepJobs");

    fn weight(&self) -> usize {
        BITE
    }
}

/// Forgets locks that nobody has held for an hour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepLocks {}

impl Method for SweepLocks {
    type Output = u64;
    const SPEC: Spec = sweep("sweepLocks");

    fn weight(&self) -> usize {
        BITE
    }
}

/// Forgets what was answered to idempotency keys a day ago.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepIdempotency {}

impl Method for SweepIdempotency {
    type Output = u64;
    const SPEC: Spec = sweep("sweepIdempotency");

    fn weight(&self) -> usize {
        BITE
    }
}

/// Forgets memories that have ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepMemories {}

impl Method for SweepMemories {
    type Output = u64;
    const SPEC: Spec = sweep("sweepMemories");

    fn weight(&self) -> usize {
        BITE
    }
}

/// Puts vectors of a large space into its graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct GrowGraph {
    pub model: String,
    pub dimensions: i32,
    pub bite: u64,
}

impl Method for GrowGraph {
    type Output = u64;
    const SPEC: Spec = sweep("growGraph").apart();
}

/// Adds up the clicks of a link and forgets those that were kept for long enough.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SweepLinks {
    pub slug: String,
    pub keep_ms: i64,
}

impl Method for SweepLinks {
    type Output = u64;
    const SPEC: Spec = sweep("sweepLinks");

    fn weight(&self) -> usize {
        BITE
    }
}
