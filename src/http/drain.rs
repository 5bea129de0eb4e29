//! Graceful stop.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::call::Engine;

/// The requests in progress.
#[derive(Default)]
pub struct InFlight(TaskTracker);

impl InFlight {
    /// A request is in progress until the token is dropped.
    pub(super) fn enter(&self) -> TaskTrackerToken {
        self.0.token()
    }

    /// Whether the server is stopping, so that connections should be closed.
    pub(super) fn is_draining(&self) -> bool {
        self.0.is_closed()
    }
}

/// Stops a server.
#[derive(Clone)]
pub struct Stop {
    server: ServerHandle,
    in_flight: Arc<InFlight>,
    engine: Arc<Engine>,
}

impl Stop {
    /// Stops `server`, whose requests are counted in `in_flight` and whose calls run in `engine`.
    #[must_use]
    pub fn new(server: ServerHandle, in_flight: Arc<InFlight>, engine: Arc<Engine>) -> Self {
        Self { server, in_flight, engine }
    }

    /// Accepts no more connections, waits up to `patience` for requests to finish, and stops. All threads run until then: a
    /// request on one thread may need a lane on another.
    pub async fn drain(&self, patience: Duration) {
        self.server.pause().await;
        self.in_flight.0.close();
        self.engine.end_waiting();
        if tokio::time::timeout(patience, self.in_flight.0.wait()).await.is_err() {
            tracing::warn!("stopping although requests are in progress");
        }
        self.server.stop(true).await;
    }

    /// Stops at once.
    pub fn now(&self) {
        // The command is sent before the future is first polled.
        drop(self.server.stop(false));
    }
}
