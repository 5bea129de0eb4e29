//! Values and results of queues.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::name::Name;
use crate::number::Bounded;
use crate::time::Time;

/// How long a lease lasts, in milliseconds: 1 second to 24 hours.
pub type LeaseMs = Bounded<1_000, 86_400_000>;
/// A number of milliseconds up to a year.
pub type DelayMs = Bounded<0, 31_536_000_000>;

/// -32,768 to 32,767.
pub type Priority = Bounded<-32_768, 32_767>;
/// 1 to 1,000.
pub type MaxAttempts = Bounded<1, 1_000>;
/// Up to an hour, in milliseconds.
pub type BackoffMs = Bounded<0, 3_600_000>;

/// Where a page of jobs ended: `state/rank/place`.
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

/// The id of a job or of a lease: a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = "uuid", example = "019ab1c2-6f3e-7d10-9c55-2f4d8e1b7a90")]
pub struct Id(Uuid);

impl Id {
    pub(super) fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self).map_err(|_no_uuid| "must be a UUID")
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Status {
    /// It waits to be popped, or for its time.
    Pending,
    /// Somebody has its lease.
    Running,
    /// It was completed. Kept for 24 hours.
    Completed,
    /// It was given up. Kept for 14 days.
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
    /// Its id: a UUID of version 7.
    pub id: Id,
    /// The queue.
    pub queue: Name,
    /// What was pushed.
    #[schema(value_type = Value, example = json!({"invoice": 17}))]
    pub payload: Value,
    /// Higher ones are popped first.
    #[schema(example = 0)]
    pub priority: i16,
    /// Where it stands.
    pub status: Status,
    /// How often it was popped since it was pushed, or retried from the dead.
    #[schema(example = 1)]
    pub attempts: u32,
    /// How often it may be popped.
    #[schema(example = 3)]
    pub max_attempts: u32,
    /// What the time between two attempts grows from, in milliseconds.
    #[schema(example = 1000)]
    pub backoff_ms: u32,
    /// When it may be popped at the earliest.
    pub run_at: Time,
    /// When the lease of the attempt that runs ends.
    #[schema(required)]
    pub lease_expires_at: Option<Time>,
    /// What keeps a second one like it out.
    #[schema(required)]
    pub dedup_key: Option<Name>,
    /// Of the jobs of a group one runs at a time, in order of arrival.
    #[schema(required)]
    pub group: Option<Name>,
    /// What it was completed with.
    #[schema(required, value_type = Option<Value>, example = json!(null))]
    pub result: Option<Value>,
    /// Why its last attempt failed.
    #[schema(required, example = json!(null))]
    pub error: Option<String>,
    /// When it was pushed.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When it was completed or given up.
    #[schema(required)]
    pub finished_at: Option<Time>,
}

/// A job that was pushed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PushedJob {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Whether it was there before: a job with the same `dedupKey` that is not finished.
    #[serde(default)]
    #[schema(example = false)]
    pub deduplicated: bool,
}

/// Jobs that were pushed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PushedJobs {
    /// In the order of the request.
    pub jobs: Vec<PushedJob>,
}

/// A job that the caller is to do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeasedJob {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// The receipt of this pop: whoever comes with it acts for this attempt and no other.
    pub lease: Id,
}

/// Jobs that the caller is to do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeasedJobs {
    /// In their order; none when the queue is empty.
    pub jobs: Vec<LeasedJob>,
}

/// An attempt that failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailedAttempt {
    /// Which one, from 1.
    #[schema(example = 1)]
    pub attempt: u32,
    /// Why.
    #[schema(example = "connection refused")]
    pub error: String,
    /// When.
    pub at: Time,
}

/// A job with its history.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobWithErrors {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// The last ten attempts that failed, the latest last.
    pub errors: Vec<FailedAttempt>,
}

/// How much is in a queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// The queue.
    pub queue: Name,
    /// Jobs that can be popped, or wait for another of their group.
    #[schema(example = 3)]
    pub pending: u64,
    /// Jobs whose time has not come.
    #[schema(example = 0)]
    pub delayed: u64,
    /// Jobs that somebody has a lease on.
    #[schema(example = 1)]
    pub running: u64,
    /// Jobs that were completed within 24 hours.
    #[schema(example = 12)]
    pub completed: u64,
    /// Jobs that were given up within 14 days.
    #[schema(example = 0)]
    pub dead: u64,
    /// All of them.
    #[schema(example = 16)]
    pub total: u64,
    /// When the oldest pending job was pushed.
    #[schema(required)]
    pub oldest_pending_at: Option<Time>,
}

/// How many dead jobs came back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Retried {
    /// So many.
    #[schema(example = 2)]
    pub retried: u64,
}

/// How many jobs are gone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Purged {
    /// So many: 1,000 at most.
    #[schema(example = 12)]
    pub purged: u64,
    /// Whether there may be more: call again.
    #[schema(example = false)]
    pub has_more: bool,
}
