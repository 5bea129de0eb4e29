//! A call as the lanes see it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::access::{Access, Batching, Origin};
use super::error::CallError;
use super::send_error::SendError;
use crate::aside::LARGE_BYTES;
use crate::budget::{Budget, Held};
use crate::pay::Price;
use crate::payer::Payer;
use crate::telemetry::Current;
use crate::vector::Vector;

/// Time limit of a call. A call that has not begun by then is answered with 503 and never runs.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call failed whose statement did not end in time.
pub(super) const NO_REPLY: &str = "the database did not reply in time";
/// Why a call is refused that may have a large answer.
pub(super) const UNREAD_ANSWERS: &str = "too many large answers have not been read";

/// Bytes of parameters that count as one unit of weight.
const WEIGHT_BYTES: usize = 16 << 10;
/// Values of JSON in the parameters that count as one unit of weight: reading, storing and writing one takes a microsecond
/// and more.
const WEIGHT_VALUES: usize = 32;

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
    /// How much work the method is, in simple calls.
    pub weight: usize,
    /// Its sender.
    pub origin: Origin,
    /// What a write costs: its turn takes it from the credit of the payer. Reads are metered elsewhere. `None`: nothing.
    pub price: Option<Arc<Price>>,
}

impl Command {
    /// The weight of the method and of its parameters.
    fn total_weight(&self) -> usize {
        self.weight + self.params.len() / WEIGHT_BYTES + values(&self.params) / WEIGHT_VALUES
    }
}

/// About how many values a JSON text has: the number of its commas, colons and brackets, outside of texts.
fn values(json: &str) -> usize {
    let (mut count, mut in_text, mut is_escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b',' | b':' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

/// A call on its way to the database.
pub(super) struct Call {
    pub id: u64,
    pub payer: Payer,
    pub command: Command,
    /// How much work it is, in simple calls.
    pub weight: usize,
    pub queued: Instant,
    /// How often its payer was found busy.
    pub busy_tries: u32,
    /// Whether it was in a batch that ended before the call had begun.
    pub is_again: bool,
    /// Whether its batch failed, so that it runs again, alone.
    pub is_rerun: bool,
    /// The request, whose log line has the cause of a failure. `None` for calls of the sweeper.
    pub request: Option<Arc<Current>>,
    pub reply: oneshot::Sender<Result<CallResult, CallError>>,
    /// The budget of answers that wait to be read.
    pub answers: Arc<Budget>,
}

/// The result of a method, as JSON text.
pub(crate) struct CallResult {
    /// The text.
    pub json: String,
    /// The part of the budget that a large result holds until it was sent.
    pub held: Option<Held>,
}

impl CallResult {
    pub(super) fn new(json: String, payer: &Payer, answers: &Arc<Budget>) -> Self {
        let held = (json.len() >= LARGE_BYTES).then(|| answers.hold(payer, json.len()));
        Self { json, held }
    }
}

/// The owner of a share of a lane: the senders of one kind for one payer.
pub(super) type Sender = (Payer, Origin);

impl Call {
    pub fn new(
        id: u64,
        payer: Payer,
        command: Command,
        reply: oneshot::Sender<Result<CallResult, CallError>>,
        answers: Arc<Budget>,
    ) -> Self {
        let weight = command.total_weight();
        let (queued, request) = (Instant::now(), Current::get());
        let (busy_tries, is_again, is_rerun) = (0, false, false);
        Self { id, payer, command, weight, queued, busy_tries, is_again, is_rerun, request, reply, answers }
    }

    /// Whose share it uses.
    pub fn sender(&self) -> Sender {
        (self.payer.clone(), self.command.origin)
    }

    /// Whether a visitor of a link sent it.
    pub fn is_visit(&self) -> bool {
        self.command.origin == Origin::Visitor
    }

    /// Whether a visitor of a link sent it, or a caller who acts for the payer.
    pub fn is_of_guest(&self) -> bool {
        matches!(self.command.origin, Origin::Visitor | Origin::Grantee)
    }

    /// Whether the payer has read enough of its large answers, so that there is room for one more.
    pub fn has_room_for_answer(&self) -> bool {
        self.answers.has_room(&self.payer, LARGE_BYTES)
    }

    /// Waits until the payer has read enough of its large answers. `false` if it has not in time.
    pub async fn room_for_answer(&self) -> bool {
        self.answers.room(&self.payer, LARGE_BYTES).await
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
        let answer = answer.map(|json| CallResult::new(json, &self.payer, &self.answers));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_json_text_are_counted_outside_of_texts() {
        assert_eq!(values(r#"{"a":1,"b":[2,"x,:[{\"y,\"",{}]}"#), 8);
        assert_eq!(values(&serde_json::to_string(&vec![serde_json::json!({"": 0}); 9_000]).unwrap()), 27_000);
        assert_eq!(values(r#""a\\", 1"#), 1);
    }
}
