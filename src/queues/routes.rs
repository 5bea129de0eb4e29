//! Queues over HTTP.

use actix_web::{Either, delete, get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::methods::{
    CancelJob, CompleteJob, ExtendJob, FailJob, GetJob, ListJobs, ListQueues, PopJob, PopJobs, PurgeQueue, PushJob,
    PushJobs, ReadQueueStatus, RetryDead,
};
use super::types::{
    Id, Job, JobWithErrors, LeasedJob, LeasedJobs, Purged, PushedJob, PushedJobs, QueueStatus, Retried,
};
use crate::call::{Answer, Created, Request, Tenant};
use crate::name::Name;
use crate::page::Page;
use crate::problem::Problem;

/// Every route of queues.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service
        .service(push_job)
        .service(push_jobs)
        .service(pop_job)
        .service(pop_jobs)
        .service(complete_job)
        .service(fail_job)
        .service(extend_job)
        .service(get_job)
        .service(cancel_job)
        .service(list_jobs)
        .service(queue_status)
        .service(list_queues)
        .service(retry_dead)
        .service(purge_queue);
}

/// Pushes a job.
///
/// The first job makes the queue. With a `dedupKey`, nothing is pushed while a job of the queue with that key is not
/// finished: the answer is that job, with status 200.
#[utoipa::path(operation_id = "pushJob", tag = "queues", params(("queue" = Name, Path, description = "The queue.")),
    request_body(content = PushJob, examples(
        ("job" = (summary = "A job", value = json!({"payload": {"invoice": 17}}))),
        ("careful" = (summary = "Once per invoice, in order per customer, in ten minutes", value = json!({
            "payload": {"invoice": 17}, "dedupKey": "invoice-17", "group": "customer-4", "delayMs": 600_000}))))),
    responses(
        (status = 201, description = "The job.", body = PushedJob),
        (status = 200, description = "The job that was there with the same `dedupKey`.", body = PushedJob)))]
#[post("/queues/{queue}/jobs")]
async fn push_job(
    tenant: Tenant,
    call: Request<PushJob>,
) -> Result<Either<Created<PushedJob>, Answer<PushedJob>>, Problem> {
    let answer = tenant.call(call).await?;
    Ok(if answer.output.deduplicated { Either::Right(answer) } else { Either::Left(Created(answer)) })
}

/// Pushes jobs: all or none.
///
/// 1 to 100 jobs into one queue, in their order.
#[utoipa::path(operation_id = "pushJobs", tag = "queues", params(("queue" = Name, Path, description = "The queue.")),
    request_body(content = PushJobs, examples(
        ("two" = (summary = "Two jobs", value = json!({"jobs": [{"payload": {"invoice": 17}}, {"payload": {"invoice": 18}, "priority": 5}]}))))),
    responses((status = 201, description = "The jobs, in the order of the request.", body = PushedJobs)))]
#[post("/queues/{queue}/jobs/batch")]
async fn push_jobs(tenant: Tenant, call: Request<PushJobs>) -> Result<Created<PushedJobs>, Problem> {
    tenant.call(call).await.map(Created)
}

/// Takes the next job.
///
/// The one with the highest priority, of those the first that arrived. It is the caller's until the lease ends: then it
/// can be popped again, or is given up when its attempts are used up. The body may be absent. With `waitMs` the call waits
/// for a job, in order of arrival.
#[utoipa::path(operation_id = "popJob", tag = "queues", params(("queue" = Name, Path, description = "The queue.")),
    request_body(content = PopJob, examples(
        ("now" = (summary = "A job, if there is one", value = json!({}))),
        ("long" = (summary = "For five minutes", value = json!({"leaseMs": 300_000}))))),
    responses(
        (status = 200, description = "The job and its lease.", body = LeasedJob),
        (status = 204, description = "The queue is empty.")))]
#[post("/queues/{queue}/pop")]
async fn pop_job(tenant: Tenant, call: Request<PopJob>) -> Result<Answer<Option<LeasedJob>>, Problem> {
    tenant.call(call).await
}

/// Takes the next jobs.
///
/// Up to `count`, each with a lease of its own. None when the queue is empty.
#[utoipa::path(operation_id = "popJobs", tag = "queues", params(("queue" = Name, Path, description = "The queue.")),
    request_body(content = PopJobs, examples(("ten" = (summary = "Up to ten jobs", value = json!({"count": 10}))))),
    responses((status = 200, description = "The jobs and their leases.", body = LeasedJobs)))]
#[post("/queues/{queue}/pop/batch")]
async fn pop_jobs(tenant: Tenant, call: Request<PopJobs>) -> Result<Answer<LeasedJobs>, Problem> {
    tenant.call(call).await
}

/// Says that a job is done.
///
/// With `lease` only the attempt of that pop can complete it, and only while its lease lives: else `lease-lost`.
#[utoipa::path(operation_id = "completeJob", tag = "queues", params(("id" = Id, Path, description = "The job.")),
    request_body(content = CompleteJob, examples(
        ("mine" = (summary = "The attempt of this pop", value = json!({"lease": "7b0cf6ce-3f9d-4a38-8f1a-0c8f6f7c1d55", "result": {"sent": true}}))),
        ("any" = (summary = "Whichever attempt runs", value = json!({}))))),
    responses((status = 200, description = "The job.", body = Job)))]
#[post("/jobs/{id}/complete")]
async fn complete_job(tenant: Tenant, call: Request<CompleteJob>) -> Result<Answer<Job>, Problem> {
    tenant.call(call).await
}

/// Says that an attempt failed.
///
/// The job comes back after a time that grows with each attempt (`backoffMs`), or is given up (`dead`) when its attempts
/// are used up or `retry` is false.
#[utoipa::path(operation_id = "failJob", tag = "queues", params(("id" = Id, Path, description = "The job.")),
    request_body(content = FailJob, examples(
        ("retry" = (summary = "Try again later", value = json!({"error": "connection refused", "lease": "7b0cf6ce-3f9d-4a38-8f1a-0c8f6f7c1d55"}))),
        ("give-up" = (summary = "Never again", value = json!({"error": "no such customer", "retry": false}))))),
    responses((status = 200, description = "The job.", body = Job)))]
#[post("/jobs/{id}/fail")]
async fn fail_job(tenant: Tenant, call: Request<FailJob>) -> Result<Answer<Job>, Problem> {
    tenant.call(call).await
}

/// Makes the lease of a job longer.
///
/// For work that takes longer than it thought. A lease that has ended cannot be extended.
#[utoipa::path(operation_id = "extendJob", tag = "queues", params(("id" = Id, Path, description = "The job.")),
    request_body(content = ExtendJob, examples(
        ("extend" = (summary = "For another minute", value = json!({"lease": "7b0cf6ce-3f9d-4a38-8f1a-0c8f6f7c1d55", "leaseMs": 60_000}))))),
    responses((status = 200, description = "The job.", body = Job)))]
#[post("/jobs/{id}/extend")]
async fn extend_job(tenant: Tenant, call: Request<ExtendJob>) -> Result<Answer<Job>, Problem> {
    tenant.call(call).await
}

/// Reads a job.
///
/// With the errors of its last ten attempts.
#[utoipa::path(operation_id = "getJob", tag = "queues", params(("id" = Id, Path, description = "The job.")),
    responses((status = 200, description = "The job.", body = JobWithErrors)))]
#[get("/jobs/{id}")]
async fn get_job(tenant: Tenant, call: Request<GetJob>) -> Result<Answer<JobWithErrors>, Problem> {
    tenant.call(call).await
}

/// Cancels a job.
///
/// One that is pending: it is deleted. What runs or is finished is `job-not-pending`.
#[utoipa::path(operation_id = "cancelJob", tag = "queues", params(("id" = Id, Path, description = "The job.")),
    responses((status = 204, description = "It is gone.")))]
#[delete("/jobs/{id}")]
async fn cancel_job(tenant: Tenant, call: Request<CancelJob>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}

/// Lists the jobs of a queue.
///
/// By state, and within one by priority and order of arrival, a page at a time. Of the pending ones come first those whose
/// time has not come, then those that can be popped, last those behind another one of their group.
#[utoipa::path(operation_id = "listJobs", tag = "queues",
    params(("queue" = Name, Path, description = "The queue."), ListJobs),
    responses((status = 200, description = "A page of jobs.", body = Page<Job>)))]
#[get("/queues/{queue}/jobs")]
async fn list_jobs(tenant: Tenant, call: Request<ListJobs>) -> Result<Answer<Page<Job>>, Problem> {
    tenant.call(call).await
}

/// Counts the jobs of a queue.
///
/// By where they stand. A queue that was never used has none.
#[utoipa::path(operation_id = "queueStatus", tag = "queues", params(("queue" = Name, Path, description = "The queue.")),
    responses((status = 200, description = "The queue.", body = QueueStatus)))]
#[get("/queues/{queue}")]
async fn queue_status(tenant: Tenant, call: Request<ReadQueueStatus>) -> Result<Answer<QueueStatus>, Problem> {
    tenant.call(call).await
}

/// Lists the queues that have jobs.
///
/// By name, with how much is in each, a page at a time.
#[utoipa::path(operation_id = "listQueues", tag = "queues", params(ListQueues),
    responses((status = 200, description = "A page of queues.", body = Page<QueueStatus>)))]
#[get("/queues")]
async fn list_queues(tenant: Tenant, call: Request<ListQueues>) -> Result<Answer<Page<QueueStatus>>, Problem> {
    tenant.call(call).await
}

/// Brings dead jobs back.
///
/// Up to `limit` of a queue, with all their attempts before them again. Their history stays. The body may be absent. A dead
/// job whose `dedupKey` belongs to a younger one by now stays dead.
#[utoipa::path(operation_id = "retryDead", tag = "queues", params(("queue" = Name, Path, description = "The queue.")),
    request_body(content = RetryDead, examples(("some" = (summary = "Up to 100", value = json!({}))))),
    responses((status = 200, description = "How many.", body = Retried)))]
#[post("/queues/{queue}/retry-dead")]
async fn retry_dead(tenant: Tenant, call: Request<RetryDead>) -> Result<Answer<Retried>, Problem> {
    tenant.call(call).await
}

/// Deletes jobs of a queue.
///
/// Up to 1,000 in one call; `hasMore` says whether to call again. Without `status` all but those that run.
#[utoipa::path(operation_id = "purgeQueue", tag = "queues",
    params(("queue" = Name, Path, description = "The queue."), PurgeQueue),
    responses((status = 200, description = "How many.", body = Purged)))]
#[delete("/queues/{queue}/jobs")]
async fn purge_queue(tenant: Tenant, call: Request<PurgeQueue>) -> Result<Answer<Purged>, Problem> {
    tenant.call(call).await
}
