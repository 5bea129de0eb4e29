//! The methods of queues, as callers send them.

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

/// Problems of a call about a running job.
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

/// Most jobs of one call.
const BATCH_MAX: usize = 100;
/// The longest error, in bytes.
const ERROR_BYTES_MAX: usize = 8_192;

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

impl Method for PushJob {
    type Output = PushedJob;
    const SPEC: Spec = write("pushJob").refs(&[("payload", "null"), ("dedupKey", "\"a\""), ("group", "\"a\"")]);

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

impl Method for PopJob {
    type Output = Option<LeasedJob>;
    const SPEC: Spec = write("popJob");

    fn wait(&self) -> Option<Wait<Self::Output>> {
        let wanted = Wanted::of(Awaited::Queue, &self.queue, self.wait_ms)?;
        Some(Wait { wanted, retry_after: |answer| when_woken(answer, Option::is_none) })
    }
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

/// A pop that found no job is repeated when a job may be there.
fn when_woken<T>(answer: &Result<Answer<T>, Problem>, is_empty: fn(&T) -> bool) -> Option<Duration> {
    answer.as_ref().is_ok_and(|answer| is_empty(&answer.output)).then_some(Duration::MAX)
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

impl Method for CompleteJob {
    type Output = Job;
    const SPEC: Spec = write("completeJob").problems(NOT_RUNNING).refs(&[ID, LEASE, ("result", "null")]);

    fn after_commit(&self, job: &mut Job, _: &Site) -> Option<Wake> {
        // The next job of the group can be popped now.
        job.group.is_some().then(|| Wake::of(Awaited::Queue, &job.queue, 1))
    }
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

method!(ExtendJob => Job, write("extendJob").problems(NOT_RUNNING).refs(&[ID, LEASE]));

/// Reads a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetJob {
    /// The job.
    pub id: Id,
}

method!(GetJob => JobWithErrors, Spec::read("getJob").scope(Scope::QueuesRead).problems(&[Code::NotFound]).refs(&[ID]));

/// Deletes a job that does not run and is not finished.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelJob {
    /// The job.
    pub id: Id,
}

method!(CancelJob => (), write("cancelJob").problems(&[Code::NotFound, Code::JobNotPending]).refs(&[ID]));

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

method!(ListJobs => Page<Job>, slow_read("listJobs"));

/// Reads how much is in a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadQueueStatus {
    /// The queue.
    pub queue: Name,
}

method!(ReadQueueStatus => QueueStatus, slow_read("queueStatus"));

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

method!(ListQueues => Page<QueueStatus>, slow_read("listQueues"));

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

impl Method for RetryDead {
    type Output = Retried;
    const SPEC: Spec = write("retryDead");

    fn weight(&self) -> usize {
        // It may read many jobs that it cannot retry.
        self.limit.size().max(100)
    }

    fn after_commit(&self, retried: &mut Retried, _: &Site) -> Option<Wake> {
        wake_poppers(&self.queue, usize::try_from(retried.retried).unwrap_or(usize::MAX))
    }
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

impl Method for PurgeQueue {
    type Output = Purged;
    const SPEC: Spec = write("purgeQueue");

    fn weight(&self) -> usize {
        // Deleting a job is a tenth of the work of pushing one.
        100
    }

    fn after_commit(&self, purged: &mut Purged, _: &Site) -> Option<Wake> {
        // The next jobs of their groups can be popped now.
        wake_poppers(&self.queue, usize::try_from(purged.purged).unwrap_or(usize::MAX))
    }
}
