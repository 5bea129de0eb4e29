//! HTTP routes of tokens.

use actix_web::{delete, get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::grant_routes;
use super::methods::{CreateToken, ListTokens, RevokeToken, RotateToken};
use super::types::{CreatedToken, ListedToken};
use crate::auth::TokenId;
use crate::call::{Answer, Created, Request, Tenant};
use crate::page::Page;
use crate::problem::Problem;

/// Adds the routes of tokens and grants.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(create_token).service(list_tokens).service(rotate_token).service(revoke_token);
    grant_routes::configure(service);
}

/// Make a token.
///
/// The new token has at most the scopes, the methods and the names of the token that asks, and does not outlive it: scopes that the token lacks are
/// `missing-scope`. A payer has at most {{tokens_max}} valid tokens that were made this way. The answer is the only copy of
/// the token, so the call takes no `Idempotency-Key`: if the answer is lost, revoke the token that `listTokens` shows, and
/// make another.
#[utoipa::path(operation_id = "createToken", tag = "account",
    request_body(content = CreateToken, examples(
        ("hour" = (summary = "A token that reads counters, for an hour", value = json!({
            "name": "dashboard", "scopes": ["counters:read"], "lifetimeMs": 3_600_000}))),
        ("prefix" = (summary = "A token that pushes jobs to some queues", value = json!({
            "name": "agent", "scopes": ["queues:write"], "methods": ["pushJob", "pushJobs"], "prefix": "jobs-"}))))),
    responses((status = 201, description = "The token.", body = CreatedToken)))]
#[post("/tokens")]
async fn create_token(tenant: Tenant, call: Request<CreateToken>) -> Result<Created<CreatedToken>, Problem> {
    tenant.call(call).await.map(Created)
}

/// List tokens.
///
/// Newest first, with those of wallets and of the operator. Expired and revoked tokens are listed until {{tokens_kept}}
/// after their time of expiry, at least.
#[utoipa::path(operation_id = "listTokens", tag = "account", params(ListTokens),
    responses((status = 200, description = "A page of tokens.", body = Page<ListedToken>)))]
#[get("/tokens")]
async fn list_tokens(tenant: Tenant, call: Request<ListTokens>) -> Result<Answer<Page<ListedToken>>, Problem> {
    tenant.call(call).await
}

/// Replace a token.
///
/// Returns a new token with the name, the scopes, the limits, the allowance and the time of expiry of the old one. The old one is valid for
/// `overlapMs` more, so that its users can be switched; within 5 seconds, all servers know. A token can replace itself, without
/// the scope `tokens:write`, and those that were made with it. Tokens that the old one has made stay: if it leaked, revoke it.
/// Like `createToken`, the call takes no `Idempotency-Key`.
#[utoipa::path(operation_id = "rotateToken", tag = "account",
    params(("id" = TokenId, Path, description = "Public id of the token to replace.")),
    request_body(content = RotateToken, examples(
        ("at_once" = (summary = "The old token ends now", value = json!({"overlapMs": 0}))))),
    responses((status = 201, description = "The new token.", body = CreatedToken)))]
#[post("/tokens/{id}/rotate")]
async fn rotate_token(tenant: Tenant, call: Request<RotateToken>) -> Result<Created<CreatedToken>, Problem> {
    tenant.call(call).await.map(Created)
}

/// Revoke a token.
///
/// Every server refuses it within 5 seconds. The tokens that were made with it, by `createToken` or `rotateToken`, directly
/// or not, are revoked too. A token with limits revokes only itself and the tokens that it made: others are `not-found`. A token can revoke itself without the scope `tokens:write`. To revoke a second time changes
/// nothing.
#[utoipa::path(operation_id = "revokeToken", tag = "account",
    params(("id" = TokenId, Path, description = "Public id of the token.")),
    responses((status = 204, description = "No content: the token is revoked.")))]
#[delete("/tokens/{id}")]
async fn revoke_token(tenant: Tenant, call: Request<RevokeToken>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}
