//! What goes into the methods of queues, and what comes out.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::json::Json;
use crate::name::Name;
use crate::number::Bounded;
use crate::page::{Cursor, CursorOf, Limit};
use crate::time::Time;
use crate::turn::WaitMs;

/// How long a lease lasts, in milliseconds: 1 second to 24 hours.
pub type LeaseMs = Bounded<1_000, 86_400_000>;
/// A number of milliseconds up to a year.
pub type DelayMs = Bounded<0, 31_536_000_000>;

/// Most jobs of one call.
const BATCH_MAX: usize = 100;
/// The longest error, in bytes.
const ERROR_BYTES_MAX: usize = 8_192;

/// The id of a job or of a lease: a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = "uuid", example = "019ab1c2-6f3e-7d10-9c55-2f4d8e1b7a90")]
pub struct Id(Uuid);

impl Id {
    fn new() -> Self {
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

/// -32,768 to 32,767.
pub type Priority = Bounded<-32_768, 32_767>;
/// 1 to 1,000.
pub type MaxAttempts = Bounded<1, 1_000>;
/// Up to an hour, in milliseconds.
pub type BackoffMs = Bounded<0, 3_600_000>;

/// The members of a job to push, alone and in a batch.
macro_rules! new_job {
    ($(#[$about:meta])* $name:ident { $($queue:tt)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($queue)*
            /// Its id.
            #[serde(skip_deserializing, default = "Id::new")]
            #[schema(ignore)]
            pub id: Id,
            /// What there is to do: any JSON of at most 256 KiB and 64 levels.
            #[schema(value_type = Value, example = json!({"invoice": 17}))]
            pub payload: Json,
            /// Higher ones are popped first.
            #[serde(default = "Priority::of::<0>")]
            #[schema(value_type = i16, minimum = -32768, maximum = 32767, default = 0)]
            pub priority: Priority,
            /// How long it is not to be popped, in milliseconds: up to a year. Not together with `runAt`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<i64>, minimum = 0, maximum = 31536000000i64)]
            pub delay_ms: Option<DelayMs>,
            /// When it may be popped at the earliest; at once if that is past.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub run_at: Option<Time>,
            /// How often it may be popped before it is given up.
            #[serde(default = "MaxAttempts::of::<3>")]
            #[schema(value_type = i64, minimum = 1, maximum = 1000, default = 3)]
            pub max_attempts: MaxAttempts,
            /// Pushes nothing while a job of this queue with this key is not finished, and answers that one.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(example = "invoice-17")]
            pub dedup_key: Option<Name>,
            /// Jobs of one group run one after the other, in order of arrival. One that waits for its time or for its next
            /// attempt holds nobody up.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(example = "customer-4")]
            pub group: Option<Name>,
            /// After attempt n the next waits for a random time up to `backoffMs * 2^(n-1)` milliseconds, an hour at most.
            #[serde(default = "BackoffMs::of::<1_000>")]
            #[schema(value_type = i64, minimum = 0, maximum = 3600000, default = 1000)]
            pub backoff_ms: BackoffMs,
        }
    };
}

new_job! {
    /// Pushes a job.
    PushJob {
        /// The queue.
        #[schema(ignore)]
        pub queue: Name,
    }
}

new_job! {
    /// A job of a batch.
    NewJob {}
}

/// Pushes jobs: all or none.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushJobs {
    /// The queue.
    #[schema(ignore)]
    pub queue: Name,
    /// 1 to 100 jobs, in their order.
    #[serde(deserialize_with = "a_batch")]
    #[schema(min_items = 1, max_items = 100)]
    pub jobs: Vec<NewJob>,
}

fn a_batch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NewJob>, D::Error> {
    let jobs = Vec::deserialize(deserializer)?;
    match jobs.is_empty() || jobs.len() > BATCH_MAX {
        true => Err(D::Error::custom(format!("must be 1 to {BATCH_MAX} jobs"))),
        false => Ok(jobs),
    }
}

/// Takes the next job of a queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PopJob {
    /// The queue.
    #[schema(ignore)]
    pub queue: Name,
    /// How long the job is the caller's if the lease is not extended, in milliseconds.
    #[serde(default = "LeaseMs::of::<60_000>")]
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, default = 60000)]
    pub lease_ms: LeaseMs,
    /// How long to wait for a job while there is none, in milliseconds. Who waits is served in order of arrival.
    #[serde(default)]
    #[schema(value_type = i64, minimum = 0, maximum = 30000, default = 0)]
    pub wait_ms: WaitMs,
}

/// Takes the next jobs of a queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PopJobs {
    /// The queue.
    #[schema(ignore)]
    pub queue: Name,
    /// How many at most. Fewer are answered when the queue has fewer, or when they are more than 4 MiB together.
    #[schema(value_type = i64, minimum = 1, maximum = 100, example = 10)]
    pub count: Bounded<1, 100>,
    /// How long the jobs are the caller's if the leases are not extended, in milliseconds.
    #[serde(default = "LeaseMs::of::<60_000>")]
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, default = 60000)]
    pub lease_ms: LeaseMs,
    /// How long to wait for a job while there is none, in milliseconds.
    #[serde(default)]
    #[schema(value_type = i64, minimum = 0, maximum = 30000, default = 0)]
    pub wait_ms: WaitMs,
}

/// Says that a job is done.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompleteJob {
    /// The job.
    #[schema(ignore)]
    pub id: Id,
    /// The receipt of the pop. Without it, whichever attempt runs is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Id>,
    /// What came of it: any JSON of at most 256 KiB and 64 levels.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    #[schema(value_type = Value, example = json!({"sent": true}))]
    pub result: Json,
}

/// Says that an attempt failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailJob {
    /// The job.
    #[schema(ignore)]
    pub id: Id,
    /// Why: at most 8,192 bytes.
    #[serde(deserialize_with = "an_error")]
    #[schema(max_length = 8192, example = "connection refused")]
    pub error: String,
    /// The receipt of the pop. Without it, whichever attempt runs has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Id>,
    /// Whether to try again, if attempts are left. `false` gives the job up.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub retry: bool,
    /// When to try again, in milliseconds from now, instead of the job's backoff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 31536000000i64)]
    pub retry_in_ms: Option<DelayMs>,
    /// A number from 0 up to 1: how much of the backoff.
    #[serde(skip_deserializing, default = "rand::random")]
    #[schema(ignore)]
    pub jitter: f64,
}

const fn yes() -> bool {
    true
}

fn an_error<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let error = String::deserialize(deserializer)?;
    match error.len() > ERROR_BYTES_MAX {
        true => Err(D::Error::custom(format!("must be at most {ERROR_BYTES_MAX} bytes of UTF-8"))),
        false => Ok(error),
    }
}

/// Makes the lease of a job longer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtendJob {
    /// The job.
    #[schema(ignore)]
    pub id: Id,
    /// The receipt of the pop.
    pub lease: Id,
    /// How long it shall last from now, in milliseconds. It never becomes shorter.
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, example = 60000)]
    pub lease_ms: LeaseMs,
}

/// Reads a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetJob {
    /// The job.
    pub id: Id,
}

/// Deletes a job that does not run and is not finished.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelJob {
    /// The job.
    pub id: Id,
}

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

/// Reads a page of the jobs of a queue. A page ends early when it has more than 4 MiB.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListJobs {
    /// The queue.
    #[param(ignore)]
    pub queue: Name,
    /// Only jobs that stand there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Status>)]
    pub status: Option<Status>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<CursorOf<JobPlace>>,
}

/// Reads how much is in a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadQueueStatus {
    /// The queue.
    pub queue: Name,
}

/// Reads a page of the queues that have jobs, by name.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQueues {
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<Cursor>,
}

/// Brings dead jobs back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryDead {
    /// The queue.
    #[schema(ignore)]
    pub queue: Name,
    /// How many at most.
    #[serde(default = "Bounded::of::<100>")]
    #[schema(value_type = i64, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Bounded<1, 1_000>,
}

/// Deletes jobs of a queue, up to 1,000.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PurgeQueue {
    /// The queue.
    #[param(ignore)]
    pub queue: Name,
    /// Only jobs that stand there; without it all but those that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Status>)]
    pub status: Option<Status>,
}
