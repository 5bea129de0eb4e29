//! A call as the lanes see it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::access::{Access, Batching};
use super::error::CallError;
use super::send_error::SendError;
use crate::payer::Payer;
use crate::telemetry::Current;
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
    /// Whether a visitor of a link sent it, who has no token.
    pub is_visit: bool,
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
    /// How often its payer was found busy.
    pub busy_tries: u32,
    /// The request, whose log line has the cause of a failure. `None` for calls of the sweeper.
    pub request: Option<Arc<Current>>,
    pub reply: oneshot::Sender<Result<String, CallError>>,
}

/// Who has a share of a lane: a payer, and apart from it the visitors of its links.
pub(super) type Sender = (Payer, bool);

impl Call {
    /// Whose share it uses.
    pub fn sender(&self) -> Sender {
        (self.payer.clone(), self.command.is_visit)
    }

    pub fn bytes(&self) -> usize {
        self.command.params.len()
    }

    /// Time since it arrived.
    pub fn age(&self) -> Duration {
        self.queued.elapsed()
    }

    /// Whether the caller has gone.
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Answers with the failure of a batch in which the call was alone, or whose outcome is unknown.
    pub fn fail(self, access: Access, error: &SendError) {
        let ended = error.of_call(access);
        let cause = format!("{}: {error}", self.command.method);
        self.refuse(ended, cause);
    }

    /// Answers with a failure. Callers never see the cause.
    pub fn refuse(self, error: CallError, cause: impl Into<Cow<'static, str>>) {
        because(self.request.as_deref(), error, cause);
        self.answer(Err(error));
    }

    pub fn answer(self, answer: Result<String, CallError>) {
        // The caller may have gone.
        let _gone = self.reply.send(answer);
    }
}

/// Tells the request, or the log if there is none, why its call fails.
pub(super) fn because(request: Option<&Current>, error: CallError, cause: impl Into<Cow<'static, str>>) {
    let cause = cause.into();
    match request {
        Some(request) => request.because(cause),
        None if error == CallError::Refused => tracing::error!(%cause, "the database refused a call of the sweeper"),
        None => tracing::debug!(%cause, ?error, "a call of the sweeper failed"),
    }
}
