//! Transactions over HTTP.

use actix_web::post;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::call::{Answer, Request, Results, Tenant, Transaction};
use crate::problem::Problem;

/// The route.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(transact);
}

/// Runs many calls as one.
///
/// 1 to 50 calls of any write or fast read, in order: all of them happen, or none. Nobody sees some of them done and others
/// not. A call that meets a problem undoes those before it, and the answer is its problem with `index` and `method` added.
///
/// `params` is the body of the call with the names of its path as members. A member `{"$ref": "<call>.<member>"}` stands
/// for a member of the result of an earlier call, named by its `as` or by its number from 0; `{"$literal": value}` stands
/// for a value that looks like one. A `guard` on a call lets it run only while that lock is held with that fence; the
/// header `Payerbase-Guard` guards the whole.
#[utoipa::path(operation_id = "transact", tag = "transactions",
    request_body(content = Transaction, examples(
        ("reserve" = (summary = "Spend five credits and count the order, or neither", value = json!({"calls": [
            {"method": "decrement", "params": {"name": "credits", "amount": 5, "min": 0, "onBound": "reject"}, "as": "spent"},
            {"method": "increment", "params": {"name": "orders"}}]}))))),
    responses((status = 200, description = "The results, in the order of the calls.", body = Results)))]
#[post("/transaction")]
async fn transact(tenant: Tenant, request: Request<Transaction>) -> Result<Answer<Results>, Problem> {
    tenant.transact(request).await
}
