//! A lane: an inbox with two tasks, each with a connection. One runs batches of light calls, the other one heavy calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::access::{Access, Load};
use super::busy::BusyPath;
use super::call::{CALL_TIMEOUT, Call, UNREAD_ANSWERS};
use super::error::CallError;
use super::inbox::{Inbox, LIGHT_MAX};
use super::metrics::{LaneMetrics, Metrics};
use super::rerun::{SendBatch, run_alone};
use super::send_error::SendError;
use super::statement::{self, BatchResults, Terms};
use crate::db::{self, CONNECT_TIMEOUT, Database, HEAVY_STATEMENT_TIMEOUT, LANE_STATEMENT_TIMEOUT};
use crate::payer::Payer;

/// The result of every call of a payer whose lock another transaction holds.
const BUSY: &str = r#"{"busy":null}"#;
/// The result of a light call that did not begin within the time of its batch.
const AGAIN: &str = r#"{"again":null}"#;
/// How long a light call may run alone after its batch has failed: the other calls of the batch, and heavy calls, wait for it.
/// More than the wait for a row lock, whose end is reported as `payer-busy`.
const RERUN_STATEMENT_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between two attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// A connection that was idle for longer is pinged before it is used. A TCP connection that the database has closed accepts
/// one more write, and then the outcome of that write would be unknown although it never ran.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

/// One task of a lane.
pub(super) struct Lane {
    pub access: Access,
    pub load: Load,
    pub inbox: Arc<Inbox>,
    pub database: Database,
    pub busy: Arc<BusyPath>,
    pub metrics: Arc<Metrics>,
    pub connection: Option<LaneConnection>,
}

/// The connection of a task.
pub(super) struct LaneConnection {
    inner: PgConnection,
    /// When it last replied.
    replied: Instant,
    /// How long a statement may run.
    statement_timeout: Duration,
}

impl Lane {
    /// Runs the calls of the inbox until it is closed and empty.
    pub async fn drive(&mut self) {
        match self.load {
            Load::Light => self.drive_light().await,
            Load::Heavy => self.drive_heavy().await,
        }
    }

    fn metrics(&self) -> &LaneMetrics {
        self.metrics.of(self.access, self.load)
    }

    async fn drive_light(&mut self) {
        while let Some((mut batch, _running)) = self.inbox.take_light().await {
            let started = Instant::now();
            batch.retain(|call| !call.is_abandoned());
            for call in batch.iter().filter(|call| call.busy_tries == 0 && !call.is_again) {
                self.metrics().waited(started - call.queued);
            }
            statement::group(&mut batch);
            if !batch.is_empty() {
                self.process(batch).await;
            }
            self.metrics().occupied(started.elapsed());
        }
    }

    async fn drive_heavy(&mut self) {
        while let Some((call, _running)) = self.inbox.take_heavy().await {
            let started = Instant::now();
            if call.busy_tries == 0 {
                self.metrics().waited(started - call.queued);
            }
            if call.age() > CALL_TIMEOUT.saturating_sub(statement_timeout(&call)) {
                let error = if call.busy_tries > 0 { CallError::PayerBusy } else { CallError::Overloaded };
                call.refuse(error, "the call would not end in time");
            } else if !call.has_room_for_answer() {
                call.refuse(CallError::Overloaded, UNREAD_ANSWERS);
            } else {
                self.process_heavy(call).await;
            }
            self.metrics().occupied(started.elapsed());
        }
    }

    /// Sends a batch of light calls. If it fails, each of its calls runs alone, beside the next batches, so that only the
    /// call at fault fails.
    async fn process(&mut self, batch: Vec<Call>) {
        let started = Instant::now();
        let mut sent = self.send(&batch).await;
        if matches!(sent, Err(SendError::Unsent(_))) {
            // The database restarted while the lane was idle. The second attempt opens a new connection.
            sent = self.send(&batch).await;
        }
        match sent {
            Ok(results) => self.answer(batch, results),
            Err(error @ SendError::NotConnected(_)) => self.refuse_all(batch, &error).await,
            Err(error) => {
                let share = started.elapsed() / u32::try_from(batch.len()).unwrap_or(u32::MAX).max(1);
                self.inbox.ran(batch.iter().map(|call| (call, share, 0)));
                let is_rolled_back = self.access == Access::Read || !matches!(error, SendError::Lost(_));
                if is_rolled_back && (batch.len() > 1 || error.is_timeout() || error.is_transient(self.access)) {
                    return self.inbox.give_back_alone(batch);
                }
                // The outcome is unknown, or a single call would fail again.
                for call in batch {
                    call.fail(self.access, &error);
                }
            }
        }
    }

    async fn process_heavy(&mut self, call: Call) {
        let access = self.access;
        match run_alone(self, access, &call).await {
            None => {}
            Some(Ok(results)) => self.answer(vec![call], results),
            Some(Err(error @ SendError::NotConnected(_))) => self.refuse_all(vec![call], &error).await,
            Some(Err(error)) => call.fail(access, &error),
        }
    }

    /// Takes the connection out of the lane, so that a connection that breaks in use is never used again, or opens one.
    async fn take_connection(&mut self) -> Result<LaneConnection, SendError> {
        if let Some(mut connection) = self.connection.take() {
            if connection.replied.elapsed() < IDLE_TRUSTED {
                return Ok(connection);
            }
            if let Ok(Ok(())) = tokio::time::timeout(CONNECT_TIMEOUT, connection.inner.ping()).await {
                return Ok(connection);
            }
        }
        let inner = self.database.connect().await.map_err(SendError::NotConnected)?;
        Ok(LaneConnection { inner, replied: Instant::now(), statement_timeout: LANE_STATEMENT_TIMEOUT })
    }

    fn answer(&self, batch: Vec<Call>, results: BatchResults) {
        // The calls of a busy payer are neighbours.
        let mut busy: Vec<(Payer, Vec<Call>)> = Vec::new();
        let mut again = Vec::new();
        let mut begun = Duration::ZERO;
        let times = results.ended.iter().map(|ended| {
            // The end of a set is noted at its last call, behind calls of the set that ran later, alone.
            let end = ended.unwrap_or(begun).max(begun);
            end - std::mem::replace(&mut begun, end)
        });
        let ran = batch.iter().zip(times).zip(&results.results);
        self.inbox.ran(ran.map(|((call, time), result)| (call, time, result.len())));
        for (call, result) in batch.into_iter().zip(results.results) {
            if result == AGAIN {
                again.push(call);
            } else if result != BUSY {
                call.answer(Ok(result));
            } else {
                match busy.last_mut().filter(|(payer, _)| *payer == call.payer) {
                    Some((_, calls)) => calls.push(call),
                    None => busy.push((call.payer.clone(), vec![call])),
                }
            }
        }
        if !again.is_empty() {
            self.inbox.give_back(again);
        }
        for (payer, calls) in busy {
            self.busy.postpone(&self.inbox, &payer, calls);
        }
    }

    /// Refuses these calls and all that wait for this task: without a connection none of them can run.
    async fn refuse_all(&mut self, batch: Vec<Call>, error: &SendError) {
        for call in batch.into_iter().chain(self.inbox.take_all(self.load)) {
            call.refuse(CallError::Unavailable, error.to_string());
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// How long the statement of a call may run. The call begins early enough to end before its caller gives up.
fn statement_timeout(call: &Call) -> Duration {
    let is_heavy = call.weight > LIGHT_MAX;
    match call.is_rerun {
        true if !is_heavy => RERUN_STATEMENT_TIMEOUT,
        _ if is_heavy && call.age() + HEAVY_STATEMENT_TIMEOUT <= CALL_TIMEOUT => HEAVY_STATEMENT_TIMEOUT,
        _ => LANE_STATEMENT_TIMEOUT,
    }
}

impl SendBatch for Lane {
    async fn send(&mut self, calls: &[Call]) -> Result<BatchResults, SendError> {
        let mut connection = self.take_connection().await?;
        let sent = Instant::now();
        let terms = match self.load {
            Load::Light => Terms::LIGHT,
            Load::Heavy => Terms::waiting(Duration::ZERO),
        };
        let timeout = calls.iter().map(statement_timeout).max().unwrap_or(LANE_STATEMENT_TIMEOUT);
        let statement = async {
            if connection.statement_timeout != timeout {
                db::limit_statements(&mut connection.inner, timeout).await.map_err(SendError::Unsent)?;
                connection.statement_timeout = timeout;
            }
            statement::execute(&mut connection.inner, self.access, calls, terms).await
        };
        let result = tokio::time::timeout(2 * timeout, statement).await;
        let result = result.unwrap_or_else(|_elapsed| Err(SendError::silence()));
        match &result {
            Ok(results) => self.metrics().ran(calls.len(), results.ran, sent.elapsed()),
            // Each call that fails because of it is logged with its request.
            Err(error) => tracing::debug!(%error, calls = calls.len(), "a batch failed"),
        }
        if !matches!(result, Err(SendError::Lost(_) | SendError::Unsent(_))) {
            connection.replied = Instant::now();
            self.connection = Some(connection);
        }
        result
    }
}
