//! Methods of queues, and their parameters.

use std::time::Duration;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::types::{
    BackoffMs, DelayMs, Id, Job, JobPlace, JobWithErrors, LeaseMs, LeasedJob, LeasedJobs, MaxAttempts, Priority,
    Purged, PushedJob, PushedJobs, QueueStatus, Retried, Status,
};
use crate::auth::Scope;
use crate::call::{Answer, Context, Entry, Method, Ref, Spec, Wait, method};
use crate::json::Json;
use crate::name::Name;
use crate::number::Bounded;
use crate::page::{Cursor, CursorOf, Limit, Page};
use crate::problem::{Code, Problem};
use crate::site::Site;
use crate::time::Time;
use crate::waiting::{Awaited, WaitMs, Wake, Wanted};

/// All methods of queues.
pub const METHODS: &[Entry] = &[
    Entry::of::<PushJob>(),
    Entry::of::<PushJobs>(),
    Entry::of::<PopJob>(),
    Entry::of::<PopJobs>(),
    Entry::of::<CompleteJob>(),
    Entry::of::<FailJob>(),
    Entry::of::<ExtendJob>(),
    Entry::of::<GetJob>(),
    Entry::of::<CancelJob>(),
    Entry::of::<ListJobs>(),
    Entry::of::<ReadQueueStatus>(),
    Entry::of::<ListQueues>(),
    Entry::of::<RetryDead>(),
    Entry::of::<PurgeQueue>(),
];

/// Problems of a method that needs a running job.
const NOT_RUNNING: &[Code] = &[Code::NotFound, Code::LeaseLost, Code::JobNotRunning];

const ID: Ref = ("id", "\"00000000-0000-0000-0000-000000000000\"");
const LEASE: Ref = ("lease", "\"00000000-0000-0000-0000-000000000000\"");

const fn write(name: &'static str) -> Spec {
    Spec::write(name).scope(Scope::QueuesWrite)
}

const fn slow_read(name: &'static str) -> Spec {
    Spec::slow_read(name).scope(Scope::QueuesRead)
}

fn wake_poppers(queue: &Name, jobs: usize) -> Option<Wake> {
    Some(Wake::of(Awaited::Queue, queue, jobs))
}

fn check_time(delay: Option<DelayMs>, run_at: Option<Time>, at: &str) -> Result<(), Problem> {
    match delay.is_some() && run_at.is_some() {
        true => Err(Problem::new(Code::InvalidValue).field(format!("{at}/runAt"), "must not be given with `delayMs`")),
        false => Ok(()),
    }
}

/// Maximum number of jobs in one call.
const BATCH_MAX: usize = 100;
/// Size limit of an error, in bytes of UTF-8.
const ERROR_BYTES_MAX: usize = 8_192;

/// A job to push. `PushJob` and `NewJob` share its fields.
macro_rules! new_job {
    ($(#[$about:meta])* $name:ident { $($queue:tt)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($queue)*
            /// Id of the job. The server generates it.
            #[serde(skip_deserializing, default = "Id::new")]
            #[schema(ignore)]
            pub id: Id,
            /// Payload of the job: any JSON, at most {{payload_bytes_max}} and 64 levels deep.
            #[schema(value_type = Value, example = json!({"invoice": 17}))]
            pub payload: Json,
            /// Priority, -32,768 to 32,767. Jobs with a higher priority are popped first. Default: 0.
            #[serde(default = "Priority::of::<0>")]
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
            #[serde(default = "MaxAttempts::of::<3>")]
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
            #[serde(default = "BackoffMs::of::<1_000>")]
            #[schema(value_type = i64, minimum = 0, maximum = 3600000, default = 1000)]
            pub backoff_ms: BackoffMs,
        }
    };
}

new_job! {
    /// Push a job.
    PushJob {
        /// Name of the queue.
        #[schema(ignore)]
        pub queue: Name,
    }
}

impl Method for PushJob {
    type Output = PushedJob;
    const SPEC: Spec =
        write("pushJob").with_run().refs(&[("payload", "null"), ("dedupKey", "\"a\""), ("group", "\"a\"")]);

    fn prepare(&mut self, _: &Context<'_>) -> Result<(), Problem> {
        check_time(self.delay_ms, self.run_at, "")
    }

    fn after_commit(&self, _: &mut PushedJob, _: &Site) -> Option<Wake> {
        wake_poppers(&self.queue, 1)
    }
}

new_job! {
    /// A job of a batch.
    NewJob {}
}

/// Push a batch of jobs. The batch succeeds or fails as a whole.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushJobs {
    /// Name of the queue.
    #[schema(ignore)]
    pub queue: Name,
    /// Jobs to push, 1 to 100. They arrive in this order.
    #[serde(deserialize_with = "batch")]
    #[schema(min_items = 1, max_items = 100)]
    pub jobs: Vec<NewJob>,
}

impl Method for PushJobs {
    type Output = PushedJobs;
    const SPEC: Spec = write("pushJobs");

    fn prepare(&mut self, _: &Context<'_>) -> Result<(), Problem> {
        let mut jobs = self.jobs.iter().enumerate();
        jobs.try_for_each(|(index, job)| check_time(job.delay_ms, job.run_at, &format!("/jobs/{index}")))
    }

    fn weight(&self) -> usize {
        self.jobs.len()
    }

    fn after_commit(&self, pushed: &mut PushedJobs, _: &Site) -> Option<Wake> {
        wake_poppers(&self.queue, pushed.jobs.len())
    }
}

fn batch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NewJob>, D::Error> {
    let jobs = Vec::deserialize(deserializer)?;
    match jobs.is_empty() || jobs.len() > BATCH_MAX {
        true => Err(D::Error::custom(format!("must be 1 to {BATCH_MAX} jobs"))),
        false => Ok(jobs),
    }
}

/// Pop the next job of a queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PopJob {
    /// Name of the queue.
    #[schema(ignore)]
    pub queue: Name,
    /// Lease time, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours). Default: 60,000.
    #[serde(default = "LeaseMs::of::<60_000>")]
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, default = 60000)]
    pub lease_ms: LeaseMs,
    /// Maximum time to wait for a job, in milliseconds, 0 to 30,000. Default: 0. Each server serves its waiters in
    /// order of arrival.
    #[serde(default)]
    #[schema(value_type = i64, minimum = 0, maximum = 30000, default = 0)]
    pub wait_ms: WaitMs,
}

impl Method for PopJob {
    type Output = Option<LeasedJob>;
    const SPEC: Spec = write("popJob").with_run();

    fn wait(&self) -> Option<Wait<Self::Output>> {
        let wanted = Wanted::of(Awaited::Queue, &self.queue, self.wait_ms)?;
        Some(Wait { wanted, retry_after: |answer| when_woken(answer, Option::is_none) })
    }
}

/// Pop a batch of jobs of a queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PopJobs {
    /// Name of the queue.
    #[schema(ignore)]
    pub queue: Name,
    /// Maximum number of jobs, 1 to 100. The call returns fewer jobs if fewer are ready, or once they reach {{jobs_bytes_max}}.
    #[schema(value_type = i64, minimum = 1, maximum = 100, example = 10)]
    pub count: Bounded<1, 100>,
    /// Time of each lease, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours). Default: 60,000.
    #[serde(default = "LeaseMs::of::<60_000>")]
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, default = 60000)]
    pub lease_ms: LeaseMs,
    /// Maximum time to wait for the first job, in milliseconds, 0 to 30,000. Default: 0. Each server serves its waiters
    /// in order of arrival.
    #[serde(default)]
    #[schema(value_type = i64, minimum = 0, maximum = 30000, default = 0)]
    pub wait_ms: WaitMs,
}

impl Method for PopJobs {
    type Output = LeasedJobs;
    const SPEC: Spec = write("popJobs");

    fn weight(&self) -> usize {
        self.count.size()
    }

    fn wait(&self) -> Option<Wait<LeasedJobs>> {
        let wanted = Wanted::of(Awaited::Queue, &self.queue, self.wait_ms)?;
        Some(Wait { wanted, retry_after: |answer| when_woken(answer, |leased| leased.jobs.is_empty()) })
    }
}

/// Repeats a pop that found no job, but only when the waiter is woken.
fn when_woken<T>(answer: &Result<Answer<T>, Problem>, is_empty: fn(&T) -> bool) -> Option<Duration> {
    answer.as_ref().is_ok_and(|answer| is_empty(&answer.output)).then_some(Duration::MAX)
}

/// Complete a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompleteJob {
    /// Id of the job.
    #[schema(ignore)]
    pub id: Id,
    /// Lease from the pop. `null` or absent: complete the running attempt, whichever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Id>,
    /// Result of the job: any JSON, at most {{payload_bytes_max}} and 64 levels deep. Default: `null`.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    #[schema(value_type = Value, example = json!({"sent": true}))]
    pub result: Json,
}

impl Method for CompleteJob {
    type Output = Job;
    const SPEC: Spec = write("completeJob").with_run().problems(NOT_RUNNING).refs(&[ID, LEASE, ("result", "null")]);

    fn after_commit(&self, job: &mut Job, _: &Site) -> Option<Wake> {
        // The next job of the group is ready.
        job.group.is_some().then(|| Wake::of(Awaited::Queue, &job.queue, 1))
    }
}

/// Report that an attempt failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailJob {
    /// Id of the job.
    #[schema(ignore)]
    pub id: Id,
    /// Reason of the failure, at most 8,192 bytes of UTF-8.
    #[serde(deserialize_with = "error_text")]
    #[schema(max_length = 8192, example = "connection refused")]
    pub error: String,
    /// Lease from the pop. `null` or absent: fail the running attempt, whichever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Id>,
    /// Whether to retry the job if attempts are left. `false`: the job is dead. Default: `true`.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub retry: bool,
    /// Delay before the retry, in milliseconds, 0 to 31,536,000,000 (365 days). `null` or absent: the back-off of the
    /// job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 31536000000i64)]
    pub retry_in_ms: Option<DelayMs>,
    /// Random factor of the back-off, at least 0 and less than 1. The server draws it.
    #[serde(skip_deserializing, default = "rand::random")]
    #[schema(ignore)]
    pub jitter: f64,
}

impl Method for FailJob {
    type Output = Job;
    const SPEC: Spec = write("failJob").problems(NOT_RUNNING).refs(&[ID, LEASE]);

    fn after_commit(&self, job: &mut Job, _: &Site) -> Option<Wake> {
        wake_poppers(&job.queue, 1)
    }
}

const fn yes() -> bool {
    true
}

fn error_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let error = String::deserialize(deserializer)?;
    match error.len() > ERROR_BYTES_MAX {
        true => Err(D::Error::custom(format!("must be at most {ERROR_BYTES_MAX} bytes of UTF-8"))),
        false => Ok(error),
    }
}

/// Extend the lease of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtendJob {
    /// Id of the job.
    #[schema(ignore)]
    pub id: Id,
    /// Lease from the pop.
    pub lease: Id,
    /// New lease time, counted from now, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours). A lease is
    /// never shortened.
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, example = 60000)]
    pub lease_ms: LeaseMs,
}

method!(ExtendJob => Job, write("extendJob").problems(NOT_RUNNING).refs(&[ID, LEASE]));

/// Get a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetJob {
    /// Id of the job.
    pub id: Id,
}

method!(GetJob => JobWithErrors, Spec::read("getJob").scope(Scope::QueuesRead).problems(&[Code::NotFound]).refs(&[ID]));

/// Cancel a pending job: delete it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelJob {
    /// Id of the job.
    pub id: Id,
}

method!(CancelJob => (), write("cancelJob").problems(&[Code::NotFound, Code::JobNotPending]).refs(&[ID]));

/// List the jobs of a queue, one page per call.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListJobs {
    /// Name of the queue.
    #[param(ignore)]
    pub queue: Name,
    /// Only jobs in this status. Absent: all jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Status>)]
    pub status: Option<Status>,
    /// Maximum number of jobs in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Absent: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<CursorOf<JobPlace>>,
}

method!(ListJobs => Page<Job>, slow_read("listJobs"));

/// Get the status of a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadQueueStatus {
    /// Name of the queue.
    pub queue: Name,
}

method!(ReadQueueStatus => QueueStatus, slow_read("queueStatus"));

/// List the queues that have jobs, one page per call.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQueues {
    /// Maximum number of queues in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Absent: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<Cursor>,
}

method!(ListQueues => Page<QueueStatus>, slow_read("listQueues"));

/// Retry dead jobs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryDead {
    /// Name of the queue.
    #[schema(ignore)]
    pub queue: Name,
    /// Maximum number of jobs to retry, 1 to 1,000. Default: 100.
    #[serde(default = "Bounded::of::<100>")]
    #[schema(value_type = i64, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Bounded<1, 1_000>,
}

impl Method for RetryDead {
    type Output = Retried;
    const SPEC: Spec = write("retryDead");

    fn weight(&self) -> usize {
        // Even with a small limit the call may read many dead jobs that it cannot retry.
        self.limit.size().max(100)
    }

    fn after_commit(&self, retried: &mut Retried, _: &Site) -> Option<Wake> {
        wake_poppers(&self.queue, usize::try_from(retried.retried).unwrap_or(usize::MAX))
    }
}

/// Delete up to 1,000 jobs of a queue.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PurgeQueue {
    /// Name of the queue.
    #[param(ignore)]
    pub queue: Name,
    /// Only jobs in this status. Absent: all jobs except running ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Status>)]
    pub status: Option<Status>,
}

impl Method for PurgeQueue {
    type Output = Purged;
    // Deleting 1,000 jobs is as much work as pushing 100.
    const SPEC: Spec = write("purgeQueue").weight(100);

    fn after_commit(&self, purged: &mut Purged, _: &Site) -> Option<Wake> {
        // The next job of each group is ready.
        wake_poppers(&self.queue, usize::try_from(purged.purged).unwrap_or(usize::MAX))
    }
}
