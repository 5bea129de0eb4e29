//! Queues: jobs with priority, retries, leases and dead letters; each is run at least once.
//!
//! `rpc.sql` says what the methods do. Limits: payloads and results of 256 KiB, 100 jobs in a batch, 1,000 attempts, leases
//! of 1 second to 24 hours, delays of a year. Completed jobs are kept for 24 hours, dead ones for 14 days.

pub mod requests;
pub mod routes;
pub mod types;

use std::time::Duration;

use crate::auth::Scope;
use crate::name::Name;
use crate::page::Page;
use crate::problem::{Code, Problem};
use crate::turn::{Answer, Entry, Method, Path, Seed, Site, Spec, Wait, WaitFor, Wake};
use requests::{
    CancelJob, CompleteJob, DelayMs, ExtendJob, FailJob, GetJob, ListJobs, ListQueues, PopJob, PopJobs, PurgeQueue,
    PushJob, PushJobs, ReadQueueStatus, RetryDead,
};
use types::{Job, JobWithErrors, LeasedJob, LeasedJobs, Purged, PushedJob, PushedJobs, QueueStatus, Retried};

/// The methods of queues.
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

const fn write(name: &'static str, problems: &'static [Code]) -> Spec {
    Spec { name, path: Path::Write, scope: Some(Scope::QueuesWrite), problems }
}

const fn read(name: &'static str, path: Path, problems: &'static [Code]) -> Spec {
    Spec { name, path, scope: Some(Scope::QueuesRead), problems }
}

/// Problems of calls about a running job.
const NOT_RUNNING: &[Code] = &[Code::NotFound, Code::LeaseLost, Code::JobNotRunning];

/// What a transaction may take from an earlier result.
const ID: (&str, &str) = ("id", "\"00000000-0000-0000-0000-000000000000\"");
const LEASE: (&str, &str) = ("lease", "\"00000000-0000-0000-0000-000000000000\"");

fn arrived(queue: &Name, count: usize) -> Option<Wake> {
    Some(Wake::of(WaitFor::Queue, queue, count))
}

fn not_both(delay: Option<DelayMs>, run_at: Option<crate::time::Time>, at: &str) -> Result<(), Problem> {
    match delay.is_some() && run_at.is_some() {
        true => Err(Problem::new(Code::InvalidValue).field(format!("{at}/runAt"), "must not be given with `delayMs`")),
        false => Ok(()),
    }
}

impl Method for PushJob {
    type Output = PushedJob;
    const SPEC: Spec = write("pushJob", &[]);
    const REFS: &'static [(&'static str, &'static str)] =
        &[("payload", "null"), ("dedupKey", "\"a\""), ("group", "\"a\"")];

    fn prepare(&mut self, _: &Seed<'_>) -> Result<(), Problem> {
        not_both(self.delay_ms, self.run_at, "")
    }

    fn done(&self, _: &mut PushedJob, _: &Site) -> Option<Wake> {
        arrived(&self.queue, 1)
    }
}

impl Method for PushJobs {
    type Output = PushedJobs;
    const SPEC: Spec = write("pushJobs", &[]);

    fn prepare(&mut self, _: &Seed<'_>) -> Result<(), Problem> {
        let mut jobs = self.jobs.iter().enumerate();
        jobs.try_for_each(|(place, job)| not_both(job.delay_ms, job.run_at, &format!("/jobs/{place}")))
    }

    fn weight(&self) -> usize {
        self.jobs.len()
    }

    fn done(&self, pushed: &mut PushedJobs, _: &Site) -> Option<Wake> {
        arrived(&self.queue, pushed.jobs.len())
    }
}

impl Method for PopJob {
    type Output = Option<LeasedJob>;
    const SPEC: Spec = write("popJob", &[]);

    fn wait(&self) -> Option<Wait> {
        Wait::of(WaitFor::Queue, &self.queue, self.wait_ms)
    }

    fn in_vain(outcome: &Result<Answer<Self::Output>, Problem>) -> Option<Duration> {
        outcome.as_ref().is_ok_and(|answer| answer.output.is_none()).then_some(Duration::MAX)
    }
}

impl Method for PopJobs {
    type Output = LeasedJobs;
    const SPEC: Spec = write("popJobs", &[]);

    fn weight(&self) -> usize {
        self.count.size()
    }

    fn wait(&self) -> Option<Wait> {
        Wait::of(WaitFor::Queue, &self.queue, self.wait_ms)
    }

    fn in_vain(outcome: &Result<Answer<Self::Output>, Problem>) -> Option<Duration> {
        outcome.as_ref().is_ok_and(|answer| answer.output.jobs.is_empty()).then_some(Duration::MAX)
    }
}

impl Method for CompleteJob {
    type Output = Job;
    const SPEC: Spec = write("completeJob", NOT_RUNNING);
    const REFS: &'static [(&'static str, &'static str)] = &[ID, LEASE, ("result", "null")];

    fn done(&self, job: &mut Job, _: &Site) -> Option<Wake> {
        // The next of its group may run now.
        job.group.is_some().then(|| Wake::of(WaitFor::Queue, &job.queue, 1))
    }
}

impl Method for FailJob {
    type Output = Job;
    const SPEC: Spec = write("failJob", NOT_RUNNING);
    const REFS: &'static [(&'static str, &'static str)] = &[ID, LEASE];

    fn done(&self, job: &mut Job, _: &Site) -> Option<Wake> {
        arrived(&job.queue, 1)
    }
}

impl Method for ExtendJob {
    type Output = Job;
    const SPEC: Spec = write("extendJob", NOT_RUNNING);
    const REFS: &'static [(&'static str, &'static str)] = &[ID, LEASE];
}

impl Method for GetJob {
    type Output = JobWithErrors;
    const SPEC: Spec = read("getJob", Path::Read, &[Code::NotFound]);
    const REFS: &'static [(&'static str, &'static str)] = &[ID];
}

impl Method for CancelJob {
    type Output = ();
    const SPEC: Spec = write("cancelJob", &[Code::NotFound, Code::JobNotPending]);
    const REFS: &'static [(&'static str, &'static str)] = &[ID];
}

impl Method for ListJobs {
    type Output = Page<Job>;
    const SPEC: Spec = read("listJobs", Path::SlowRead, &[]);
}

impl Method for ReadQueueStatus {
    type Output = QueueStatus;
    const SPEC: Spec = read("queueStatus", Path::SlowRead, &[]);
}

impl Method for ListQueues {
    type Output = Page<QueueStatus>;
    const SPEC: Spec = read("listQueues", Path::SlowRead, &[]);
}

impl Method for RetryDead {
    type Output = Retried;
    const SPEC: Spec = write("retryDead", &[]);

    fn weight(&self) -> usize {
        // It may look at many that it cannot retry.
        self.limit.size().max(100)
    }

    fn done(&self, retried: &mut Retried, _: &Site) -> Option<Wake> {
        arrived(&self.queue, usize::try_from(retried.retried).unwrap_or(usize::MAX))
    }
}

impl Method for PurgeQueue {
    type Output = Purged;
    const SPEC: Spec = write("purgeQueue", &[]);

    fn weight(&self) -> usize {
        // To delete a job is a tenth of what it is to push one.
        100
    }

    fn done(&self, purged: &mut Purged, _: &Site) -> Option<Wake> {
        // The next ones of their groups may run now.
        arrived(&self.queue, usize::try_from(purged.purged).unwrap_or(usize::MAX))
    }
}
