//! Routes of queues.

use actix_web::{Either, delete, get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::attempt::{CompleteJob, ExtendJob, FailJob};
use super::manage::{CancelJob, GetJob, ListJobs, ListQueues, PurgeQueue, ReadQueueStatus, RetryDead};
use super::pop::{PopJob, PopJobs};
use super::push::{PushJob, PushJobs};
use super::types::{
    Id, Job, JobWithErrors, LeasedJob, LeasedJobs, Purged, PushedJob, PushedJobs, QueueStatus, Retried,
};
use crate::call::{Answer, Created, Request, Tenant};
use crate::name::Name;
use crate::page::Page;
use crate::problem::Problem;

/// Registers the routes of queues.
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

/// Push a job.
///
/// The first push creates the queue. While the queue has an unfinished job with the same `dedupKey`, the call pushes no
/// job and returns the unfinished one with status 200. A payload of more than {{payload_bytes_max}} fails with `payload-too-large`;
/// the size is that of compact JSON in UTF-8, with all digits of its numbers (`1e300` counts 301).
#[utoipa::path(operation_id = "pushJob", tag = "queues",
    params(("queue" = Name, Path, description = "Name of the queue.")),
    request_body(content = PushJob, examples(
        ("job" = (summary = "A job", value = json!({"payload": {"invoice": 17}}))),
        ("later" = (summary = "Deduplicated, grouped and delayed by ten minutes", value = json!({
            "payload": {"invoice": 17}, "dedupKey": "invoice-17", "group": "customer-4", "delayMs": 600_000}))))),
    responses(
        (status = 201, description = "The new job.", body = PushedJob),
        (status = 200, description = "The unfinished job with the same `dedupKey`.", body = PushedJob)))]
#[post("/queues/{queue}/jobs")]
async fn push_job(
    tenant: Tenant,
    call: Request<PushJob>,
) -> Result<Either<Created<PushedJob>, Answer<PushedJob>>, Problem> {
    let answer = tenant.call(call).await?;
    Ok(if answer.output.deduplicated { Either::Right(answer) } else { Either::Left(Created(answer)) })
}

/// Push a batch of jobs.
///
/// Pushes 1 to 100 jobs into one queue, in the order of the request. The batch succeeds or fails as a whole. A job
/// whose `dedupKey` belongs to an unfinished job is not pushed; the unfinished job is returned in its place.
#[utoipa::path(operation_id = "pushJobs", tag = "queues",
    params(("queue" = Name, Path, description = "Name of the queue.")),
    request_body(content = PushJobs, examples(
        ("three" = (summary = "Three jobs", value = json!({"jobs": [
            {"payload": {"invoice": 17}}, {"payload": {"invoice": 18}, "priority": 5},
            {"payload": {"invoice": 19}}]}))))),
    responses((status = 201, description = "The jobs, in the order of the request.", body = PushedJobs)))]
#[post("/queues/{queue}/jobs/batch")]
async fn push_jobs(tenant: Tenant, call: Request<PushJobs>) -> Result<Created<PushedJobs>, Problem> {
    tenant.call(call).await.map(Created)
}

/// Pop the next job.
///
/// Returns the ready job with the highest priority; among equal priorities, the first that arrived. The job runs until
/// its lease expires. Then it is pending again, or dead if its attempts are used up. With `waitMs`, the call waits
/// until a job is ready. The request body is optional. Repeated with its `Idempotency-Key`, the call returns the job as long as
/// the lease lasts, and then no job.
#[utoipa::path(operation_id = "popJob", tag = "queues",
    params(("queue" = Name, Path, description = "Name of the queue.")),
    request_body(content = PopJob, examples(
        ("now" = (summary = "Without waiting, for one minute", value = json!({}))),
        ("patient" = (summary = "For five minutes", value = json!({"leaseMs": 300_000}))))),
    responses(
        (status = 200, description = "The job and its lease.", body = LeasedJob),
        (status = 204, description = "No job is ready.")))]
#[post("/queues/{queue}/pop")]
async fn pop_job(tenant: Tenant, call: Request<PopJob>) -> Result<Answer<Option<LeasedJob>>, Problem> {
    tenant.call(call).await
}

/// Pop a batch of jobs.
///
/// Returns up to `count` jobs in the order of single pops, each with its own lease. The list is empty if no job is
/// ready. Repeated with its `Idempotency-Key`, the call returns those of the jobs whose leases last.
#[utoipa::path(operation_id = "popJobs", tag = "queues",
    params(("queue" = Name, Path, description = "Name of the queue.")),
    request_body(content = PopJobs, examples(("ten" = (summary = "Up to ten jobs", value = json!({"count": 10}))))),
    responses((status = 200, description = "The jobs and their leases.", body = LeasedJobs)))]
#[post("/queues/{queue}/pop/batch")]
async fn pop_jobs(tenant: Tenant, call: Request<PopJobs>) -> Result<Answer<LeasedJobs>, Problem> {
    tenant.call(call).await
}

/// Complete a job.
///
/// With `lease`, only the attempt that holds this lease can complete the job, and only before the lease expires.
/// Otherwise the call fails with `lease-lost`. Without `lease`, a job that does not run fails with `job-not-running`.
/// A result of more than {{payload_bytes_max}}, counted like a payload, fails with `payload-too-large`.
#[utoipa::path(operation_id = "completeJob", tag = "queues", params(("id" = Id, Path, description = "Id of the job.")),
    request_body(content = CompleteJob, examples(
        ("any" = (summary = "Any running attempt", value = json!({"result": {"sent": true}}))),
        ("mine" = (summary = "The attempt with this lease", value = json!({
            "lease": "7b0cf6ce-3f9d-4a38-8f1a-0c8f6f7c1d55", "result": {"sent": true}}))))),
    responses((status = 200, description = "The completed job.", body = Job)))]
#[post("/jobs/{id}/complete")]
async fn complete_job(tenant: Tenant, call: Request<CompleteJob>) -> Result<Answer<Job>, Problem> {
    tenant.call(call).await
}

/// Report that an attempt failed.
///
/// The job is retried after `retryInMs`, or after a random back-off whose limit grows with each attempt (`backoffMs`).
/// It is dead if its attempts are used up or `retry` is `false`. `lease` works as in `completeJob`. A long `error` is cut,
/// not refused. The request body is optional.
#[utoipa::path(operation_id = "failJob", tag = "queues", params(("id" = Id, Path, description = "Id of the job.")),
    request_body(content = FailJob, examples(
        ("retry" = (summary = "Retry with back-off", value = json!({"error": "connection refused"}))),
        ("stop" = (summary = "No retry", value = json!({"error": "no such customer", "retry": false}))))),
    responses((status = 200, description = "The pending or dead job.", body = Job)))]
#[post("/jobs/{id}/fail")]
async fn fail_job(tenant: Tenant, call: Request<FailJob>) -> Result<Answer<Job>, Problem> {
    tenant.call(call).await
}

/// Extend the lease of a job.
///
/// Use it when the work takes longer than expected. A lease that has expired cannot be extended: the call fails with
/// `lease-lost`.
#[utoipa::path(operation_id = "extendJob", tag = "queues", params(("id" = Id, Path, description = "Id of the job.")),
    request_body(content = ExtendJob, examples(
        ("extend" = (summary = "One minute from now", value = json!({
            "lease": "7b0cf6ce-3f9d-4a38-8f1a-0c8f6f7c1d55", "leaseMs": 60_000}))))),
    responses((status = 200, description = "The job with its new `leaseExpiresAt`.", body = Job)))]
#[post("/jobs/{id}/extend")]
async fn extend_job(tenant: Tenant, call: Request<ExtendJob>) -> Result<Answer<Job>, Problem> {
    tenant.call(call).await
}

/// Get a job by its id.
///
/// The result includes the errors of the last ten failed attempts.
#[utoipa::path(operation_id = "getJob", tag = "queues", params(("id" = Id, Path, description = "Id of the job.")),
    responses((status = 200, description = "The job.", body = JobWithErrors)))]
#[get("/jobs/{id}")]
async fn get_job(tenant: Tenant, call: Request<GetJob>) -> Result<Answer<JobWithErrors>, Problem> {
    tenant.call(call).await
}

/// Cancel a job.
///
/// Deletes a pending job. A running or finished job fails with `job-not-pending`.
#[utoipa::path(operation_id = "cancelJob", tag = "queues", params(("id" = Id, Path, description = "Id of the job.")),
    responses((status = 204, description = "The job was deleted.")))]
#[delete("/jobs/{id}")]
async fn cancel_job(tenant: Tenant, call: Request<CancelJob>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}

/// List the jobs of a queue.
///
/// The order is: completed, dead, delayed, ready and running jobs, last the jobs that wait for another job of their
/// group. Each of these six is sorted by priority (highest first), then by arrival. A job whose lease has expired is
/// still sorted as a running job. A page ends early once its jobs exceed {{jobs_bytes_max}}.
#[utoipa::path(operation_id = "listJobs", tag = "queues",
    params(("queue" = Name, Path, description = "Name of the queue."), ListJobs),
    responses((status = 200, description = "A page of jobs.", body = Page<Job>)))]
#[get("/queues/{queue}/jobs")]
async fn list_jobs(tenant: Tenant, call: Request<ListJobs>) -> Result<Answer<Page<Job>>, Problem> {
    tenant.call(call).await
}

/// Get the status of a queue.
///
/// Returns the number of jobs in each status. For a queue that was never used, all numbers are 0.
#[utoipa::path(operation_id = "queueStatus", tag = "queues",
    params(("queue" = Name, Path, description = "Name of the queue.")),
    responses((status = 200, description = "The status of the queue.", body = QueueStatus)))]
#[get("/queues/{queue}")]
async fn queue_status(tenant: Tenant, call: Request<ReadQueueStatus>) -> Result<Answer<QueueStatus>, Problem> {
    tenant.call(call).await
}

/// List the queues that have jobs.
///
/// Returns a page of queues in the order of their names, each with its status.
#[utoipa::path(operation_id = "listQueues", tag = "queues", params(ListQueues),
    responses((status = 200, description = "A page of queues.", body = Page<QueueStatus>)))]
#[get("/queues")]
async fn list_queues(tenant: Tenant, call: Request<ListQueues>) -> Result<Answer<Page<QueueStatus>>, Problem> {
    tenant.call(call).await
}

/// Retry dead jobs.
///
/// Puts up to `limit` dead jobs back into the queue, in the order in which they are popped. Their attempts start again
/// at 0; their errors are kept. A dead job stays dead while an unfinished job has the same `dedupKey`. One call
/// examines at most 1,000 dead jobs. The request body is optional.
#[utoipa::path(operation_id = "retryDead", tag = "queues",
    params(("queue" = Name, Path, description = "Name of the queue.")),
    request_body(content = RetryDead, examples(("some" = (summary = "Up to 100", value = json!({}))))),
    responses((status = 200, description = "The number of retried jobs.", body = Retried)))]
#[post("/queues/{queue}/retry-dead")]
async fn retry_dead(tenant: Tenant, call: Request<RetryDead>) -> Result<Answer<Retried>, Problem> {
    tenant.call(call).await
}

/// Delete jobs of a queue.
///
/// Deletes up to 1,000 jobs. If `hasMore` is `true`, call again. Without `status`, the call deletes all jobs except
/// running ones.
#[utoipa::path(operation_id = "purgeQueue", tag = "queues",
    params(("queue" = Name, Path, description = "Name of the queue."), PurgeQueue),
    responses((status = 200, description = "The number of deleted jobs.", body = Purged)))]
#[delete("/queues/{queue}/jobs")]
async fn purge_queue(tenant: Tenant, call: Request<PurgeQueue>) -> Result<Answer<Purged>, Problem> {
    tenant.call(call).await
}
