//! What goes into the methods of queues.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::types::{Id, Status};
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
