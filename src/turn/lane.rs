//! A lane: one task with one connection and one inbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::access::Access;
use super::busy::BusyPath;
use super::call::Call;
use super::error::CallError;
use super::inbox::Inbox;
use super::metrics::Metrics;
use super::rerun::{SendBatch, run_alone};
use super::send_error::SendError;
use super::statement::{self, BatchResults, SILENCE_MAX};
use crate::db::{CONNECT_TIMEOUT, Database};
use crate::payer::Payer;

/// The result of every call of a payer whose lock another transaction holds.
const BUSY: &str = r#"{"busy":null}"#;
/// Pause between two attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// A connection that was idle for longer is pinged before it is used. A TCP connection that the database has closed accepts
/// one more write, and then the outcome of that write would be unknown although it never ran.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

pub(super) struct Lane {
    pub access: Access,
    pub inbox: Arc<Inbox>,
    pub database: Database,
    pub busy: Arc<BusyPath>,
    pub metrics: Arc<Metrics>,
    pub connection: Option<PgConnection>,
    /// When the connection last replied.
    pub replied: Instant,
}

impl Lane {
    /// Processes batches until the inbox is closed and empty.
    pub async fn drive(&mut self) {
        while let Some(mut batch) = self.inbox.take().await {
            let started = Instant::now();
            batch.retain(|call| !call.is_abandoned());
            for call in batch.iter().filter(|call| call.busy_tries == 0) {
                self.metrics.waited(self.access, started - call.queued);
            }
            statement::sort(&mut batch);
            if !batch.is_empty() {
                self.process(batch).await;
            }
            self.metrics.occupied(self.access, started.elapsed());
        }
    }

    /// Sends a batch until each of its calls is answered.
    async fn process(&mut self, batch: Vec<Call>) {
        let mut sent = self.send(&batch).await;
        if matches!(sent, Err(SendError::Unsent(_))) {
            // The database restarted while the lane was idle. The second attempt opens a new connection.
            sent = self.send(&batch).await;
        }
        match sent {
            Ok(results) => self.answer(batch, results),
            Err(error @ SendError::NotConnected(_)) => self.refuse_all(batch, &error).await,
            Err(error) => {
                let is_rolled_back = self.access == Access::Read || !matches!(error, SendError::Lost(_));
                if is_rolled_back && (batch.len() > 1 || error.is_transient(self.access)) {
                    return self.rerun_one_by_one(batch).await;
                }
                // The outcome is unknown, or a single call would fail again.
                for call in batch {
                    call.fail(self.access, &error);
                }
            }
        }
    }

    /// Runs each call of a failed batch alone, so that only the call at fault fails.
    async fn rerun_one_by_one(&mut self, batch: Vec<Call>) {
        let mut left = VecDeque::from(batch);
        while let Some(call) = left.pop_front() {
            let access = self.access;
            match run_alone(self, access, &call).await {
                None => {}
                Some(Ok(results)) => self.answer(vec![call], results),
                Some(Err(error @ SendError::NotConnected(_))) => {
                    left.push_front(call);
                    return self.refuse_all(left.into(), &error).await;
                }
                Some(Err(error)) => call.fail(access, &error),
            }
        }
    }

    /// Takes the connection out of the lane, so that a connection that breaks in use is never used again, or opens one.
    async fn take_connection(&mut self) -> Result<PgConnection, SendError> {
        if let Some(mut connection) = self.connection.take() {
            if self.replied.elapsed() < IDLE_TRUSTED {
                return Ok(connection);
            }
            if let Ok(Ok(())) = tokio::time::timeout(CONNECT_TIMEOUT, connection.ping()).await {
                return Ok(connection);
            }
        }
        self.database.connect().await.map_err(SendError::NotConnected)
    }

    fn answer(&self, batch: Vec<Call>, results: BatchResults) {
        // The batch is sorted by payer, so the calls of a busy payer are neighbours.
        let mut busy: Vec<(Payer, Vec<Call>)> = Vec::new();
        for (call, result) in batch.into_iter().zip(results.results) {
            if result != BUSY {
                call.answer(Ok(result));
                continue;
            }
            match busy.last_mut().filter(|(payer, _)| *payer == call.payer) {
                Some((_, calls)) => calls.push(call),
                None => busy.push((call.payer.clone(), vec![call])),
            }
        }
        for (payer, calls) in busy {
            self.busy.postpone(&self.inbox, &payer, calls);
        }
    }

    /// Refuses these calls and all that wait: without a connection none of them can run.
    async fn refuse_all(&mut self, batch: Vec<Call>, error: &SendError) {
        for call in batch.into_iter().chain(self.inbox.take_all()) {
            call.refuse(CallError::Unavailable, error.to_string());
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

impl SendBatch for Lane {
    async fn send(&mut self, calls: &[Call]) -> Result<BatchResults, SendError> {
        let mut connection = self.take_connection().await?;
        let sent = Instant::now();
        let statement = statement::execute(&mut connection, self.access, calls, Duration::ZERO);
        let result = match tokio::time::timeout(SILENCE_MAX, statement).await {
            Ok(result) => result,
            Err(_elapsed) => Err(SendError::silence()),
        };
        match &result {
            Ok(results) => self.metrics.ran(self.access, calls.len(), results.ran, sent.elapsed()),
            // Each call that fails because of it is logged with its request.
            Err(error) => tracing::debug!(%error, calls = calls.len(), "a batch failed"),
        }
        if !matches!(result, Err(SendError::Lost(_) | SendError::Unsent(_))) {
            self.connection = Some(connection);
            self.replied = Instant::now();
        }
        result
    }
}
