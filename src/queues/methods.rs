//! The list of the methods of queues.

use super::attempt::{CompleteJob, ExtendJob, FailJob};
use super::manage::{CancelJob, GetJob, ListJobs, ListQueues, PurgeQueue, ReadQueueStatus, RetryDead};
use super::pop::{PopJob, PopJobs};
use super::push::{PushJob, PushJobs};
use crate::call::Entry;

/// All methods of queues.
pub const METHODS: &[Entry] = &[
    Entry::of::<PushJob>(),
    Entry::of::<PushJobs>(),
    Entry::of::<PopJob>(),
    Entry::of::<PopJobs>(),
    Entry::of::<ExtendJob>(),
    Entry::of::<CompleteJob>(),
    Entry::of::<FailJob>(),
    Entry::of::<GetJob>(),
    Entry::of::<CancelJob>(),
    Entry::of::<ListJobs>(),
    Entry::of::<ReadQueueStatus>(),
    Entry::of::<ListQueues>(),
    Entry::of::<RetryDead>(),
    Entry::of::<PurgeQueue>(),
];
