//! Counters over HTTP.

use actix_web::{delete, get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::methods::{Decrement, DeleteCounter, GetCounter, Increment, ListCounters, Reset};
use super::types::{AdjustedCounter, Adjustment, Counter, ResetCounter};
use crate::call::{Answer, Request, Tenant};
use crate::name::Name;
use crate::page::Page;
use crate::problem::Problem;

/// Every route of counters.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service
        .service(increment)
        .service(decrement)
        .service(reset_counter)
        .service(get_counter)
        .service(delete_counter)
        .service(list_counters);
}

/// Adds to a counter.
///
/// The first call of a name creates the counter at 0 and then adds, under the same rules. `min` and `max` become the
/// counter's bounds. A bound stops the counter and never moves it: a value that is already outside may only move towards
/// its bounds. A sum that no bound stops and that 64 bits cannot hold is `counter-overflow`. The body may be absent.
#[utoipa::path(operation_id = "increment", tag = "counters", params(("name" = Name, Path, description = "The counter.")),
    request_body(content = Adjustment, examples(
        ("one" = (summary = "Add one", value = json!({}))),
        ("credit" = (summary = "Spend five credits, if they are there", value = json!({"amount": -5, "min": 0, "onBound": "reject"}))))),
    responses((status = 200, description = "The counter after the call.", body = AdjustedCounter)))]
#[post("/counters/{name}/increment")]
async fn increment(tenant: Tenant, call: Request<Increment>) -> Result<Answer<AdjustedCounter>, Problem> {
    tenant.call(call).await
}

/// Subtracts from a counter.
///
/// Like `increment`, with the sign of `amount` turned; `applied` is how much was subtracted.
#[utoipa::path(operation_id = "decrement", tag = "counters", params(("name" = Name, Path, description = "The counter.")),
    request_body(content = Adjustment, examples(
        ("stock" = (summary = "Take two from stock, stop at 0", value = json!({"amount": 2, "min": 0}))))),
    responses((status = 200, description = "The counter after the call.", body = AdjustedCounter)))]
#[post("/counters/{name}/decrement")]
async fn decrement(tenant: Tenant, call: Request<Decrement>) -> Result<Answer<AdjustedCounter>, Problem> {
    tenant.call(call).await
}

/// Sets a counter.
///
/// Creates it if need be, and keeps its bounds: a value outside of them is `invalid-value`. The body may be absent.
#[utoipa::path(operation_id = "resetCounter", tag = "counters", params(("name" = Name, Path, description = "The counter.")),
    request_body(content = Reset, examples(
        ("zero" = (summary = "Back to 0", value = json!({}))),
        ("value" = (summary = "To a value", value = json!({"value": 100}))))),
    responses((status = 200, description = "The counter after the call.", body = ResetCounter)))]
#[post("/counters/{name}/reset")]
async fn reset_counter(tenant: Tenant, call: Request<Reset>) -> Result<Answer<ResetCounter>, Problem> {
    tenant.call(call).await
}

/// Reads a counter.
///
/// Every write that was answered before is in it.
#[utoipa::path(operation_id = "getCounter", tag = "counters", params(("name" = Name, Path, description = "The counter.")),
    responses((status = 200, description = "The counter.", body = Counter)))]
#[get("/counters/{name}")]
async fn get_counter(tenant: Tenant, call: Request<GetCounter>) -> Result<Answer<Counter>, Problem> {
    tenant.call(call).await
}

/// Deletes a counter.
///
/// Its bounds go with it; the next increment begins at 0.
#[utoipa::path(operation_id = "deleteCounter", tag = "counters", params(("name" = Name, Path, description = "The counter.")),
    responses((status = 204, description = "It is gone.")))]
#[delete("/counters/{name}")]
async fn delete_counter(tenant: Tenant, call: Request<DeleteCounter>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}

/// Lists counters by name.
///
/// In the order of the names' bytes, a page at a time.
#[utoipa::path(operation_id = "listCounters", tag = "counters", params(ListCounters),
    responses((status = 200, description = "A page of counters.", body = Page<Counter>)))]
#[get("/counters")]
async fn list_counters(tenant: Tenant, call: Request<ListCounters>) -> Result<Answer<Page<Counter>>, Problem> {
    tenant.call(call).await
}
