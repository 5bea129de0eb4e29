//! What holds for all routes: `HEAD`, `OPTIONS`, and the spellings of short URLs.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::ALLOW;
use actix_web::http::{Method as Verb, Uri};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpResponse, web};

use super::openapi::Document;
use crate::links;

/// Marks a request that was `HEAD`, and is answered like `GET`.
pub(super) struct WasHead;

/// Finds a short URL with too many slashes. Answers `HEAD` like `GET`; the body is then left out. Answers `OPTIONS` with the
/// methods of the path; preflights of browsers were answered before.
///
/// # Errors
/// Those of the inner service.
pub async fn verbs(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if let Some(path) = links::routes::tidied(request.uri().path()) {
        set_path(&mut request, &path);
    }
    match *request.method() {
        // Links count `HEAD` differently.
        Verb::HEAD if !links::routes::is_short_url(request.path()) => {
            request.head_mut().method = Verb::GET;
            request.extensions_mut().insert(WasHead);
        }
        Verb::OPTIONS => {
            let document = request.app_data::<web::Data<Document>>();
            let methods = document.and_then(|document| document.allow(request.path()));
            if let Some(methods) = methods {
                let allow = (ALLOW, format!("{methods}, OPTIONS"));
                return Ok(request.into_response(HttpResponse::NoContent().insert_header(allow).finish()));
            }
        }
        _ => {}
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

/// Replaces the path, before the route is chosen.
fn set_path(request: &mut ServiceRequest, path: &str) {
    let Ok(uri) = path.parse::<Uri>() else { return };
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
}
