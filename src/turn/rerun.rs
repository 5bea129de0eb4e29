//! Runs a call of a failed batch alone.

use super::access::Access;
use super::call::Call;
use super::send_error::SendError;
use super::statement::BatchResults;

/// How often a call is run again after a deadlock, a serialisation failure or a move to another node. Routes are read once,
/// at the start of the server, and name one node, so a moved call goes to the same node again.
const RERUNS_MAX: usize = 3;

/// A connection, or a pool, that sends batches.
pub(super) trait SendBatch {
    /// Sends a batch and waits for its results.
    fn send(&mut self, calls: &[Call]) -> impl Future<Output = Result<BatchResults, SendError>> + Send;
}

/// Runs a call in a batch of its own, and again after a transient failure, so that only the call at fault fails. `None` if
/// the caller has its answer already: a caller that was told `outcome-unknown` must not see the effect much later.
pub(super) async fn run_alone(
    sender: &mut impl SendBatch,
    access: Access,
    call: &Call,
) -> Option<Result<BatchResults, SendError>> {
    let mut reruns = 0;
    while !call.is_abandoned() {
        match sender.send(std::slice::from_ref(call)).await {
            Err(error) if error.is_transient(access) && reruns < RERUNS_MAX => reruns += 1,
            result => return Some(result),
        }
    }
    None
}
