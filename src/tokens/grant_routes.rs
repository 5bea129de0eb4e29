//! HTTP routes of grants.

use actix_web::{delete, get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::grants::{CreateGrant, ListGrants, RevokeGrant};
use super::types::Grant;
use crate::auth::TokenId;
use crate::call::{Answer, Created, Request, Tenant};
use crate::page::Page;
use crate::problem::Problem;

/// Adds the routes of grants.
pub(super) fn configure(service: &mut ServiceConfig<'_>) {
    service.service(create_grant).service(list_grants).service(revoke_grant);
}

/// Let another payer call for this one.
///
/// The grantee calls with its own token, or pays, and sends the header `Payerbase-Act-For` with the address of the payer.
/// It can do what the grant and its own token allow, on the data of the payer. Methods of the account cannot be granted.
/// With several grants, the oldest that allows the whole call is used. A grant is revoked with the token that made it. Servers
/// use a new grant within 2 seconds. A payer has at most {{grants_max}} valid grants for the same grantee.
#[utoipa::path(operation_id = "createGrant", tag = "account",
    request_body(content = CreateGrant, examples(
        ("jobs" = (summary = "An agent pushes jobs to some queues, and pays its own way", value = json!({
            "grantee": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8", "scopes": ["queues:write"],
            "methods": ["pushJob", "pushJobs"], "prefix": "jobs-"}))),
        ("paid" = (summary = "An agent reads counters, at most 1,000 times, and the payer pays", value = json!({
            "grantee": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8", "scopes": ["counters:read"], "pays": "payer",
            "allowance": {"calls": 1000}}))))),
    responses((status = 201, description = "The grant.", body = Grant)))]
#[post("/grants")]
async fn create_grant(tenant: Tenant, call: Request<CreateGrant>) -> Result<Created<Grant>, Problem> {
    tenant.call(call).await.map(Created)
}

/// List the grants that the payer has given.
///
/// Newest first. Expired and revoked grants are listed until {{tokens_kept}} after their time of expiry, at least.
#[utoipa::path(operation_id = "listGrants", tag = "account", params(ListGrants),
    responses((status = 200, description = "A page of grants.", body = Page<Grant>)))]
#[get("/grants")]
async fn list_grants(tenant: Tenant, call: Request<ListGrants>) -> Result<Answer<Page<Grant>>, Problem> {
    tenant.call(call).await
}

/// Revoke a grant.
///
/// After the answer, no write that uses the grant takes effect. Reads are refused within 2 seconds. A token with limits revokes
/// only the grants that it made. To revoke a second time changes nothing.
#[utoipa::path(operation_id = "revokeGrant", tag = "account",
    params(("id" = TokenId, Path, description = "Id of the grant.")),
    responses((status = 204, description = "No content: the grant is revoked.")))]
#[delete("/grants/{id}")]
async fn revoke_grant(tenant: Tenant, call: Request<RevokeGrant>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}
