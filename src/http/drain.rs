//! Graceful stop.
//!
//! 1. The server announces its end: `/readyz` answers 503, every answer closes its connection, and everything is served.
//! 2. The listener closes. Connections that are open are served once more.
//! 3. Idle connections are closed, requests in progress finish, and what the server has written and refused is noted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::Engine;
use crate::sweeper::note_all;

/// Maximum number of connections.
const CONNECTIONS_MAX: u32 = 25_000;
/// How long an idle connection may still send a request after the listener has closed.
const LAST_CALL: Duration = Duration::from_millis(500);

/// Time for the notes of what payers wrote and were refused.
const NOTES_TIME: Duration = Duration::from_secs(1);

/// The steps of a stop, in their order, and the open connections.
pub struct Steps {
    /// Begins the stop.
    announced: CancellationToken,
    /// Closes the listener.
    pub(super) listener_closes: CancellationToken,
    /// The listener is closed.
    pub(super) listener_closed: CancellationToken,
    /// Closes idle connections.
    pub(super) idle_close: CancellationToken,
    /// Ends the threads.
    pub(super) ended: CancellationToken,
    /// One permit for each connection.
    connections: Arc<Semaphore>,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            announced: CancellationToken::new(),
            listener_closes: CancellationToken::new(),
            listener_closed: CancellationToken::new(),
            idle_close: CancellationToken::new(),
            ended: CancellationToken::new(),
            connections: Arc::new(Semaphore::new(usize::try_from(CONNECTIONS_MAX).unwrap_or_default())),
        }
    }
}

impl Steps {
    /// Whether the server is stopping: it is not ready, and connections should be closed.
    pub(super) fn is_stopping(&self) -> bool {
        self.announced.is_cancelled()
    }

    /// Waits until one more connection may be open. `None` when the listener closes.
    pub(super) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            () = self.listener_closes.cancelled() => None,
            open = Arc::clone(&self.connections).acquire_owned() => open.ok(),
        }
    }

    /// Like [`Steps::admit`], without waiting. `None` if too many connections are open.
    pub(super) fn admit_now(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// Waits until all connections are closed.
    async fn disconnected(&self) {
        let _all = self.connections.acquire_many(CONNECTIONS_MAX).await;
    }
}

/// Stops a server.
#[derive(Clone)]
pub struct Stop {
    steps: Arc<Steps>,
    engine: Arc<Engine>,
}

impl Stop {
    /// Stops the server of these `steps`, whose calls run in `engine`.
    #[must_use]
    pub fn new(steps: Arc<Steps>, engine: Arc<Engine>) -> Self {
        Self { steps, engine }
    }

    /// Announces the stop for some time, then finishes all requests. Takes `timeout` in all at most. All threads run until the
    /// end: a request on one thread may need a lane on another.
    pub async fn drain(&self, announcement: Duration, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let steps = &self.steps;
        steps.announced.cancel();
        tokio::time::sleep(announcement).await;
        steps.listener_closes.cancel();
        steps.listener_closed.cancelled().await;
        self.engine.end_waiting();
        let _elapsed = tokio::time::timeout(LAST_CALL, steps.disconnected()).await;
        steps.idle_close.cancel();
        if tokio::time::timeout_at(deadline - NOTES_TIME.min(timeout / 4), steps.disconnected()).await.is_err() {
            tracing::warn!("stopping although requests are in progress");
        }
        // The lanes run on the threads that end next.
        if tokio::time::timeout_at(deadline, note_all(&self.engine)).await.is_err() {
            tracing::warn!("stopping although not all that payers wrote, or were refused, is noted");
        }
        steps.ended.cancel();
    }

    /// Stops at once.
    pub fn now(&self) {
        self.steps.announced.cancel();
        self.steps.listener_closes.cancel();
        self.steps.ended.cancel();
    }
}
