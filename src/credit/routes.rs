//! HTTP routes of credit.

use actix_web::{get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::methods::{GetCredit, GetPayment, ListLedger, ListPayments, TopUp};
use super::types::{Credit, LedgerEntry, Payment};
use crate::call::{Answer, Request, Tenant};
use crate::id::Id;
use crate::page::Page;
use crate::problem::Problem;

/// Adds the routes of credit.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(get_credit).service(top_up).service(list_ledger).service(list_payments).service(get_payment);
}

/// Get the credit.
///
/// On a server with prices, each call is paid from the credit of its payer; a call that fails costs nothing. Each operation has
/// a price tier, `x-price-tier` in this document: `free`, `read`, `write`, or `ai` for calls whose texts a model may embed. A
/// transaction costs as much as its calls.
#[utoipa::path(operation_id = "getCredit", tag = "account",
    responses((status = 200, description = "The credit in each asset.", body = Credit)))]
#[get("/credit")]
async fn get_credit(tenant: Tenant, call: Request<GetCredit>) -> Result<Answer<Credit>, Problem> {
    tenant.call(call).await
}

/// List the ledger.
///
/// Newest first: what was added to the credit, and what calls have spent. Calls are booked together: one entry for each asset,
/// about every {{usage_posted}}. Entries are never changed or deleted.
#[utoipa::path(operation_id = "listLedger", tag = "account", params(ListLedger),
    responses((status = 200, description = "A page of entries.", body = Page<LedgerEntry>)))]
#[get("/ledger")]
async fn list_ledger(tenant: Tenant, call: Request<ListLedger>) -> Result<Answer<Page<LedgerEntry>>, Problem> {
    tenant.call(call).await
}

/// Top up the credit.
///
/// For callers who pay with x402: the request is answered with 402, whose offers ask for `amount` in the smallest unit of each
/// asset, but at least the smallest payment of the server. The number is the same in each asset, and its worth is not: choose the
/// offer by its asset. It is in the path because the offers are made before the body is read. The payment becomes credit of its payer, who spends it with a
/// token. The default limit of official clients is one dollar, which is 1,000,000 of USDC. On a server whose calls are free,
/// it is `not-found`.
#[utoipa::path(operation_id = "topUp", tag = "account",
    params(("amount" = i64, Path, minimum = 1, maximum = 9_000_000_000_000_000_i64, example = 1_000_000,
        description = "Amount to pay, in the smallest unit of the asset.")),
    responses((status = 200, description = "The credit after the payment.", body = Credit)))]
#[post("/credit/{amount}")]
async fn top_up(tenant: Tenant, call: Request<TopUp>) -> Result<Answer<Credit>, Problem> {
    tenant.call(call).await
}

/// List payments.
///
/// Newest first, with those that were rejected.
#[utoipa::path(operation_id = "listPayments", tag = "account", params(ListPayments),
    responses((status = 200, description = "A page of payments.", body = Page<Payment>)))]
#[get("/payments")]
async fn list_payments(tenant: Tenant, call: Request<ListPayments>) -> Result<Answer<Page<Payment>>, Problem> {
    tenant.call(call).await
}

/// Get a payment.
///
/// Payments are never deleted.
#[utoipa::path(operation_id = "getPayment", tag = "account",
    params(("id" = Id, Path, description = "Id of the payment.")),
    responses((status = 200, description = "The payment.", body = Payment)))]
#[get("/payments/{id}")]
async fn get_payment(tenant: Tenant, call: Request<GetPayment>) -> Result<Answer<Payment>, Problem> {
    tenant.call(call).await
}
