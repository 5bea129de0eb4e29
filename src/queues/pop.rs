//! `popJob` and `popJobs`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::spec::{QUEUE, write};
use super::types::{LeaseMs, LeasedJob, LeasedJobs};
use crate::call::{Answer, Method, Spec, Wait};
use crate::json::or_default;
use crate::name::Name;
use crate::number::Bounded;
use crate::problem::Problem;
use crate::waiting::{Awaited, WaitMs, Wanted};

/// Pop the next job of a queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct PopJob {
    /// Name of the queue.
    #[schema(ignore)]
    pub queue: Name,
    /// Lease time, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours). Default: 60,000.
    #[serde(default = "LeaseMs::of::<60_000>", deserialize_with = "LeaseMs::or::<60_000, _>")]
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, default = 60000)]
    pub lease_ms: LeaseMs,
    /// Maximum time to wait for a job, in milliseconds, 0 to 30,000. Default: 0. Each server serves its waiters in
    /// order of arrival.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = i64, minimum = 0, maximum = 30000, default = 0)]
    pub wait_ms: WaitMs,
}

impl Method for PopJob {
    type Output = Option<LeasedJob>;
    const SPEC: Spec = write("popJob").names(QUEUE).with_run();

    fn wait(&self) -> Option<Wait<Self::Output>> {
        let wanted = Wanted::of(Awaited::Queue, &self.queue, self.wait_ms)?;
        Some(Wait { wanted, retry_after: |answer| when_woken(answer, Option::is_none) })
    }
}

/// Pop a batch of jobs of a queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct PopJobs {
    /// Name of the queue.
    #[schema(ignore)]
    pub queue: Name,
    /// Maximum number of jobs, 1 to 100. The call returns fewer jobs if fewer are ready, or once they reach {{jobs_bytes_max}}.
    #[schema(value_type = i64, minimum = 1, maximum = 100, example = 10)]
    pub count: Bounded<1, 100>,
    /// Time of each lease, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours). Default: 60,000.
    #[serde(default = "LeaseMs::of::<60_000>", deserialize_with = "LeaseMs::or::<60_000, _>")]
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, default = 60000)]
    pub lease_ms: LeaseMs,
    /// Maximum time to wait for the first job, in milliseconds, 0 to 30,000. Default: 0. Each server serves its waiters
    /// in order of arrival.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = i64, minimum = 0, maximum = 30000, default = 0)]
    pub wait_ms: WaitMs,
}

impl Method for PopJobs {
    type Output = LeasedJobs;
    const SPEC: Spec = write("popJobs").names(QUEUE);

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
    answer.as_ref().is_ok_and(|answer| !answer.is_replay && is_empty(&answer.output)).then_some(Duration::MAX)
}
