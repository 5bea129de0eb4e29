//! A lane: one task, one connection, one queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::busy::BusyPath;
use super::metrics::Metrics;
use super::outcome::{BUSY, Failure};
use super::queue::{Call, Queue};
use super::statement::{self, Answers, Fault, Kind};
use crate::auth::Payer;
use crate::db::{CONNECT_TIMEOUT, Database, LANE_STATEMENT_TIMEOUT};

/// How long after a failed attempt the next one is made to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// How often a call that met a deadlock, a serialisation failure or a move to another node is run again. Routes are read
/// when the server starts and name one node, so a moved call is sent to the same one again.
const RERUNS_MAX: usize = 3;
/// A connection that has been idle for longer is asked whether it still stands before anything is sent. Over TCP, one that
/// the database has closed takes a write like any other, and then nobody can say that it never ran.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);
/// After this long without a word the connection counts as broken: the database cancels its statements sooner.
pub(super) const SILENCE_MAX: Duration = LANE_STATEMENT_TIMEOUT.saturating_mul(2);

pub(super) struct Lane {
    pub kind: Kind,
    pub queue: Arc<Queue>,
    pub database: Database,
    pub busy: Arc<BusyPath>,
    pub metrics: Arc<Metrics>,
    pub connection: Option<PgConnection>,
    /// When the connection was last heard of.
    pub heard: Instant,
}

impl Lane {
    /// Runs what the queue gives until it is closed and empty.
    pub async fn run(&mut self) {
        while let Some(mut batch) = self.queue.take().await {
            let started = Instant::now();
            batch.retain(|call| !call.reply.is_closed());
            for call in &batch {
                self.metrics.waited(self.kind, started - call.queued);
            }
            batch.sort_by(|a, b| a.payer.cmp(&b.payer));
            if !batch.is_empty() {
                self.settle(batch).await;
            }
            self.metrics.occupied(self.kind, started.elapsed());
        }
    }

    /// Sees to it that every call of the batch gets its answer.
    async fn settle(&mut self, batch: Vec<Call>) {
        let mut attempt = self.attempt(&batch).await;
        if matches!(attempt, Err(Attempt::Fault(Fault::Unsent(_)))) {
            // The database was restarted while the lane had nothing to do: the next attempt connects anew.
            attempt = self.attempt(&batch).await;
        }
        match attempt {
            Ok(answers) => self.answer(batch, answers),
            Err(Attempt::Unconnected) => self.refuse_all(batch).await,
            Err(Attempt::Fault(fault)) => {
                let is_rolled_back = self.kind == Kind::Read || !matches!(fault, Fault::Lost(_));
                if is_rolled_back && (batch.len() > 1 || fault.is_transient(self.kind)) {
                    return self.settle_one_by_one(batch).await;
                }
                // Nobody knows what became of it, or it stands alone and would fail again.
                for call in batch {
                    let failure = fault.end(self.kind, call.method);
                    call.answer(Err(failure));
                }
            }
        }
    }

    /// Runs a batch that failed again, each call for itself, so that only the culprit fails.
    async fn settle_one_by_one(&mut self, batch: Vec<Call>) {
        let mut left = VecDeque::from(batch);
        while let Some(call) = left.pop_front() {
            let mut reruns = 0;
            // Who has been told that the outcome is unknown must not see it happen much later.
            while !call.reply.is_closed() {
                match self.attempt(std::slice::from_ref(&call)).await {
                    Ok(answers) => self.answer(vec![call], answers),
                    Err(Attempt::Unconnected) => {
                        left.push_front(call);
                        return self.refuse_all(left.into()).await;
                    }
                    Err(Attempt::Fault(fault)) if fault.is_transient(self.kind) && reruns < RERUNS_MAX => {
                        reruns += 1;
                        continue;
                    }
                    Err(Attempt::Fault(fault)) => {
                        let failure = fault.end(self.kind, call.method);
                        call.answer(Err(failure));
                    }
                }
                break;
            }
        }
    }

    /// Takes the lane's connection, so that one that breaks in use is never used again, or makes one.
    async fn take_connection(&mut self) -> Result<PgConnection, Attempt> {
        if let Some(mut connection) = self.connection.take() {
            if self.heard.elapsed() < IDLE_TRUSTED {
                return Ok(connection);
            }
            if let Ok(Ok(())) = tokio::time::timeout(CONNECT_TIMEOUT, connection.ping()).await {
                return Ok(connection);
            }
        }
        self.database.connect().await.map_err(|error| {
            tracing::warn!(%error, "a lane cannot connect to the database");
            Attempt::Unconnected
        })
    }

    async fn attempt(&mut self, calls: &[Call]) -> Result<Answers, Attempt> {
        let mut connection = self.take_connection().await?;
        let sent = Instant::now();
        let statement = statement::run(&mut connection, self.kind, calls, Duration::ZERO);
        let result = match tokio::time::timeout(SILENCE_MAX, statement).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Fault::silence()),
        };
        match &result {
            Ok(answers) => self.metrics.ran(self.kind, calls.len(), answers.ran, sent.elapsed()),
            Err(fault) => tracing::warn!(%fault, calls = calls.len(), "a batch failed"),
        }
        if !matches!(result, Err(Fault::Lost(_) | Fault::Unsent(_))) {
            self.connection = Some(connection);
            self.heard = Instant::now();
        }
        result.map_err(Attempt::Fault)
    }

    fn answer(&self, batch: Vec<Call>, answers: Answers) {
        // Sorted by payer, so that the calls of a busy one stand together.
        let mut busy: Vec<(Payer, Vec<Call>)> = Vec::new();
        for (call, result) in batch.into_iter().zip(answers.results) {
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
            self.busy.settle(&payer, calls);
        }
    }

    /// There is no connection: nothing that waits can run, so it is told so at once.
    async fn refuse_all(&mut self, batch: Vec<Call>) {
        for call in batch.into_iter().chain(self.queue.take_all()) {
            call.answer(Err(Failure::Unavailable));
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// How an attempt to run a batch failed.
enum Attempt {
    /// There is no connection: it has not run.
    Unconnected,
    /// It was sent.
    Fault(Fault),
}
