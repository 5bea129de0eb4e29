//! Faults that a test switches on in a stub facilitator.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::settle::Answer;

/// What goes wrong in `POST /settle`.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Settles and answers after this time.
    DelayBeforeSettling(Duration),
    /// Neither settles nor answers before [`release`](super::StubFacilitator::release).
    HangBeforeSettling,
    /// Settles, and does not answer before [`release`](super::StubFacilitator::release).
    HangAfterSettling,
    /// Answers 502 with HTML, and does not settle.
    BadGatewayBeforeSettling,
    /// Settles, and answers 502 with HTML.
    BadGatewayAfterSettling,
    /// Answers 503 with the body of a success, and does not settle.
    UnavailableWithSuccess,
    /// Settles, and answers 200 with the first half of the JSON.
    CutJsonAfterSettling,
    /// Answers 500 with `settlement_pending`. The transaction gets a block after this time. `None` waits for
    /// [`mine`](super::StubChain::mine). The next settlement of the same payload waits for the same transaction, unless
    /// the facilitator was stopped.
    Pending(Option<Duration>),
    /// Answers a success while the transaction waits for [`mine`](super::StubChain::mine).
    SuccessBeforeBlock,
    /// Settles, and closes the connection without an answer.
    DropAfterSettling,
    /// Settles, and closes the connection after the JSON of a success, before the answer is complete.
    DropAfterSuccess,
    /// Settles, and answers a success that names another payer.
    OtherPayer,
    /// Answers 401, and does not settle.
    Unauthorized,
    /// Answers 429 with `Retry-After` in seconds, and does not settle.
    TooManyRequests(u32),
    /// Redirects to another path of the stub, and does not settle.
    Redirect,
}

/// The faults of the next settlements.
#[derive(Default)]
pub struct Faults {
    next: VecDeque<Fault>,
    always: Option<Fault>,
}

impl Faults {
    pub fn push(&mut self, count: usize, fault: &Fault) {
        self.next.extend(std::iter::repeat_n(fault, count).cloned());
    }

    pub fn set(&mut self, fault: Fault) {
        self.always = Some(fault);
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn take(&mut self) -> Option<Fault> {
        self.next.pop_front().or_else(|| self.always.clone())
    }
}

impl Fault {
    /// The answer of a fault that does not settle.
    pub fn refusal(&self, network: &Value) -> Option<HttpResponse> {
        let json = |status: HttpResponseBuilder, error: &str| Some({ status }.json(json!({"error": error})));
        match self {
            Self::BadGatewayBeforeSettling => Some(bad_gateway()),
            Self::UnavailableWithSuccess => {
                let transaction = format!("0x{}", "ab".repeat(32));
                let body = json!({"success": true, "transaction": transaction, "network": network});
                Some(HttpResponse::ServiceUnavailable().json(body))
            }
            Self::Unauthorized => json(HttpResponse::Unauthorized(), "the stub does not know this caller"),
            Self::TooManyRequests(seconds) => {
                let mut status = HttpResponse::TooManyRequests();
                status.insert_header(("retry-after", seconds.to_string()));
                json(status, "the stub got too many requests")
            }
            Self::Redirect => {
                let mut status = HttpResponse::TemporaryRedirect();
                Some(status.insert_header(("location", "/elsewhere/settle")).finish())
            }
            Self::DelayBeforeSettling(_)
            | Self::HangBeforeSettling
            | Self::HangAfterSettling
            | Self::BadGatewayAfterSettling
            | Self::CutJsonAfterSettling
            | Self::Pending(_)
            | Self::SuccessBeforeBlock
            | Self::DropAfterSettling
            | Self::DropAfterSuccess
            | Self::OtherPayer => None,
        }
    }

    /// What becomes of the answer of a settlement.
    pub fn spoil(&self, answer: Answer) -> HttpResponse {
        let text = answer.body.to_string();
        match self {
            Self::BadGatewayAfterSettling => bad_gateway(),
            Self::CutJsonAfterSettling => {
                let half = text[..text.len() / 2].to_owned();
                HttpResponse::Ok().content_type("application/json").body(half)
            }
            Self::DropAfterSettling => broken(None),
            Self::DropAfterSuccess => broken(Some(text)),
            Self::OtherPayer => {
                let mut body = answer.body;
                body["payer"] = format!("0x{}", "0e".repeat(20)).into();
                HttpResponse::Ok().json(body)
            }
            Self::DelayBeforeSettling(_)
            | Self::HangBeforeSettling
            | Self::HangAfterSettling
            | Self::BadGatewayBeforeSettling
            | Self::UnavailableWithSuccess
            | Self::Pending(_)
            | Self::SuccessBeforeBlock
            | Self::Unauthorized
            | Self::TooManyRequests(_)
            | Self::Redirect => answer.respond(),
        }
    }
}

impl Answer {
    /// The HTTP response.
    pub fn respond(self) -> HttpResponse {
        HttpResponse::build(StatusCode::from_u16(self.status).unwrap()).json(self.body)
    }
}

fn bad_gateway() -> HttpResponse {
    let html = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";
    HttpResponse::BadGateway().content_type("text/html").body(html)
}

/// An answer whose connection closes before its end: after a text, or at once.
fn broken(text: Option<String>) -> HttpResponse {
    let length = text.as_ref().map_or(1, |text| text.len() + 1);
    let has_begun = text.is_some();
    let end = stream::once(async move {
        // The server sends what it has before it polls again.
        if has_begun {
            tokio::task::yield_now().await;
        }
        Err(std::io::Error::other("the stub closes the connection"))
    });
    let begin = stream::iter(text.map(|text| Ok(Bytes::from(text))));
    let body = SizedStream::new(u64::try_from(length).unwrap(), Box::pin(begin.chain(end)));
    HttpResponse::Ok().content_type("application/json").body(body)
}
