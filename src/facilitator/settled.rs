//! What became of a settlement, and errors of a facilitator.

use std::time::Duration;

use crate::x402::Outcome;

/// The result of a settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The answer.
    pub answer: Answer,
    /// A text for the log: the status and the code of the answer, or why there is none. It contains no URL, no part of
    /// the payment and no message of the facilitator.
    pub reason: String,
}

/// The answer of a facilitator to `POST /settle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What its answer means. A success for another network or of another payer is [`Outcome::Unknown`].
    Outcome(Outcome),
    /// It refused the request, because there are too many (429). No money has moved.
    Limited {
        /// How long to wait before a retry, at most one minute. `None`: it does not say.
        retry_after: Option<Duration>,
    },
    /// The payment was not sent: no connection was made. No money has moved.
    NotSent,
    /// The payment may have been sent, and no whole answer came in time. The money may have arrived.
    Missing,
}

impl Settled {
    pub(super) fn new(answer: Answer, reason: impl Into<String>) -> Self {
        Self { answer, reason: reason.into() }
    }
}

/// A facilitator did not say what it supports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FacilitatorError {
    /// No connection, or no answer in time.
    #[error("the facilitator can't be reached: {0}")]
    Unreachable(String),
    /// An answer with another status than 200.
    #[error("the facilitator answered with status {0}")]
    Status(u16),
    /// The body is cut or too large.
    #[error("the facilitator's answer can't be read: {0}")]
    Body(String),
    /// The body has another form.
    #[error("the facilitator's answer is not that of x402 to GET /supported")]
    Malformed,
}
