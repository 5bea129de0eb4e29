//! HTTP routes of the account.

use std::collections::BTreeMap;

use actix_web::web::{Json, ReqData};
use actix_web::{get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::erase::{ErasePayer, Erased};
use super::methods::{GetMe, ListAudit};
use super::types::{Account, AuditEntry, Limits, Me, Measured, Quota, QuotasOfPayer, RateUsage};
use crate::call::{Answer, BODY_BYTES_MAX, EMBEDDING_TIMEOUT, Request, Tenant};
use crate::name::NAME_BYTES_MAX;
use crate::page::Page;
use crate::problem::{Code, Problem};
use crate::quotas::{Primitive, Quotas};
use crate::rates::{Kind, Rated};
use crate::time::Time;
use crate::turn::CALL_TIMEOUT;

/// Adds the routes of the account.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(get_me).service(erase_payer).service(list_audit);
}

/// Get the caller's account.
///
/// Returns the payer, the token with its scopes, the usage of the payer, and the limits. Needs no scope.
#[utoipa::path(operation_id = "getMe", tag = "account",
    responses((status = 200, description = "The account.", body = Me)))]
#[get("/me")]
async fn get_me(tenant: Tenant, call: Request<GetMe>, rated: Option<ReqData<Rated>>) -> Result<Json<Me>, Problem> {
    let Account { usage, measured, allowance } = tenant.call(call).await?.output;
    // `authenticate` ran before, so there is a token.
    let rights = tenant.rights().ok_or_else(|| Problem::new(Code::Internal))?;
    Ok(Json(Me {
        payer: rights.payer.clone(),
        scopes: rights.scopes.clone(),
        token_id: rights.token.clone(),
        token_name: rights.name.clone(),
        token_expires_at: Time(rights.expires_at),
        token_limits: rights.limits.clone(),
        token_allowance: allowance,
        quotas: quotas_of(&measured, tenant.quotas()),
        usage,
        rate: rated.filter(|rated| rated.kind == Kind::Payer).map(|rated| rate_usage(&rated)),
        limits: Limits {
            body_bytes_max: BODY_BYTES_MAX,
            name_bytes_max: NAME_BYTES_MAX,
            call_ms_max: CALL_TIMEOUT.as_millis(),
            embedding_ms_max: EMBEDDING_TIMEOUT.as_millis(),
        },
    }))
}

fn quotas_of(measured: &BTreeMap<Primitive, Measured>, quotas: Quotas) -> QuotasOfPayer {
    let of = |primitive| Quota::new(quotas, measured.get(&primitive));
    QuotasOfPayer {
        counters: of(Primitive::Counters),
        links: of(Primitive::Links),
        clicks: of(Primitive::Clicks),
        locks: of(Primitive::Locks),
        jobs: of(Primitive::Jobs),
        memories: of(Primitive::Memories),
    }
}

fn rate_usage(rated: &Rated) -> RateUsage {
    RateUsage {
        limit: rated.rate.burst(),
        window_ms: rated.rate.fill().as_millis(),
        remaining: rated.decision.remaining,
    }
}

/// Erase the data.
///
/// Deletes the payer's counters, links with their clicks, locks, queues with their jobs, memories and SQL database, a limited
/// number of rows in each call: call again until `hasMore` is false. It cannot be undone. A call that was lost is sent again;
/// an erasure that was interrupted is continued by any later call. What is written meanwhile is erased, too, or is there
/// afterwards, so stop your programs first. Then the payer can go on as a new one.
///
/// These stay: credit, ledger and payments, which are book-keeping; tokens and grants, which `revokeToken` and `revokeGrant` end;
/// the log of the account; the highest fence, so that no fence is given out twice; for 24 hours, hashes of the idempotency
/// keys of earlier writes, so that a write that is repeated does not run again, but is `idempotency-mismatch`. Holders of locks
/// and workers lose them: `lock-not-held` or `lock-wrong-token`, `not-found`. Short links stop at once; ten
/// minutes later, their slugs become free for everybody.
///
/// With an `Idempotency-Key`, each call of a series needs a key of its own: the same one gets the first answer again.
/// If another erasure ran after the first answer was lost, the repeated call is `idempotency-mismatch`: call with a new key.
#[utoipa::path(operation_id = "erasePayer", tag = "account",
    request_body(content = ErasePayer, examples(
        ("all" = (summary = "Erase the data of this payer", value = json!({
            "payer": "0xde709f2102306220921060314715629080e2fb77"}))))),
    responses((status = 200, description = "What was erased.", body = Erased)))]
#[post("/me/erase")]
async fn erase_payer(tenant: Tenant, call: Request<ErasePayer>) -> Result<Answer<Erased>, Problem> {
    tenant.call(call).await
}

/// List the events of the account.
///
/// Newest first: sign-ins, what happened to tokens, grants and payments, erasures (those of one token within an hour are one
/// entry), and how many calls were refused. Entries are kept for {{audit_kept}}, at least.
#[utoipa::path(operation_id = "listAudit", tag = "account", params(ListAudit),
    responses((status = 200, description = "A page of events.", body = Page<AuditEntry>)))]
#[get("/audit")]
async fn list_audit(tenant: Tenant, call: Request<ListAudit>) -> Result<Answer<Page<AuditEntry>>, Problem> {
    tenant.call(call).await
}
