//! Pages about the API: health, the OpenAPI document, its rendering, the catalogue of problems.

use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETag, HeaderValue, IfNoneMatch, LOCATION, VARY};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, get, route, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::drain::Steps;
use super::openapi::{Document, Rendering};
use super::paywall::{PaidRoutes, Paywall};
use crate::call::Engine;
use crate::db::readiness::Readiness;
use crate::problem::{Code, Problem, catalogue_html, catalogue_markdown};
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
/// The database answers and is migrated, and the server is not stopping. Load balancers take a server with status 503 out
/// of rotation.
#[utoipa::path(get, operation_id = "readyz", path = "/readyz", tag = "operations", security(()),
    responses((status = 200, description = "The server can serve requests.", body = Health)))]
#[route("/readyz", method = "GET", method = "HEAD")]
pub(crate) async fn readyz(
    database: web::Data<Readiness>,
    steps: web::Data<Steps>,
) -> Result<web::Json<Health>, Problem> {
    if steps.is_stopping() {
        return Err(Problem::new(Code::ServerStopping));
    }
    database.check().await.map(|()| web::Json(OK)).map_err(|cause| {
        because(cause);
        Problem::new(Code::DatabaseUnavailable)
    })
}

/// Get this document.
///
/// The OpenAPI 3.1 document of the server that answers the request.
#[utoipa::path(operation_id = "openapi", tag = "operations", security(()),
    responses(
        (status = 200, description = "OpenAPI 3.1.", body = Object, headers(
            ("ETag", description = "Tag of the document, for `If-None-Match`."))),
        (status = 304, description = "The document is the one with the tag in `If-None-Match`."),
    ))]
#[get("/openapi.json")]
pub(crate) async fn openapi(request: HttpRequest, document: web::Data<Document>) -> HttpResponse {
    rendered(&document.v3_1, &request)
}

/// Get this document in OpenAPI 3.0.3.
///
/// For generators that do not read OpenAPI 3.1. It has the same operations. Three things that stop such generators are left out:
/// the answer 204 of `popJob`, the media type `application/vnd.sqlite3` of `importSql`, and the discriminator of `TransactedCall`.
#[utoipa::path(operation_id = "openapi30", tag = "operations", security(()),
    responses(
        (status = 200, description = "OpenAPI 3.0.3.", body = Object, headers(
            ("ETag", description = "Tag of the document, for `If-None-Match`."))),
        (status = 304, description = "The document is the one with the tag in `If-None-Match`."),
    ))]
#[get("/openapi-3.0.json")]
pub(crate) async fn openapi_3_0(request: HttpRequest, document: web::Data<Document>) -> HttpResponse {
    rendered(&document.v3_0, &request)
}

/// A document, unless the client knows it.
fn rendered(document: &Rendering, request: &HttpRequest) -> HttpResponse {
    let is_known = request.get_header().is_some_and(|known| match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|tag| tag.weak_eq(&document.tag)),
    });
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((CACHE_CONTROL, "no-cache")).insert_header(ETag(document.tag.clone()));
    if is_known {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, "application/json")).body(document.json.clone())
}

/// List the routes that cost something.
///
/// For callers who pay each call with x402, version 2: a request without a token and without a payment is answered with 402
/// and the header `PAYMENT-REQUIRED`. Official clients sign one of its offers and send the request again with
/// `PAYMENT-SIGNATURE`; the answer has `PAYMENT-RESPONSE`. The part of a payment above the price becomes credit of its payer.
#[utoipa::path(operation_id = "listPaidRoutes", tag = "operations", security(()),
    responses((status = 200, description = "The routes, with the least payment for each.", body = PaidRoutes)))]
#[get("/x402.json")]
pub(crate) async fn paid_routes(paywall: web::Data<Paywall>) -> web::Json<PaidRoutes> {
    web::Json(paywall.routes())
}

/// Get the catalogue of problems.
///
/// The `type` of every problem links to its section. A browser (`Accept: text/html`) gets the same text as HTML.
#[utoipa::path(operation_id = "problems", tag = "operations", security(()),
    responses((status = 200, description = "Markdown.", body = String, content_type = "text/markdown")))]
#[get("/problems")]
pub(crate) async fn problems(request: HttpRequest) -> HttpResponse {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let (media, text) = match accept.is_some_and(|accept| accept.contains("text/html")) {
        true => ("text/html; charset=utf-8", catalogue_html()),
        false => ("text/markdown; charset=utf-8", catalogue_markdown()),
    };
    HttpResponse::Ok().insert_header((CONTENT_TYPE, media)).insert_header((VARY, "Accept")).body(text)
}

#[get("/docs")]
pub(crate) async fn docs_redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "docs/")).finish()
}

#[get("/")]
pub(crate) async fn root() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, "docs/")).finish()
}

/// The rendered reference. Everything it needs is in the binary.
pub(crate) fn docs() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}")
        .config(Config::from("../openapi.json").persist_authorization(true).try_it_out_enabled(true))
}

/// Whether browsers may keep the answer: a script, a style or a picture of the rendered reference.
pub(super) fn is_part_of_docs(path: &str) -> bool {
    path.strip_prefix("/docs/").is_some_and(|part| !part.is_empty() && part != "swagger-initializer.js")
}

/// The content security policy of the pages that a browser renders: the reference keeps a token in its page. `None` for other
/// paths.
pub(super) fn policy(request: &HttpRequest) -> Option<HeaderValue> {
    let connect = match request.path() {
        "/problems" => "'none'".to_owned(),
        path if path.starts_with("/docs/") => {
            let engine = request.app_data::<web::Data<Engine>>();
            format!("'self' {}", engine.map(|engine| engine.site().origin()).unwrap_or_default())
        }
        _ => return None,
    };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         connect-src {connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
}
