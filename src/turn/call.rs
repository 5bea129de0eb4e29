//! A call as the lanes see it.

use std::time::Instant;

use tokio::sync::oneshot;
use tracing::Span;

use super::access::{Access, Batching};
use super::error::CallError;
use super::send_error::SendError;
use crate::payer::Payer;
use crate::vector::Vector;

/// Bytes of parameters that count as one unit of weight.
const WEIGHT_BYTES: usize = 16 << 10;

/// What a call does in the database.
#[derive(Clone)]
pub(crate) struct Command {
    /// The name of the method.
    pub method: &'static str,
    /// Whether it writes.
    pub access: Access,
    /// Where it runs.
    pub batching: Batching,
    /// The parameters, as JSON.
    pub params: String,
    /// The conditions (`rpc.write_with_conditions`), as JSON.
    pub conditions: Option<String>,
    /// The query vector of a search. Such a call runs apart.
    pub vector: Option<Vector>,
    /// How much work it is, in simple calls.
    pub weight: usize,
}

impl Command {
    /// The weight of the method and of the size of its parameters.
    pub(super) fn total_weight(&self) -> usize {
        self.weight + self.params.len() / WEIGHT_BYTES
    }
}

/// A call on its way to the database.
pub(super) struct Call {
    pub id: u64,
    pub payer: Payer,
    pub command: Command,
    pub queued: Instant,
    /// The span of the request, so that log lines of other tasks carry its id.
    pub span: Span,
    pub reply: oneshot::Sender<Result<String, CallError>>,
}

impl Call {
    pub fn bytes(&self) -> usize {
        self.command.params.len()
    }

    /// Whether the caller has gone.
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Answers with the failure of a batch in which the call was alone, or whose outcome is unknown.
    pub fn fail(self, access: Access, error: &SendError) {
        let error = self.span.in_scope(|| error.of_call(access, self.command.method));
        self.answer(Err(error));
    }

    pub fn answer(self, answer: Result<String, CallError>) {
        // The caller may have gone.
        let _gone = self.reply.send(answer);
    }
}
