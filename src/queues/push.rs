//! `pushJob` and `pushJobs`.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::limits::BATCH_JOBS_MAX;
use super::spec::{QUEUE, check_size, wake_poppers, write};
use super::types::{BackoffMs, DelayMs, Id, MaxAttempts, Priority, PushedJob, PushedJobs};
use crate::call::{Context, Method, Spec};
use crate::json::{self, Json};
use crate::name::{Name, addressable};
use crate::problem::{Code, Problem};
use crate::quotas::Primitive;
use crate::site::Site;
use crate::time::Time;
use crate::waiting::Wake;

/// A job to push. `PushJob` and `BatchedJob` share its fields.
macro_rules! new_job {
    ($(#[$about:meta])* $name:ident { $($queue:tt)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
        pub struct $name {
            $($queue)*
            /// Id of the job. The server generates it.
            #[serde(skip_deserializing, default = "Id::new")]
            #[schema(ignore)]
            pub id: Id,
            /// Payload of the job: any JSON, at most {{payload_bytes_max}} and 64 levels deep. The size is that of
            /// compact JSON in UTF-8, with all digits of its numbers.
            #[schema(value_type = Value, example = json!({"invoice": 17}))]
            pub payload: Json,
            /// Priority, -32,768 to 32,767. Jobs with a higher priority are popped first. Default: 0.
            #[serde(default = "Priority::of::<0>", deserialize_with = "Priority::or::<0, _>")]
            #[schema(value_type = i16, minimum = -32768, maximum = 32767, default = 0)]
            pub priority: Priority,
            /// Delay before the job can be popped, in milliseconds, 0 to 31,536,000,000 (365 days). `null` or absent:
            /// no delay. Cannot be combined with `runAt`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<i64>, minimum = 0, maximum = 31536000000i64)]
            pub delay_ms: Option<DelayMs>,
            /// Earliest time at which the job can be popped. A past time means now. `null` or absent: `delayMs` applies.
            /// Cannot be combined with `delayMs`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub run_at: Option<Time>,
            /// Maximum number of attempts, 1 to 1,000. Default: 3. If the last attempt fails or its lease
            /// expires, the job is dead.
            #[serde(default = "MaxAttempts::of::<3>", deserialize_with = "MaxAttempts::or::<3, _>")]
            #[schema(value_type = i64, minimum = 1, maximum = 1000, default = 3)]
            pub max_attempts: MaxAttempts,
            /// Deduplication key. While the queue has an unfinished job with this key, the call pushes no job and
            /// returns the unfinished one. `null` or absent: no deduplication.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(example = "invoice-17")]
            pub dedup_key: Option<Name>,
            /// Group of the job. Jobs of a group run one at a time, in order of arrival, whatever their priority. A job
            /// that is delayed, or waits for a retry, does not block its group. `null` or absent: no group.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(example = "customer-4")]
            pub group: Option<Name>,
            /// Base of the back-off, in milliseconds, 0 to 3,600,000 (one hour). Default: 1,000. After failed attempt n
            /// the job waits for a random time of up to `backoffMs * 2^(n-1)` milliseconds, at most one hour.
            #[serde(default = "BackoffMs::of::<1_000>", deserialize_with = "BackoffMs::or::<1_000, _>")]
            #[schema(value_type = i64, minimum = 0, maximum = 3600000, default = 1000)]
            pub backoff_ms: BackoffMs,
        }
    };
}

new_job! {
    /// Push a job.
    PushJob {
        /// Name of the queue.
        #[serde(deserialize_with = "addressable")]
        #[schema(ignore)]
        pub queue: Name,
    }
}

impl Method for PushJob {
    type Output = PushedJob;
    const SPEC: Spec = write("pushJob")
        .primitive(Primitive::Jobs)
        .names(QUEUE)
        .with_run()
        .problems(&[Code::QuotaExceeded])
        .refs(&[("payload", "null"), ("dedupKey", "\"a\""), ("group", "\"a\"")]);

    fn prepare(&mut self, _: &Context<'_>) -> Result<(), Problem> {
        check_size(&self.payload, "/payload")?;
        check_time(self.delay_ms, self.run_at, "")
    }

    fn after_commit(&self, _: &mut PushedJob, _: &Site) -> Option<Wake> {
        wake_poppers(&self.queue, 1)
    }
}

new_job! {
    /// A job of a batch.
    BatchedJob {}
}

/// Push a batch of jobs. The batch succeeds or fails as a whole.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct PushJobs {
    /// Name of the queue.
    #[serde(deserialize_with = "addressable")]
    #[schema(ignore)]
    pub queue: Name,
    /// Jobs to push, 1 to {{batch_jobs_max}}. They arrive in this order.
    #[serde(deserialize_with = "batch")]
    #[schema(min_items = 1, max_items = 100)]
    pub jobs: Vec<BatchedJob>,
}

impl Method for PushJobs {
    type Output = PushedJobs;
    const SPEC: Spec = write("pushJobs").primitive(Primitive::Jobs).names(QUEUE).problems(&[Code::QuotaExceeded]);

    fn prepare(&mut self, _: &Context<'_>) -> Result<(), Problem> {
        let mut jobs = self.jobs.iter().enumerate();
        jobs.try_for_each(|(index, job)| {
            check_size(&job.payload, &format!("/jobs/{index}/payload"))?;
            check_time(job.delay_ms, job.run_at, &format!("/jobs/{index}"))
        })
    }

    fn weight(&self) -> usize {
        self.jobs.len()
    }

    fn after_commit(&self, pushed: &mut PushedJobs, _: &Site) -> Option<Wake> {
        wake_poppers(&self.queue, pushed.jobs.len())
    }
}

fn batch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<BatchedJob>, D::Error> {
    let count = format!("must be 1 to {BATCH_JOBS_MAX} jobs");
    let jobs = json::read_list(deserializer, BATCH_JOBS_MAX, &count, |_: &BatchedJob| true)?;
    match jobs.is_empty() {
        true => Err(D::Error::custom(count)),
        false => Ok(jobs),
    }
}

fn check_time(delay: Option<DelayMs>, run_at: Option<Time>, at: &str) -> Result<(), Problem> {
    match delay.is_some() && run_at.is_some() {
        true => Err(Problem::new(Code::InvalidValue).field(format!("{at}/runAt"), "must not be given with `delayMs`")),
        false => Ok(()),
    }
}
