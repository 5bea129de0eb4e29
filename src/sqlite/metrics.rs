//! Metrics of SQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::engine::Stopped;
use super::wire::Kept;
use super::worker::Kind;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWorker {
    worker: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    worker: &'static str,
    reason: &'static str,
}

/// Why calls are stopped.
const REASONS: [&str; 7] = ["time", "late", "memory", "crowded", "full", "moved", "broken"];

/// The metrics of all workers.
#[derive(Clone)]
pub(super) struct SqlMetrics {
    starts: Family<OfWorker, Counter>,
    seconds: Family<OfWorker, Histogram>,
    stopped: Family<OfReason, Counter>,
    databases: Family<OfWorker, Gauge>,
    memory: Family<OfWorker, Gauge>,
    evictions: Family<OfWorker, Counter>,
    pages_read: Counter,
    conflicts: Counter,
}

/// The metrics of one worker.
#[derive(Clone)]
pub(super) struct WorkerMetrics {
    labels: OfWorker,
    starts: Counter,
    seconds: Histogram,
    stopped: Family<OfReason, Counter>,
    databases: Gauge,
    memory: Gauge,
    evictions: Counter,
    /// Of the process that runs.
    evictions_told: Arc<AtomicU64>,
}

impl SqlMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let buckets = || Histogram::new([0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]);
        let metrics = Self {
            starts: Family::default(),
            seconds: Family::new_with_constructor(buckets),
            stopped: Family::default(),
            databases: Family::default(),
            memory: Family::default(),
            evictions: Family::default(),
            pages_read: Counter::default(),
            conflicts: Counter::default(),
        };
        registry.register("sql_worker_starts", "Started processes of each worker of SQL", metrics.starts.clone());
        registry.register(
            "sql_worker_seconds",
            "Time of calls in each worker of SQL, with waiting",
            metrics.seconds.clone(),
        );
        registry.register("sql_stopped", "Calls that a worker of SQL stopped, by reason", metrics.stopped.clone());
        registry.register("sql_open", "Open databases of each worker of SQL", metrics.databases.clone());
        registry.register_with_unit(
            "sql_open_memory",
            "Memory of the open databases of each worker of SQL",
            Unit::Bytes,
            metrics.memory.clone(),
        );
        registry.register(
            "sql_evictions",
            "Databases that each worker of SQL closed to make room for others",
            metrics.evictions.clone(),
        );
        registry.register(
            "sql_pages_read",
            "Pages of SQL databases that were read from PostgreSQL",
            metrics.pages_read.clone(),
        );
        registry.register(
            "sql_conflicts",
            "Calls of SQL that ran again, because another call had changed the database, or what their tables pb_ show",
            metrics.conflicts.clone(),
        );
        metrics
    }

    pub fn of(&self, kind: Kind) -> WorkerMetrics {
        let worker = match kind {
            Kind::Fast => "fast",
            Kind::Slow => "slow",
        };
        let labels = OfWorker { worker };
        for reason in REASONS {
            let _zero = self.stopped.get_or_create(&OfReason { worker, reason });
        }
        WorkerMetrics {
            starts: self.starts.get_or_create(&labels).clone(),
            seconds: self.seconds.get_or_create(&labels).clone(),
            stopped: self.stopped.clone(),
            databases: self.databases.get_or_create(&labels).clone(),
            memory: self.memory.get_or_create(&labels).clone(),
            evictions: self.evictions.get_or_create(&labels).clone(),
            evictions_told: Arc::default(),
            labels,
        }
    }

    pub fn read_pages(&self, count: usize) {
        self.pages_read.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub fn conflict(&self) {
        self.conflicts.inc();
    }
}

impl WorkerMetrics {
    pub fn started(&self) {
        self.starts.inc();
    }

    /// What the worker keeps now.
    pub fn keeps(&self, kept: &Kept) {
        self.databases.set(kept.databases.into());
        self.memory.set(i64::try_from(kept.bytes).unwrap_or(i64::MAX));
        let before = self.evictions_told.swap(kept.evictions, Ordering::Relaxed);
        self.evictions.inc_by(kept.evictions.saturating_sub(before));
    }

    /// A call was stopped.
    pub fn stopped(&self, stopped: &Stopped) {
        let reason = match stopped {
            // Ordinary errors of statements.
            Stopped::Sql { .. } | Stopped::NotAllowed(_) | Stopped::Parameters(_) | Stopped::MigrationChanged => return,
            Stopped::Timeout => "time",
            Stopped::Late => "late",
            Stopped::TooLarge | Stopped::RowTooLarge | Stopped::TablesTooLarge => "memory",
            Stopped::Crowded => "crowded",
            Stopped::Full => "full",
            Stopped::Moved => "moved",
            Stopped::Broken => "broken",
        };
        self.stopped.get_or_create(&OfReason { worker: self.labels.worker, reason }).inc();
    }

    pub fn took(&self, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
    }
}
