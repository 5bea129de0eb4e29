//! From what came of a call to the answer.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError as _};
use serde::Serialize;

use crate::call::Answer;
use crate::problem::{Code, Problem};

/// Says that an answer is the one to an earlier request with the same idempotency key.
pub const IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("idempotent-replay");

/// 200 with the output, or 204 if there is none to speak of.
impl<T: Serialize> Responder for Answer<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(StatusCode::OK, &self)
    }
}

/// An answer with status 201: the call made something.
pub struct Created<T>(pub Answer<T>);

impl<T: Serialize> Responder for Created<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(StatusCode::CREATED, &self.0)
    }
}

fn respond<T: Serialize>(status: StatusCode, answer: &Answer<T>) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if answer.is_replay {
        response.insert_header((IDEMPOTENT_REPLAY, HeaderValue::from_static("true")));
    }
    match serde_json::to_string(&answer.output) {
        Ok(body) if body == "null" => response.status(StatusCode::NO_CONTENT).finish(),
        Ok(body) => response.content_type("application/json").body(body),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            Problem::new(Code::Internal).error_response()
        }
    }
}
