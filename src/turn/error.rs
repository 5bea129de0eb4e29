//! How a call ends without an answer from its method.

use crate::problem::{Code, Problem};

/// Why a call has no answer from its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The queue is full, or the call waited too long. It did not run.
    Overloaded,
    /// The payer's lock was not free in time. The call did not run.
    PayerBusy,
    /// The database is unreachable, or the server is stopping. The call did not run.
    Unavailable,
    /// The database has no disk space, memory or connections left. The call did not run, or was rolled back.
    Exhausted,
    /// The connection broke after the call was sent and before the database confirmed the commit.
    OutcomeUnknown,
    /// The database refused the call: a bug in payerbase.
    Refused,
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        Self::new(match error {
            CallError::Overloaded => Code::Overloaded,
            CallError::PayerBusy => Code::PayerBusy,
            CallError::Unavailable => Code::DatabaseUnavailable,
            CallError::Exhausted => Code::DatabaseExhausted,
            CallError::OutcomeUnknown => Code::OutcomeUnknown,
            CallError::Refused => Code::Internal,
        })
    }
}
