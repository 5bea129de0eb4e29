//! Rounds: the sweeper of one server, and what it does in each round.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use uuid::Uuid;

use super::backlog::Backlog;
use super::measure::Measurements;
use super::methods::{
    GrowGraph, PostUsage, RewordMemories, SaveUsage, SweepIdempotency, SweepJobs, SweepLinks, SweepLocks,
    SweepMemories, SweepQueues, SweepSql, Unworded, UnwordedMemories,
};
use super::metrics::Metrics;
use super::notes::{Notes, read_full};
use super::tenant::tenant;
use super::walk::{Row, SWEPT_IN_ROUNDS, Sweepable, Walk, millis};
use crate::call::{Engine, Method, Request};
use crate::db::{Database, POOL_SILENCE_MAX, in_time, reason};
use crate::problem::Problem;

/// Time between two rounds. A server that does not lead checks as often whether it may.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two notes of what a server has written for a payer, if it is not much.
pub const WRITTEN_INTERVAL: Duration = Duration::from_hours(1);
/// Missed rounds after which another server takes over.
const ROUNDS_MISSED_MAX: u32 = 4;
/// Time that a round spends on each kind.
const KIND_TIME_MAX: Duration = Duration::from_millis(250);
/// Time for one payer before it is another payer's turn.
const PAYER_TIME_MAX: Duration = Duration::from_millis(50);
/// Vectors that go into a graph in one turn. Each takes a millisecond or more.
const VECTORS_PER_CALL: u64 = 16;
/// Separates the model from the dimensions in the key of a space. No model has it in its name.
const KEY_SEPARATOR: char = '\u{1}';

/// Settings of the sweeper.
#[derive(Clone, Copy, Debug)]
pub struct SweepSettings {
    /// Time between two rounds.
    pub interval: Duration,
    /// How long single clicks are kept.
    pub clicks_kept: Duration,
    /// Time between two notes of what the server has written for a payer. It notes much at once.
    pub written_interval: Duration,
}

/// The sweeper of one server.
pub struct Sweeper {
    database: Database,
    engine: Arc<Engine>,
    settings: SweepSettings,
    metrics: Metrics,
    holder: String,
    walks: Vec<Walk>,
    graphs: Walk,
    backlog: Backlog,
    words: Walk,
    measurements: Measurements,
    notes: Notes,
    leads: bool,
}

impl Sweeper {
    /// Finds due work in `database`, and does it through `engine`.
    #[must_use]
    pub fn new(database: Database, engine: Arc<Engine>, settings: SweepSettings, registry: &mut Registry) -> Self {
        Self {
            database,
            engine,
            settings,
            metrics: Metrics::register(registry),
            holder: Uuid::now_v7().to_string(),
            walks: SWEPT_IN_ROUNDS.map(Walk::over).into(),
            graphs: Walk::over(Sweepable::Graphs),
            backlog: Backlog::register(registry),
            words: Walk::over(Sweepable::Words),
            measurements: Measurements::register(registry),
            notes: Notes::every(settings.written_interval),
            leads: false,
        }
    }

    /// Sweeps for as long as it is polled. A round that left work behind is followed by the next one after a pause as long as
    /// the round.
    pub async fn run(&mut self) {
        let mut pause = self.settings.interval;
        self.read_full().await;
        loop {
            tokio::time::sleep(pause).await;
            let started = Instant::now();
            pause = match self.round().await {
                Ok(true) => self.settings.interval.min(started.elapsed()),
                Ok(false) => self.settings.interval,
                Err(error) => {
                    self.failed(&error, "a round").await;
                    self.settings.interval
                }
            };
            self.metrics.busy.inc_by(started.elapsed().as_secs_f64());
            for (method, problem) in self.notes.note(&self.engine).await {
                self.refused(&problem, method);
            }
            self.read_full().await;
            if self.leads
                && let Err(error) = self.grow(started + self.settings.interval).await
            {
                self.failed(&error, "the growth of graphs").await;
            }
            if self.leads
                && let Err(error) = self.reword(Instant::now() + self.settings.interval).await
            {
                self.failed(&error, "the making of words").await;
            }
            if self.leads
                && let Err(error) = self.measure(Instant::now() + self.settings.interval).await
            {
                self.failed(&error, "the measurement of quotas").await;
            }
        }
    }

    /// Reads the list of full payers.
    async fn read_full(&mut self) {
        if let Err(error) = read_full(&self.database, &self.engine).await {
            self.failed(&error, "the list of full payers").await;
        }
    }

    /// Measures primitives until the deadline, or until all that are due are measured.
    async fn measure(&mut self, until: Instant) -> sqlx::Result<()> {
        let (saved, problems) = self.measurements.go_on(&self.database, &self.engine, until).await?;
        self.metrics.swept(SaveUsage::SPEC.name, saved);
        for problem in problems {
            self.refused(&problem, SaveUsage::SPEC.name);
        }
        Ok(())
    }

    /// Lets another server lead at once.
    pub async fn resign(&self) {
        if let Err(error) = self.lead_for(Duration::ZERO).await {
            tracing::debug!(error = reason(&error), "the sweeper could not resign");
        }
    }

    /// A part of the work failed. The next round does it. A database that cannot be reached is logged once, where that is
    /// found out.
    async fn failed(&self, error: &sqlx::Error, what: &'static str) {
        self.metrics.failures.inc();
        let error = self.database.why(error).await;
        match self.database.away() {
            Some(_) => tracing::debug!(error, what, "the sweeper failed"),
            None => tracing::warn!(error, what, "the sweeper failed; the next round tries again"),
        }
    }

    /// A call of the sweeper failed.
    fn refused(&self, problem: &Problem, method: &'static str) {
        self.metrics.failures.inc();
        match self.database.away() {
            Some(_) => tracing::debug!(method, %problem, "the sweeper could not sweep"),
            None => tracing::warn!(method, %problem, "the sweeper could not sweep"),
        }
    }

    /// Returns whether there is more to do.
    async fn round(&mut self) -> sqlx::Result<bool> {
        // The time of a round, and of what is done after it: graphs, words, measurements.
        let kinds = u32::try_from(self.walks.len()).unwrap_or(u32::MAX);
        let leads = self.lead_for((self.settings.interval * 4 + KIND_TIME_MAX * kinds) * ROUNDS_MISSED_MAX).await;
        self.leads = matches!(leads, Ok(true));
        self.metrics.leads.set(i64::from(self.leads));
        if !leads? {
            self.backlog.forget();
            self.measurements.forget();
            self.metrics.forget_payments();
            return Ok(false);
        }
        let mut walks = std::mem::take(&mut self.walks);
        let mut has_more = false;
        for walk in &mut walks {
            match self.sweep_kind(walk).await {
                Ok(kind_has_more) => has_more |= kind_has_more,
                Err(error) => self.failed(&error, walk.kind.name()).await,
            }
        }
        self.walks = walks;
        if let Err(error) = self.backlog.walk(&self.database, Instant::now() + KIND_TIME_MAX).await {
            self.failed(&error, "the backlog").await;
        }
        if let Err(error) = self.count_unknown_payments().await {
            self.failed(&error, "the payments").await;
        }
        self.metrics.rounds.inc();
        Ok(has_more)
    }

    /// Counts the payments whose outcome is not known, for the metrics.
    async fn count_unknown_payments(&self) -> sqlx::Result<()> {
        let count = sqlx::query_as("select payments, oldest_s from sweep.unknown_payments()");
        let counted: (i64, f64) =
            in_time(POOL_SILENCE_MAX, async { count.fetch_one(&mut *self.database.shared().acquire().await?).await })
                .await?;
        self.metrics.unknown_payments.set(counted.0);
        self.metrics.oldest_unknown_payment.set(counted.1);
        Ok(())
    }

    async fn lead_for(&self, time: Duration) -> sqlx::Result<bool> {
        let lead = sqlx::query_scalar("select sweep.lead($1, $2)").bind(&self.holder);
        let lead = lead.bind(i32::try_from(time.as_millis()).unwrap_or(i32::MAX));
        let leads: Vec<bool> =
            in_time(POOL_SILENCE_MAX, async { lead.fetch_all(&mut *self.database.shared().acquire().await?).await })
                .await?;
        Ok(leads == [true])
    }

    /// Continues a walk for its time in a round. Starts it again at its end, as long as it finds due work. Returns whether it
    /// found some and ran out of time.
    async fn sweep_kind(&self, walk: &mut Walk) -> sqlx::Result<bool> {
        let until = Instant::now() + KIND_TIME_MAX;
        let (mut has_swept, mut has_found) = (false, false);
        while Instant::now() < until {
            let stretch = walk.stretch(&self.database, self.settings.clicks_kept).await?;
            let is_over = stretch.is_empty();
            walk.restart();
            for row in stretch {
                has_swept |= row.is_due && self.sweep_row(walk.kind, &row).await?;
                has_found |= has_swept;
                walk.pass(row);
                if Instant::now() >= until {
                    break;
                }
            }
            if is_over && !std::mem::take(&mut has_swept) {
                return Ok(false);
            }
        }
        Ok(has_found)
    }

    /// Does the due work of a row. Returns whether there was some.
    async fn sweep_row(&self, kind: Sweepable, Row { payer, key, .. }: &Row) -> sqlx::Result<bool> {
        Ok(match kind {
            Sweepable::Queues => self.sweep(payer, &SweepQueues {}).await,
            Sweepable::Jobs => self.sweep(payer, &SweepJobs {}).await,
            Sweepable::Locks => self.sweep(payer, &SweepLocks {}).await,
            Sweepable::Idempotency => self.sweep(payer, &SweepIdempotency {}).await,
            Sweepable::Links => {
                let keep_ms = millis(self.settings.clicks_kept);
                self.sweep(payer, &SweepLinks { slug: key.clone(), keep_ms }).await
            }
            Sweepable::Slugs => self.free(payer, key).await?,
            Sweepable::Memories => self.sweep(payer, &SweepMemories {}).await,
            Sweepable::Sql => self.sweep(payer, &SweepSql {}).await,
            Sweepable::Credit => self.sweep(payer, &PostUsage::new()).await,
            Sweepable::Payments => {
                // Networks are slow: it is done in the background.
                if let Ok(payer) = payer.parse() {
                    self.engine.payments().reconcile(&payer);
                }
                false
            }
            // Graphs grow and words are made between the rounds.
            Sweepable::Graphs | Sweepable::Words => false,
        })
    }

    /// Calls a method for one payer until there is no more work, or its time is over. Returns whether there was some.
    async fn sweep<M: Method<Output = u64> + Clone>(&self, payer: &str, method: &M) -> bool {
        let Some(tenant) = tenant(&self.engine, payer) else { return false };
        let until = Instant::now() + PAYER_TIME_MAX;
        let mut has_swept = false;
        while Instant::now() < until {
            match tenant.call(Request::of(method.clone())).await {
                Ok(answer) if answer.output == 0 => return has_swept,
                Ok(answer) => {
                    has_swept = true;
                    self.metrics.swept(M::SPEC.name, answer.output);
                }
                Err(problem) => {
                    self.refused(&problem, M::SPEC.name);
                    return false;
                }
            }
        }
        has_swept
    }

    /// Frees a slug that has no link. Returns whether it is free now.
    async fn free(&self, payer: &str, slug: &str) -> sqlx::Result<bool> {
        let free = sqlx::query_scalar("select slug.free($1, $2)").bind(slug).bind(payer);
        let freed: Vec<bool> =
            in_time(POOL_SILENCE_MAX, async { free.fetch_all(&mut *self.database.shared().acquire().await?).await })
                .await?;
        self.metrics.swept("freeSlug", u64::from(freed == [true]));
        Ok(freed == [true])
    }

    /// Grows graphs until the deadline, or until all vectors are in them.
    async fn grow(&mut self, until: Instant) -> sqlx::Result<()> {
        let stretch = self.graphs.stretch(&self.database, self.settings.clicks_kept).await?;
        // The next time continues after the last row, and starts again at the end.
        self.graphs.restart();
        for row in stretch {
            if row.is_due
                && let Some((model, dimensions)) = row.key.split_once(KEY_SEPARATOR)
            {
                let (model, dimensions) = (model.to_owned(), dimensions.parse().unwrap_or_default());
                self.grow_graph(&row.payer, &GrowGraph { model, dimensions, bite: VECTORS_PER_CALL }, until).await;
            }
            self.graphs.pass(row);
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    async fn grow_graph(&self, payer: &str, grow: &GrowGraph, until: Instant) {
        let Some(tenant) = tenant(&self.engine, payer) else { return };
        while Instant::now() < until {
            let started = Instant::now();
            match tenant.call(Request::of(grow.clone())).await {
                Ok(answer) => {
                    self.metrics.swept(GrowGraph::SPEC.name, answer.output);
                    if answer.output < VECTORS_PER_CALL {
                        return;
                    }
                }
                Err(problem) => {
                    self.refused(&problem, GrowGraph::SPEC.name);
                    return;
                }
            }
            // Pauses as long as it worked.
            tokio::time::sleep(started.elapsed()).await;
        }
    }

    /// Makes words of stored memories again until the deadline, or until all are made.
    async fn reword(&mut self, until: Instant) -> sqlx::Result<()> {
        let stretch = self.words.stretch(&self.database, self.settings.clicks_kept).await?;
        self.words.restart();
        for row in stretch {
            self.reword_payer(&row.payer, until).await;
            // The next time begins with the next payer, so that payers take turns.
            self.words.pass(row);
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    async fn reword_payer(&self, payer: &str, until: Instant) {
        let Some(tenant) = tenant(&self.engine, payer) else { return };
        while Instant::now() < until {
            let started = Instant::now();
            let reworded = match tenant.call(Request::of(UnwordedMemories {})).await {
                Ok(answer) => match answer.output {
                    Some(Unworded { from, memories }) => {
                        let is_last = memories.is_empty();
                        let reword = RewordMemories { from, memories };
                        tenant.call(Request::of(reword)).await.map(|answer| (answer.output, is_last))
                    }
                    None => return,
                },
                Err(problem) => Err(problem),
            };
            match reworded {
                Ok((count, is_last)) => {
                    self.metrics.swept(RewordMemories::SPEC.name, count);
                    if is_last {
                        return;
                    }
                }
                Err(problem) => {
                    self.refused(&problem, RewordMemories::SPEC.name);
                    return;
                }
            }
            // Pauses as long as it worked.
            tokio::time::sleep(started.elapsed()).await;
        }
    }
}
