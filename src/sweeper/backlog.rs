//! Counts the jobs of all queues, for the metrics: a stretch of queues at a time, as long as this server leads.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::db::{Database, POOL_SILENCE_MAX, in_time};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    state: &'static str,
}

/// A queue: payer, name, jobs that are pending, delayed, running and dead, and how long its oldest pending job has been due.
type Row = (String, String, i64, i64, i64, i64, f64);

/// What a walk has counted so far.
#[derive(Default)]
struct Counted {
    queues: i64,
    pending: i64,
    delayed: i64,
    running: i64,
    dead: i64,
    oldest_s: f64,
}

/// The jobs of all queues.
pub(super) struct Backlog {
    /// The last queue that was counted.
    after: (String, String),
    counted: Counted,
    jobs: Family<Labels, Gauge>,
    queues: Gauge,
    oldest: Gauge<f64, AtomicU64>,
}

impl Backlog {
    pub fn register(registry: &mut Registry) -> Self {
        let (jobs, queues, oldest) = (Family::<Labels, Gauge>::default(), Gauge::default(), Gauge::default());
        registry.register("jobs", "Jobs of all payers by state; only the server that sweeps counts them", jobs.clone());
        registry.register("queues", "Queues of all payers; only the server that sweeps counts them", queues.clone());
        registry.register_with_unit(
            "job_oldest_pending",
            "How long the oldest pending job of all payers has been due; only the server that sweeps knows it",
            Unit::Seconds,
            oldest.clone(),
        );
        let backlog = Self { after: Default::default(), counted: Counted::default(), jobs, queues, oldest };
        backlog.publish(&Counted::default());
        backlog
    }

    /// Counts on until all queues are counted, or until the deadline. The next walk continues there.
    pub async fn walk(&mut self, database: &Database, until: Instant) -> sqlx::Result<()> {
        while Instant::now() < until {
            let (payer, queue) = &self.after;
            let count = sqlx::query_as("select * from sweep.backlog($1, $2)").bind(payer).bind(queue);
            let rows = async { count.fetch_all(&mut *database.shared().acquire().await?).await };
            let rows: Vec<Row> = in_time(POOL_SILENCE_MAX, rows).await?;
            if rows.is_empty() {
                let counted = std::mem::take(&mut self.counted);
                self.publish(&counted);
                self.after = Default::default();
                return Ok(());
            }
            for (payer, queue, pending, delayed, running, dead, oldest_s) in rows {
                self.after = (payer, queue);
                let counted = &mut self.counted;
                counted.queues += 1;
                counted.pending += pending;
                counted.delayed += delayed;
                counted.running += running;
                counted.dead += dead;
                counted.oldest_s = counted.oldest_s.max(oldest_s);
            }
        }
        Ok(())
    }

    /// Another server leads, and counts.
    pub fn forget(&mut self) {
        self.counted = Counted::default();
        self.after = Default::default();
        self.publish(&Counted::default());
    }

    fn publish(&self, counted: &Counted) {
        let Counted { queues, pending, delayed, running, dead, oldest_s } = *counted;
        for (state, count) in [("pending", pending), ("delayed", delayed), ("running", running), ("dead", dead)] {
            self.jobs.get_or_create(&Labels { state }).set(count);
        }
        self.queues.set(queues);
        self.oldest.set(oldest_s);
    }
}
