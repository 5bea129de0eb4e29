//! From a result or a problem to the answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use serde::Serialize;
use serde_json::Value;

use crate::budget::Held;
use crate::call::{Answer, Created, FileAnswer};
use crate::problem::{Code, PROBLEM_JSON, Problem};
use crate::telemetry::{self, because};

/// Header of an answer that was made for an earlier request with the same idempotency key.
pub const IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("idempotent-replay");

/// 200 with the result, or 204 without one.
impl<T: Serialize> Responder for Answer<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(StatusCode::OK, self)
    }
}

/// 201 with the result.
impl<T: Serialize> Responder for Created<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(StatusCode::CREATED, self.0)
    }
}

/// A large answer on its way. It holds its part of the budget until it is sent.
struct LargeBody {
    rest: Bytes,
    _held: Option<Held>,
}

/// Bytes of a large answer that are written at once.
const CHUNK_BYTES: usize = 32 << 10;

impl MessageBody for LargeBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(u64::try_from(self.rest.len()).unwrap_or_default())
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let count = self.rest.len().min(CHUNK_BYTES);
        Poll::Ready((count > 0).then(|| Ok(self.rest.split_to(count))))
    }
}

/// 200 with the file.
impl Responder for FileAnswer {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let name = format!("attachment; filename=\"{}\"", self.name);
        HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .insert_header((header::CONTENT_DISPOSITION, name))
            .content_type(self.media_type)
            .body(LargeBody { rest: self.bytes.into(), _held: self.held })
    }
}

fn respond<T: Serialize>(status: StatusCode, answer: Answer<T>) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    // Answers are private, and some have secrets.
    response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    if answer.is_replay {
        response.insert_header((IDEMPOTENT_REPLAY, HeaderValue::from_static("true")));
    }
    if let Some(json) = answer.json {
        let body = LargeBody { rest: json.into(), _held: answer.held };
        return response.content_type("application/json").body(body);
    }
    match answer.integers.to_json(&answer.output) {
        Ok(body) if body == "null" => response.status(StatusCode::NO_CONTENT).finish(),
        Ok(body) => response.content_type("application/json").body(body),
        Err(error) => {
            because(format!("the answer cannot be written: {error}"));
            Problem::new(Code::Internal).error_response()
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code().status()
    }

    fn error_response(&self) -> HttpResponse {
        let code = self.code();
        telemetry::refused(code);
        let mut response = HttpResponse::build(code.status());
        response.insert_header((header::CONTENT_TYPE, PROBLEM_JSON));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if code.status() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"payerbase\""));
        }
        if let Some(seconds) = code.retry_after_s() {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = self.allow() {
            response.insert_header((header::ALLOW, allow.clone()));
        }
        response.body(Value::Object(self.body(telemetry::current_id())).to_string())
    }
}
