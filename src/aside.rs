//! Work on large requests and large answers, on threads of its own: the threads that serve HTTP go on with small ones.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tracing::Span;

use crate::payer::Payer;
use crate::payer_limit::PayerLimit;

/// From this size on, in bytes, a request or an answer is large: reading or writing its JSON takes half a millisecond and more.
pub(crate) const LARGE_BYTES: usize = 32 << 10;
/// Number of tasks of one payer that run or wait.
const ADMITTED_MAX: usize = 1_024;

/// The threads for large requests and answers. A payer uses one of them at a time, so that the payers take turns.
pub(crate) struct Aside {
    threads: Arc<Semaphore>,
    payers: PayerLimit,
}

/// The work was not done: the payer has too much of it, or the server stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotDone;

impl Aside {
    /// One thread for every two cores: the database needs the others.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { threads: Arc::new(Semaphore::new(cores.div_ceil(2))), payers: PayerLimit::new(1, ADMITTED_MAX) }
    }

    /// Does work on a request or an answer of this size: at once if it is small.
    pub async fn run<T: Send + 'static>(
        &self,
        payer: &Payer,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        if bytes < LARGE_BYTES {
            return Ok(work());
        }
        let permit = self.payers.admit(payer).map_err(|_too_many| NotDone)?;
        let running = permit.ready().await;
        let thread = Arc::clone(&self.threads).acquire_owned().await;
        let span = Span::current();
        let done = tokio::task::spawn_blocking(move || {
            let done = span.in_scope(work);
            drop((thread, running, permit));
            done
        });
        match done.await {
            Ok(done) => Ok(done),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_stopped) => Err(NotDone),
        }
    }
}
