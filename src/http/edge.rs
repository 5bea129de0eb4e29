//! The outermost middleware: every request gets an id and a span, every error answer is a problem.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError as _, web};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::drain::InFlight;
use super::metrics::HttpMetrics;
use super::request_id::{self, CURRENT};
use crate::problem::{Code, PROBLEM_JSON, Problem};
use crate::telemetry;

/// Gives the request its id and its span, and measures it.
///
/// # Errors
/// None of its own.
pub async fn edge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = request_id::of(request.headers());
    let started = Instant::now();
    let metrics = request.app_data::<web::Data<HttpMetrics>>().cloned();
    let in_flight = request.app_data::<web::Data<InFlight>>().cloned().map(web::Data::into_inner);
    let _answering = in_flight.as_ref().map(|requests| requests.enter());
    let method = request.method().clone();
    let span = telemetry::request_span(&id, method.as_str(), request.headers());
    let mut response = match CURRENT.scope(id.clone(), next.call(request)).instrument(span.clone()).await {
        Ok(response) => response,
        Err(refused) => {
            let status = refused.as_response_error().status_code();
            if let Some(metrics) = metrics {
                metrics.answered(None, status, started.elapsed());
            }
            telemetry::answered(&span, method.as_str(), None, status.as_u16());
            span.in_scope(|| tracing::error!("answered without a handler"));
            return Err(refused);
        }
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if in_flight.is_some_and(|requests| requests.is_draining()) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let (status, route, elapsed) = (response.status(), response.request().match_pattern(), started.elapsed());
    telemetry::answered(&span, method.as_str(), route.as_deref(), status.as_u16());
    span.in_scope(|| tracing::debug!(path = response.request().path(), elapsed_us = elapsed.as_micros(), "answered"));
    if let Some(metrics) = metrics {
        metrics.answered(route, status, elapsed);
    }
    Ok(response)
}

/// Turns every error answer into a problem, including the answers of the framework and panics.
///
/// # Errors
/// A panic, and the errors of inner middleware, as complete answers: actix has given the request away by then.
pub async fn problems(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(Ok(response)) => Ok(as_problem(response.map_into_boxed_body())),
        Ok(Err(error)) => Err(written(error.error_response())),
        Err(_panic) => {
            tracing::error!("a handler panicked");
            Err(written(Problem::new(Code::Internal).error_response()))
        }
    }
}

fn written(mut response: HttpResponse) -> actix_web::Error {
    let id = request_id::current().and_then(|id| HeaderValue::from_str(&id).ok());
    if let Some(id) = id {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    InternalError::from_response("refused before a handler", response).into()
}

/// Replaces an error answer of the framework by the nearest problem.
fn as_problem(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_problem(response.headers()) {
        return response;
    }
    let code = match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
        StatusCode::NOT_ACCEPTABLE => Code::NotAcceptable,
        status if status.is_client_error() => Code::InvalidRequest,
        _ => Code::Internal,
    };
    tracing::warn!(status = status.as_u16(), code = code.slug(), "the framework answered by itself");
    let (request, answered) = response.into_parts();
    let mut problem = Problem::new(code).error_response();
    for (name, value) in answered.headers().iter().filter(|(name, _)| name.as_str().starts_with("access-control-")) {
        problem.headers_mut().insert(name.clone(), value.clone());
    }
    ServiceResponse::new(request, problem)
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(PROBLEM_JSON.as_bytes()))
}
