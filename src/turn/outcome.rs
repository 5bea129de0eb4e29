//! How a call can end, apart from well.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::problem::{Code, Problem};

/// Why a call has no answer from its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Too much waits already, or the call waited too long. It has not run.
    Overloaded,
    /// The payer's lock did not come free in time. It has not run.
    PayerBusy,
    /// The database cannot be reached, or the server is stopping. It has not run.
    Unavailable,
    /// It was sent, and the connection broke before the database said that it is committed.
    Unknown,
    /// The database refused it: a bug of ours.
    Refused,
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::new(match failure {
            Failure::Overloaded => Code::Overloaded,
            Failure::PayerBusy => Code::PayerBusy,
            Failure::Unavailable => Code::DatabaseUnavailable,
            Failure::Unknown => Code::OutcomeUnknown,
            Failure::Refused => Code::Internal,
        })
    }
}

/// What a method in SQL answers: every expected outcome is data.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome<T> {
    Ok(T),
    /// What an earlier call with the same idempotency key was answered.
    Replay(T),
    Problem(Map<String, Value>),
}

/// What the turn answers for a payer whose lock is taken, instead of running the call.
pub(super) const BUSY: &str = r#"{"busy":null}"#;
