//! HTTP routes of counters.

use actix_web::{delete, get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::methods::{Decrement, DeleteCounter, GetCounter, Increment, ListCounters, Reset};
use super::types::{AdjustedCounter, Adjustment, Counter, ResetCounter};
use crate::call::{Answer, Request, Tenant};
use crate::name::Name;
use crate::page::Page;
use crate::problem::Problem;

/// Adds the routes of counters.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service
        .service(increment)
        .service(decrement)
        .service(reset_counter)
        .service(get_counter)
        .service(delete_counter)
        .service(list_counters);
}

/// Add to a counter.
///
/// Adds `amount` to the counter; without a body, the call adds 1. A counter that does not exist is created at 0 first.
/// `min` and `max` are stored as the bounds of the counter; if they are absent, the stored bounds are kept. The value
/// stops at a bound: the part of `amount` beyond it is not applied, or the call fails with `counter-out-of-bounds` if
/// `onBound` is `reject`. A new bound does not change the value: a value below `min` can only be increased, a value
/// above `max` can only be decreased. A result that does not fit into a signed 64-bit integer fails with
/// `counter-overflow`, unless a bound stops the value before.
#[utoipa::path(operation_id = "increment", tag = "counters",
    params(("name" = Name, Path, description = "Name of the counter.")),
    request_body(content = Adjustment, examples(
        ("one" = (summary = "Add one", value = json!({}))),
        ("spend" = (summary = "Spend one, if the value allows it", value = json!({
            "amount": -1, "min": 0, "onBound": "reject"}))))),
    responses((status = 200, description = "The counter after the call.", body = AdjustedCounter)))]
#[post("/counters/{name}/increment")]
async fn increment(tenant: Tenant, call: Request<Increment>) -> Result<Answer<AdjustedCounter>, Problem> {
    tenant.call(call).await
}

/// Subtract from a counter.
///
/// Works like `increment` with the sign of `amount` reversed. `applied` is the amount that was subtracted. The body is
/// optional: without it, the call subtracts 1.
#[utoipa::path(operation_id = "decrement", tag = "counters",
    params(("name" = Name, Path, description = "Name of the counter.")),
    request_body(content = Adjustment, examples(
        ("stock" = (summary = "Take two from the stock, but stop at 0", value = json!({"amount": 2, "min": 0}))))),
    responses((status = 200, description = "The counter after the call.", body = AdjustedCounter)))]
#[post("/counters/{name}/decrement")]
async fn decrement(tenant: Tenant, call: Request<Decrement>) -> Result<Answer<AdjustedCounter>, Problem> {
    tenant.call(call).await
}

/// Set a counter to a value.
///
/// A missing counter is created. The bounds of the counter stay: a value outside them is `invalid-value`. The body is
/// optional: without it, the value is 0.
#[utoipa::path(operation_id = "resetCounter", tag = "counters",
    params(("name" = Name, Path, description = "Name of the counter.")),
    request_body(content = Reset, examples(
        ("hundred" = (summary = "Set to 100", value = json!({"value": 100}))),
        ("zero" = (summary = "Reset to 0", value = json!({}))))),
    responses((status = 200, description = "The counter after the call.", body = ResetCounter)))]
#[post("/counters/{name}/reset")]
async fn reset_counter(tenant: Tenant, call: Request<Reset>) -> Result<Answer<ResetCounter>, Problem> {
    tenant.call(call).await
}

/// Get a counter.
///
/// The result includes every write that was answered before this call.
#[utoipa::path(operation_id = "getCounter", tag = "counters",
    params(("name" = Name, Path, description = "Name of the counter.")),
    responses((status = 200, description = "The counter.", body = Counter)))]
#[get("/counters/{name}")]
async fn get_counter(tenant: Tenant, call: Request<GetCounter>) -> Result<Answer<Counter>, Problem> {
    tenant.call(call).await
}

/// Delete a counter.
///
/// The bounds are deleted too. The next `increment` starts at 0.
#[utoipa::path(operation_id = "deleteCounter", tag = "counters",
    params(("name" = Name, Path, description = "Name of the counter.")),
    responses((status = 204, description = "No content: the counter is deleted.")))]
#[delete("/counters/{name}")]
async fn delete_counter(tenant: Tenant, call: Request<DeleteCounter>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}

/// List counters.
///
/// Pages are sorted by name, byte by byte.
#[utoipa::path(operation_id = "listCounters", tag = "counters", params(ListCounters),
    responses((status = 200, description = "A page of counters.", body = Page<Counter>)))]
#[get("/counters")]
async fn list_counters(tenant: Tenant, call: Request<ListCounters>) -> Result<Answer<Page<Counter>>, Problem> {
    tenant.call(call).await
}
