//! HTTP route of transactions.

use actix_web::post;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::call::{Answer, Request, Results, Tenant, Transaction};
use crate::problem::Problem;

/// Adds the route of transactions.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(transact);
}

/// Run several calls in one transaction.
///
/// Runs 1 to 50 writes and fast reads in order: all of them happen, or none. Other callers never see a part of them. If
/// a call fails, the earlier calls are undone, and the answer is its problem with `index` and `method` added. Lists,
/// searches, statistics and calls with `waitMs` are not allowed.
///
/// `params` is the body of the call, with the path parameters as members. `{"$ref": "<call>.<member>"}` is replaced by
/// a member of the result of an earlier call. `<call>` is the `as` of that call, or its index, from 0.
/// `{"$literal": value}` is replaced by `value`, which may then contain `$ref`. At most 100 references are allowed:
///
/// ```json
/// {"calls": [
///   {"method": "increment", "params": {"name": "orders"}, "as": "order"},
///   {"method": "pushJob", "params": {"queue": "mails", "payload": {"order": {"$ref": "order.value"}}}}]}
/// ```
///
/// A member is written as the result shows it: times in UTC with microseconds, a link with its `shortUrl`. The token of a
/// lock is a secret, which cannot be referred to: choose it, and send it in `token`. A payload or a result with
/// references in it counts with a space after each comma and colon.
///
/// A transaction with `createToken` or `rotateToken` takes no `Idempotency-Key`: their answers have secrets, which are not kept.
///
/// A call with a `guard` runs only while that lock is held with that fence. The header `Payerbase-Guard` guards the
/// whole transaction. All results are at most {{results_bytes_max}}, and the values of all references at most
/// {{referenced_bytes_max}}: more is `payload-too-large`.
#[utoipa::path(operation_id = "transact", tag = "transactions",
    request_body(content = Transaction, examples(
        // Without a `$ref`, which linters and generators would look for as a part of the document.
        ("order" = (summary = "Count an order and push a job for it, or do neither", value = json!({"calls": [
            {"method": "increment", "params": {"name": "orders"}},
            {"method": "pushJob", "params": {"queue": "mails", "payload": {"about": "an order"}}}]}))))),
    responses((status = 200, description = "The results, in the order of the calls.", body = Results)))]
#[post("/transaction")]
async fn transact(tenant: Tenant, request: Request<Transaction>) -> Result<Answer<Results>, Problem> {
    tenant.transact(request).await
}
