//! Stopping without cutting anything off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::sync::Notify;

use crate::call::Engine;

/// The requests that are being answered.
#[derive(Default)]
pub struct InFlight {
    count: AtomicUsize,
    draining: AtomicBool,
    none_left: Notify,
}

/// One request that is being answered, until this is dropped.
pub(super) struct Request(Arc<InFlight>);

impl InFlight {
    pub(super) fn enter(self: &Arc<Self>) -> Request {
        self.count.fetch_add(1, Ordering::AcqRel);
        Request(Arc::clone(self))
    }

    /// Whether the server is stopping, so that connections should not be kept for more requests.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
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
    /// Of this server, whose requests are counted here and whose calls run in `engine`.
    #[must_use]
    pub fn new(server: ServerHandle, in_flight: Arc<InFlight>, engine: Arc<Engine>) -> Self {
        Self { server, in_flight, engine }
    }

    /// Takes no more connections, lets requests finish for as long as `patience`, and stops. All threads stay until then:
    /// a request on one may wait for a lane on another.
    pub async fn drain(&self, patience: Duration) {
        self.server.pause().await;
        self.in_flight.draining.store(true, Ordering::Release);
        self.engine.end_waiting();
        let none_left = async {
            loop {
                let left = self.in_flight.none_left.notified();
                if self.in_flight.count.load(Ordering::Acquire) == 0 {
                    return;
                }
                left.await;
            }
        };
        if tokio::time::timeout(patience, none_left).await.is_err() {
            tracing::warn!("requests are still under way; stopping all the same");
        }
        self.server.stop(true).await;
    }

    /// Stops at once.
    pub fn now(&self) {
        // The command is sent before the future is first polled.
        drop(self.server.stop(false));
    }
}
