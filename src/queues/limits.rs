//! Limits of queues.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// Maximum size of a payload or of a result: compact JSON in UTF-8, with all digits of its numbers.
    PAYLOAD_BYTES_MAX: bytes = 256 << 10;
    /// Maximum size of a payload or of a result, as the database writes it: with a space after each comma and colon.
    PAYLOAD_STORED_MAX: bytes = 384 << 10;
    /// Maximum size of the jobs of one `popJobs` or of one page of `listJobs`. The last job may exceed it.
    JOBS_BYTES_MAX: bytes = 4 << 20;
    /// Maximum size of the jobs that several `popJob` calls pop as a set. The last job may exceed it.
    RUN_BYTES_MAX: bytes = 64 << 10;
    /// Maximum number of jobs in one call.
    BATCH_JOBS_MAX: number = 100;
    /// Maximum size of the error of a failed attempt.
    ERROR_BYTES_MAX: bytes = 8 << 10;
    /// Longest back-off before a retry.
    BACKOFF_MAX: time = Duration::from_hours(1);
    /// Maximum number of failed attempts that a job remembers.
    ERRORS_KEPT: number = 10;
    /// How long a completed job is kept.
    COMPLETED_JOBS_KEPT: time = Duration::from_hours(24);
    /// How long a dead job is kept.
    DEAD_JOBS_KEPT: time = Duration::from_hours(14 * 24);
    /// How often the sweeper visits a queue that no call uses.
    QUEUE_VISITED: time = Duration::from_hours(1);
    /// Expired leases and delayed jobs that one call applies.
    DUE_JOBS_MAX: number = 100;
    /// Maximum number of priorities whose first job a queue remembers.
    RANKS_MAX: number = 64;
    /// Maximum number of popped jobs that a pop steps over before it moves the head of its queue.
    HEAD_STEPS_MAX: number = 32;
    /// Jobs that one `retryDead` examines.
    DEAD_JOBS_EXAMINED: number = 1_000;
    /// Jobs that one `purgeQueue` deletes.
    PURGED_MAX: number = 1_000;
    /// Queues that one call of the sweeper visits.
    QUEUES_SWEPT: number = 10;
    /// Finished jobs that one call of the sweeper deletes.
    JOBS_SWEPT: number = 500;
}
