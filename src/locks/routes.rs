//! Locks over HTTP.

use actix_web::{get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::methods::{AcquireLock, CheckLock, ExtendLock, ListLocks, ReleaseLock};
use super::types::{Lease, Lock};
use crate::call::{Answer, Request, Tenant};
use crate::name::Name;
use crate::page::Page;
use crate::problem::Problem;

/// Every route of locks.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(acquire_lock).service(release_lock).service(extend_lock).service(check_lock).service(list_locks);
}

/// Takes a lock for some time.
///
/// The lease ends by itself after `ttlMs`: work that takes longer extends it. With `waitMs` the call waits while somebody
/// else holds the lock, in order of arrival. Acquiring again with the `token` that holds the lock answers the same lease,
/// so a lost answer locks nobody out. Guard what the lock protects with its `fence`: any write takes the header
/// `Payerbase-Guard: <name>; fence=<fence>` and then runs only while the lease lives.
#[utoipa::path(operation_id = "acquireLock", tag = "locks", params(("name" = Name, Path, description = "The lock.")),
    request_body(content = AcquireLock, examples(
        ("once" = (summary = "For 30 seconds, if it is free", value = json!({"ttlMs": 30000}))),
        ("wait" = (summary = "Wait up to 5 seconds for it", value = json!({"ttlMs": 30000, "waitMs": 5000}))))),
    responses((status = 200, description = "The lease.", body = Lease)))]
#[post("/locks/{name}/acquire")]
async fn acquire_lock(tenant: Tenant, call: Request<AcquireLock>) -> Result<Answer<Lease>, Problem> {
    tenant.call(call).await
}

/// Gives a lock back.
///
/// Who waits for it goes on at once.
#[utoipa::path(operation_id = "releaseLock", tag = "locks", params(("name" = Name, Path, description = "The lock.")),
    request_body(content = ReleaseLock, examples(
        ("release" = (summary = "With the token of the lease", value = json!({"token": "pIgkGYhFJ0tW5WTxEnZ9UIEMlQnSfG1A"}))))),
    responses((status = 204, description = "It is free.")))]
#[post("/locks/{name}/release")]
async fn release_lock(tenant: Tenant, call: Request<ReleaseLock>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}

/// Makes a lease longer.
///
/// The fence stays. A lease that has ended cannot be extended, even if nobody took the lock since.
#[utoipa::path(operation_id = "extendLock", tag = "locks", params(("name" = Name, Path, description = "The lock.")),
    request_body(content = ExtendLock, examples(
        ("extend" = (summary = "For another 30 seconds", value = json!({"token": "pIgkGYhFJ0tW5WTxEnZ9UIEMlQnSfG1A", "ttlMs": 30_000}))))),
    responses((status = 200, description = "The lease.", body = Lease)))]
#[post("/locks/{name}/extend")]
async fn extend_lock(tenant: Tenant, call: Request<ExtendLock>) -> Result<Answer<Lease>, Problem> {
    tenant.call(call).await
}

/// Reads a lock.
///
/// One that was never taken is free.
#[utoipa::path(operation_id = "checkLock", tag = "locks", params(("name" = Name, Path, description = "The lock.")),
    responses((status = 200, description = "The lock.", body = Lock)))]
#[get("/locks/{name}")]
async fn check_lock(tenant: Tenant, call: Request<CheckLock>) -> Result<Answer<Lock>, Problem> {
    tenant.call(call).await
}

/// Lists the locks that are held.
///
/// In the order of the names' bytes, a page at a time.
#[utoipa::path(operation_id = "listLocks", tag = "locks", params(ListLocks),
    responses((status = 200, description = "A page of locks.", body = Page<Lock>)))]
#[get("/locks")]
async fn list_locks(tenant: Tenant, call: Request<ListLocks>) -> Result<Answer<Page<Lock>>, Problem> {
    tenant.call(call).await
}
