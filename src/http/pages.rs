//! Pages about the API: health, the OpenAPI document, its rendering, the catalogue of problems.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use actix_web::{HttpResponse, get, route, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::openapi::Document;
use crate::db::readiness::Readiness;
use crate::problem::{Code, Problem, catalogue_markdown};
use crate::telemetry::because;

/// Health of the server.
#[derive(Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Check that the process is alive.
///
/// Does not use the database.
#[utoipa::path(get, operation_id = "healthz", path = "/healthz", tag = "operations", security(()),
    responses((status = 200, description = "The process is alive.", body = Health)))]
#[route("/healthz", method = "GET", method = "HEAD")]
pub(crate) async fn healthz() -> web::Json<Health> {
    web::Json(OK)
}

/// Check that the server can serve requests.
///
/// The database answers and is migrated. Load balancers take a server with status 503 out of rotation.
#[utoipa::path(get, operation_id = "readyz", path = "/readyz", tag = "operations", security(()),
    responses((status = 200, description = "The server can serve requests.", body = Health)))]
#[route("/readyz", method = "GET", method = "HEAD")]
pub(crate) async fn readyz(database: web::Data<Readiness>) -> Result<web::Json<Health>, Problem> {
    database.check().await.map(|()| web::Json(OK)).map_err(|cause| {
        because(cause);
        Problem::new(Code::DatabaseUnavailable)
    })
}

/// Get this document.
///
/// The OpenAPI 3.1 document of the server that answers the request.
#[utoipa::path(operation_id = "openapi", tag = "operations", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)))]
#[get("/openapi.json")]
pub(crate) async fn openapi(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(document.json.clone())
}

/// Get the catalogue of problems.
///
/// The `type` of every problem links to its section.
#[utoipa::path(operation_id = "problems", tag = "operations", security(()),
    responses((status = 200, description = "Markdown.", body = String, content_type = "text/markdown")))]
#[get("/problems")]
pub(crate) async fn problems() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/markdown; charset=utf-8")).body(catalogue_markdown())
}

#[get("/docs")]
pub(crate) async fn docs_redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

#[get("/")]
pub(crate) async fn root() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, "/docs/")).finish()
}

/// The rendered reference. Everything it needs is in the binary.
pub(crate) fn docs() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}")
        .config(Config::from("/openapi.json").persist_authorization(true).try_it_out_enabled(true))
}
