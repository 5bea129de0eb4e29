//! HTTP route of the export.

use actix_web::get;
use utoipa_actix_web::service_config::ServiceConfig;

use super::methods::{ExportPayer, Lines};
use crate::call::{FileAnswer, Request, Tenant};
use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// Media type of lines of JSON.
const LINES: &str = "application/x-ndjson";

const PAGE: &str = "A page of lines. The last one is `{\"type\":\"next\",\"cursor\":\"..\"}`: send the cursor for the next page, \
    also later, if the export was interrupted. That of the last page is `{\"type\":\"end\"}`. Without either, the page is not \
    complete.";

/// Adds the route of the export.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(export_payer);
}

/// Export all data.
///
/// A page of all that the payer has, as lines of JSON. Each line is an object with a `type`, and otherwise as the operations
/// show it: `counter`, `link`, `click` and `clickTotal` (clicks of a whole day, `by` day, referrer, country or browser), `lock`
/// (held ones), `job` (with errors), `memory` (with its vector), `sqlDatabase` (get it with `exportSql`), `credit`, `ledgerEntry`,
/// `payment`, `token`, `grant` and `auditEntry`, in this order.
///
/// The export is no snapshot: it shows a row that changes meanwhile as it was before or after the change, and it may show a row
/// that is deleted meanwhile. Secrets are not in it: tokens of locks, leases of jobs, secrets of tokens.
#[utoipa::path(operation_id = "exportPayer", tag = "account", params(ExportPayer),
    responses((status = 200, description = PAGE, content_type = "application/x-ndjson", body = Lines)))]
#[get("/me/export")]
async fn export_payer(tenant: Tenant, call: Request<ExportPayer>) -> Result<FileAnswer, Problem> {
    let answer = tenant.call(call).await?;
    let bytes = answer.output.lines(answer.integers).map_err(|error| {
        because(format!("the export cannot be written: {error}"));
        Problem::new(Code::Internal)
    })?;
    Ok(FileAnswer { bytes, media_type: LINES, name: "export.ndjson", held: answer.held })
}
