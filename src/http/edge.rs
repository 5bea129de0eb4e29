//! The outermost middleware: every request gets an id and a span, every error answer is a problem.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{ConnectionType, StatusCode, Version};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError as _, web};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::answer_log::{AnswerLog, Answered};
use super::drain::Steps;
use super::metrics::HttpMetrics;
use super::pages;
use super::request_id;
use crate::problem::{Code, PROBLEM_JSON, Problem};
use crate::telemetry::{self, Current};

/// Gives the request its id and its span, measures it and logs it.
///
/// # Errors
/// None of its own.
pub async fn edge(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if request.version() < Version::HTTP_11 {
        // A compressed answer is sent in chunks, which HTTP/1.0 does not know.
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    let current = Current::new(request_id::of(request.headers()));
    let started = Instant::now();
    let metrics = request.app_data::<web::Data<HttpMetrics>>().cloned();
    let log = request.app_data::<web::Data<AnswerLog>>().cloned();
    let steps = request.app_data::<web::Data<Steps>>().cloned();
    let is_stopping = || steps.as_ref().is_some_and(|steps| steps.is_stopping());
    let method = request.method().clone();
    let span = telemetry::request_span(&current.id, method.as_str(), request.headers());
    let answered = |route: Option<String>, status: StatusCode| {
        telemetry::answered(&span, method.as_str(), route.as_deref(), status.as_u16());
        let (facts, elapsed) = (current.take(), started.elapsed());
        if let Some(metrics) = &metrics {
            metrics.answered(&method, route.as_deref(), status, &facts, elapsed);
        }
        if let Some(log) = &log {
            log.answered(&Answered { id: &current.id, method: &method, route, status, facts, elapsed });
        }
    };
    let mut response = match current.scope(next.call(request)).instrument(span.clone()).await {
        Ok(response) => response,
        Err(refused) => {
            answered(None, refused.as_response_error().status_code());
            let mut answer = refused.error_response();
            if is_stopping() {
                answer.head_mut().set_connection_type(ConnectionType::Close);
            }
            return Err(InternalError::from_response("refused before a handler", answer).into());
        }
    };
    if let Ok(id) = HeaderValue::from_str(&current.id) {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(policy) = pages::policy(response.request()) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    if pages::is_part_of_docs(response.request().path()) {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    }
    if is_stopping() {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    answered(response.request().match_pattern(), response.status());
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
        // The hook of the program has noted the cause.
        Err(_panic) => Err(written(Problem::new(Code::Internal).error_response())),
    }
}

fn written(mut response: HttpResponse) -> actix_web::Error {
    let id = telemetry::current_id().and_then(|id| HeaderValue::from_str(&id).ok());
    if let Some(id) = id {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    InternalError::from_response("refused before a handler", response).into()
}

/// Replaces an error answer of the framework by the nearest problem.
fn as_problem(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_ours(response.headers()) {
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
    telemetry::because(format!("the framework answered {status} by itself"));
    let (request, answered) = response.into_parts();
    let mut problem = Problem::new(code).error_response();
    for (name, value) in answered.headers().iter().filter(|(name, _)| name.as_str().starts_with("access-control-")) {
        problem.headers_mut().insert(name.clone(), value.clone());
    }
    ServiceResponse::new(request, problem)
}

/// Whether the answer is a problem, or a page for people.
fn is_ours(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).map(|media| media.as_bytes());
    media.is_some_and(|media| media.starts_with(PROBLEM_JSON.as_bytes()) || media.starts_with(b"text/html"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use actix_web::middleware::from_fn;
    use actix_web::{App, test};

    use super::*;

    /// The lines of a log.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn panics() -> HttpResponse {
        panic!("the reason of the panic")
    }

    async fn fails() -> Result<HttpResponse, actix_web::Error> {
        Err(actix_web::error::ErrorInternalServerError("broken"))
    }

    #[actix_web::test]
    async fn a_panic_and_an_error_of_the_framework_are_one_line_each_with_id_and_cause() {
        let log = Log::default();
        let lines = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || lines.clone()).with_ansi(false).finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        // Panics of other tests print as before.
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            telemetry::log_panic(panic);
            print(panic);
        }));
        let app = test::init_service(
            App::new()
                .app_data(web::Data::new(AnswerLog::new(false)))
                .route("/panics", web::get().to(panics))
                .route("/fails", web::get().to(fails))
                .wrap(from_fn(problems))
                .wrap(from_fn(edge)),
        )
        .await;
        for (path, cause) in [("/panics", "the reason of the panic"), ("/fails", "500 Internal Server Error")] {
            let request = test::TestRequest::get().uri(path).insert_header(("x-request-id", "my-id")).to_request();
            let status = match test::try_call_service(&app, request).await {
                Ok(response) => response.status(),
                Err(error) => error.error_response().status(),
            };
            assert_eq!(status, 500);
            let text = String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
            assert_eq!(text.lines().count(), 1, "{text}");
            for part in ["ERROR", "my-id", "status=500", "code=\"internal\"", cause] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}
