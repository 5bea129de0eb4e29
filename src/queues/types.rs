//! Values and results of queues.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub use crate::id::Id;
use crate::json::flattened;
use crate::name::Name;
use crate::number::Bounded;
use crate::time::Time;

/// Lease time, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours).
pub type LeaseMs = Bounded<1_000, 86_400_000>;
/// Delay, in milliseconds, 0 to 31,536,000,000 (365 days).
pub type DelayMs = Bounded<0, 31_536_000_000>;

/// Priority of a job, -32,768 to 32,767.
pub type Priority = Bounded<-32_768, 32_767>;
/// Maximum number of attempts, 1 to 1,000.
pub type MaxAttempts = Bounded<1, 1_000>;
/// Base of the back-off, in milliseconds, 0 to 3,600,000 (one hour).
pub type BackoffMs = Bounded<0, 3_600_000>;

/// Key of the last job in a page, for the cursor: `state/rank/place`.
#[derive(Clone, Debug)]
pub struct JobPlace(String);

impl FromStr for JobPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let state = parts.next().filter(|state| state.bytes().all(|byte| byte.is_ascii_lowercase())).is_some();
        let rank = parts.next().is_some_and(|rank| rank.parse::<i16>().is_ok());
        let place = parts.next().is_some_and(|place| place.parse::<i64>().is_ok());
        let is_whole = state && rank && place && parts.next().is_none();
        is_whole.then(|| Self(text.to_owned())).ok_or(())
    }
}

impl fmt::Display for JobPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Status of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = JobStatus)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Status {
    /// The job is ready, delayed, or waits for another job of its group.
    Pending,
    /// A worker holds the lease.
    Running,
    /// The job was completed. It is kept for {{completed_jobs_kept}}.
    Completed,
    /// The last attempt failed or its lease expired, or an attempt failed with `retry: false`. The job is kept for 14
    /// days.
    Dead,
}

impl TryFrom<String> for Status {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "pending" => Ok(Self::Pending),
            "running" => Ok(Self::Running),
            "completed" => Ok(Self::Completed),
            "dead" => Ok(Self::Dead),
            _ => Err("must be `pending`, `running`, `completed` or `dead`"),
        }
    }
}

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Id of the job: a UUID of version 7.
    pub id: Id,
    /// Name of the queue.
    pub queue: Name,
    /// Payload, as it was pushed.
    #[schema(value_type = Value, example = json!({"invoice": 17}))]
    pub payload: Box<RawValue>,
    /// Priority, -32,768 to 32,767. Jobs with a higher priority are popped first.
    #[schema(example = 0)]
    pub priority: i16,
    /// Status of the job.
    pub status: Status,
    /// Number of attempts: pops since the job was pushed, or since `retryDead` put it back.
    #[schema(example = 1)]
    pub attempts: u32,
    /// Maximum number of attempts, 1 to 1,000.
    #[schema(example = 3)]
    pub max_attempts: u32,
    /// Base of the back-off, in milliseconds, 0 to 3,600,000.
    #[schema(example = 1000)]
    pub backoff_ms: u32,
    /// Earliest time at which the job can be popped. Each retry replaces it with the time of the next attempt.
    pub run_at: Time,
    /// End of the lease. `null` unless the job is running.
    #[schema(required)]
    pub lease_expires_at: Option<Time>,
    /// Deduplication key. `null` if it has none.
    #[schema(required)]
    pub dedup_key: Option<Name>,
    /// Group, in which jobs run one at a time, in order of arrival. `null` if the job has none.
    #[schema(required)]
    pub group: Option<Name>,
    /// Result from `completeJob`. `null` if the job is not completed, or was completed without a result.
    #[schema(required, value_type = Option<Value>, example = json!(null))]
    pub result: Option<Box<RawValue>>,
    /// Error of the last failed attempt. `null` if no attempt has failed.
    #[schema(required, example = json!(null))]
    pub error: Option<String>,
    /// Time at which the job was pushed.
    pub created_at: Time,
    /// Time of the last change.
    pub updated_at: Time,
    /// Time at which the job was completed or became dead. `null` if it is unfinished.
    #[schema(required)]
    pub finished_at: Option<Time>,
}

/// Result of a push.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PushedJob {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Whether this is an older, unfinished job with the same `dedupKey`, and no new job was pushed.
    #[schema(required, example = false)]
    pub deduplicated: bool,
}

flattened!(PushedJob {
    job,
    #[serde(default)]
    deduplicated: bool
});

/// Result of pushing a batch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PushedJobs {
    /// Pushed jobs, in the order of the request.
    pub jobs: Vec<PushedJob>,
}

/// A job with its lease.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LeasedJob {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Lease of this attempt. A new attempt gets a new lease.
    pub lease: Id,
}

flattened!(LeasedJob { job, lease: Id });

/// Jobs with their leases.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeasedJobs {
    /// Popped jobs, in the order of the queue. Empty if no job is ready.
    pub jobs: Vec<LeasedJob>,
}

/// A failed attempt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailedAttempt {
    /// Number of the attempt, from 1.
    #[schema(example = 1)]
    pub attempt: u32,
    /// Error of the attempt.
    #[schema(example = "connection refused")]
    pub error: String,
    /// Time of the failure.
    pub at: Time,
}

/// A job with its errors.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobWithErrors {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// The last ten failed attempts, in the order of time.
    pub errors: Vec<FailedAttempt>,
}

flattened!(JobWithErrors { job, errors: Vec<FailedAttempt> });

/// Status of a queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// Name of the queue.
    pub queue: Name,
    /// Number of jobs that are ready, or wait for another job of their group.
    #[schema(example = 3)]
    pub pending: u64,
    /// Number of delayed jobs.
    #[schema(example = 0)]
    pub delayed: u64,
    /// Number of running jobs.
    #[schema(example = 1)]
    pub running: u64,
    /// Number of completed jobs. They are kept for {{completed_jobs_kept}}.
    #[schema(example = 12)]
    pub completed: u64,
    /// Number of dead jobs. They are kept for {{dead_jobs_kept}}.
    #[schema(example = 0)]
    pub dead: u64,
    /// Number of all jobs.
    #[schema(example = 16)]
    pub total: u64,
    /// Time at which the oldest of the `pending` jobs was pushed. `null` if `pending` is 0.
    #[schema(required)]
    pub oldest_pending_at: Option<Time>,
}

/// Result of `retryDead`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Retried {
    /// Number of jobs put back into the queue.
    #[schema(example = 2)]
    pub retried: u64,
}

/// Result of `purgeQueue`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Purged {
    /// Number of deleted jobs, at most 1,000.
    #[schema(example = 12)]
    pub purged: u64,
    /// Whether more jobs may be left. If `true`, call again.
    #[schema(example = false)]
    pub has_more: bool,
}
