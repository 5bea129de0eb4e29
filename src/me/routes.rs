//! HTTP routes of the account.

use std::collections::BTreeMap;

use actix_web::get;
use actix_web::web::{Json, ReqData};
use utoipa_actix_web::service_config::ServiceConfig;

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
    service.service(get_me).service(list_audit);
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

/// List the events of the account.
///
/// Newest first: sign-ins, and what happened to tokens, grants and payments. Entries are kept for {{audit_kept}}, at least.
#[utoipa::path(operation_id = "listAudit", tag = "account", params(ListAudit),
    responses((status = 200, description = "A page of events.", body = Page<AuditEntry>)))]
#[get("/audit")]
async fn list_audit(tenant: Tenant, call: Request<ListAudit>) -> Result<Answer<Page<AuditEntry>>, Problem> {
    tenant.call(call).await
}
