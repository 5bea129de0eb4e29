//! Methods that read jobs and queues, and those that cancel, retry and purge jobs.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::spec::{ID, QUEUE, slow_read, wake_poppers, write};
use super::types::{Id, Job, JobPlace, JobWithErrors, Purged, QueueStatus, Retried, Status};
use crate::auth::Scope;
use crate::call::{Method, Spec, method};
use crate::name::Name;
use crate::number::Bounded;
use crate::page::{Cursor, CursorOf, Limit, Page};
use crate::problem::Code;
use crate::quotas::Primitive;
use crate::site::Site;
use crate::waiting::Wake;

/// Get a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct GetJob {
    /// Id of the job.
    pub id: Id,
}

method!(GetJob => JobWithErrors, Spec::read("getJob").scope(Scope::QueuesRead).problems(&[Code::NotFound]).refs(&[ID]));

/// Cancel a pending job: delete it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct CancelJob {
    /// Id of the job.
    pub id: Id,
}

method!(CancelJob => (), write("cancelJob").primitive(Primitive::Jobs).problems(&[Code::NotFound, Code::JobNotPending]).refs(&[ID]));

/// List the jobs of a queue, one page per call.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
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

method!(ListJobs => Page<Job>, slow_read("listJobs").names(QUEUE));

/// Get the status of a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ReadQueueStatus {
    /// Name of the queue.
    pub queue: Name,
}

method!(ReadQueueStatus => QueueStatus, slow_read("queueStatus").names(QUEUE));

/// List the queues that have jobs, one page per call.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
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
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct RetryDead {
    /// Name of the queue.
    #[schema(ignore)]
    pub queue: Name,
    /// Maximum number of jobs to retry, 1 to 1,000. Default: 100.
    #[serde(default = "Bounded::of::<100>", deserialize_with = "Bounded::or::<100, _>")]
    #[schema(value_type = i64, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Bounded<1, 1_000>,
}

impl Method for RetryDead {
    type Output = Retried;
    const SPEC: Spec = write("retryDead").names(QUEUE);

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
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
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
    const SPEC: Spec = write("purgeQueue").primitive(Primitive::Jobs).names(QUEUE).weight(100);

    fn after_commit(&self, purged: &mut Purged, _: &Site) -> Option<Wake> {
        // The next job of each group is ready.
        wake_poppers(&self.queue, usize::try_from(purged.purged).unwrap_or(usize::MAX))
    }
}
