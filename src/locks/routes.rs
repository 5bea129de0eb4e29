//! HTTP routes of locks.

use actix_web::{get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::methods::{AcquireLock, CheckLock, ExtendLock, ListLocks, ReleaseLock};
use super::types::{Lease, Lock};
use crate::call::{Answer, Request, Tenant};
use crate::name::Name;
use crate::page::Page;
use crate::problem::Problem;

/// Adds the routes of locks.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(acquire_lock).service(release_lock).service(extend_lock).service(check_lock).service(list_locks);
}

/// Acquire a lock.
///
/// The lease expires after `ttlMs`; call `extendLock` if the work takes longer. If another token holds the lock, the
/// call waits up to `waitMs`, then fails with `lock-held`. Acquiring again with the holder's `token` returns the same
/// lease, so a holder that lost the answer can retry. Protect writes with the `fence` of the lease: a write with the
/// header `Payerbase-Guard: <name>; fence=<fence>` runs only while the lease is held.
///
/// With `Idempotency-Key`, the token is derived from the key, and a repeated call gets the same lease. So two workers that
/// send the same key both believe that they hold the lock: use a new random key for each attempt, never the name of a job.
#[utoipa::path(operation_id = "acquireLock", tag = "locks",
    params(("name" = Name, Path, description = "Name of the lock.")),
    request_body(content = AcquireLock, examples(
        ("once" = (summary = "Acquire for 30 seconds, with a token of your own", value = json!({
            "ttlMs": 30000, "token": "choose-a-secret-of-your-own"}))),
        ("wait" = (summary = "Wait up to 5 seconds for the lock", value = json!({
            "ttlMs": 30000, "token": "choose-a-secret-of-your-own", "waitMs": 5000}))))),
    responses((status = 200, description = "The lease.", body = Lease)))]
#[post("/locks/{name}/acquire")]
async fn acquire_lock(tenant: Tenant, call: Request<AcquireLock>) -> Result<Answer<Lease>, Problem> {
    tenant.call(call).await
}

/// Release a lock.
///
/// Wakes the first waiter immediately.
#[utoipa::path(operation_id = "releaseLock", tag = "locks",
    params(("name" = Name, Path, description = "Name of the lock.")),
    request_body(content = ReleaseLock, examples(
        ("release" = (summary = "Release with the token of the lease", value = json!({
            "token": "choose-a-secret-of-your-own"}))))),
    responses((status = 204, description = "No content: the lock is free.")))]
#[post("/locks/{name}/release")]
async fn release_lock(tenant: Tenant, call: Request<ReleaseLock>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}

/// Extend a lease.
///
/// The fence stays the same. An expired lease cannot be extended, even if the lock is still free.
#[utoipa::path(operation_id = "extendLock", tag = "locks",
    params(("name" = Name, Path, description = "Name of the lock.")),
    request_body(content = ExtendLock, examples(
        ("extend" = (summary = "Expire 30 seconds from now", value = json!({
            "token": "choose-a-secret-of-your-own", "ttlMs": 30_000}))))),
    responses((status = 200, description = "The extended lease.", body = Lease)))]
#[post("/locks/{name}/extend")]
async fn extend_lock(tenant: Tenant, call: Request<ExtendLock>) -> Result<Answer<Lease>, Problem> {
    tenant.call(call).await
}

/// Get the state of a lock.
///
/// A lock that was never acquired is free.
#[utoipa::path(operation_id = "checkLock", tag = "locks",
    params(("name" = Name, Path, description = "Name of the lock.")),
    responses((status = 200, description = "The lock.", body = Lock)))]
#[get("/locks/{name}")]
async fn check_lock(tenant: Tenant, call: Request<CheckLock>) -> Result<Answer<Lock>, Problem> {
    tenant.call(call).await
}

/// List the held locks.
///
/// Pages are sorted by name, byte by byte.
#[utoipa::path(operation_id = "listLocks", tag = "locks", params(ListLocks),
    responses((status = 200, description = "A page of locks.", body = Page<Lock>)))]
#[get("/locks")]
async fn list_locks(tenant: Tenant, call: Request<ListLocks>) -> Result<Answer<Page<Lock>>, Problem> {
    tenant.call(call).await
}
