//! Measures the primitives of payers, as long as this server leads: some rows at a time, one primitive after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::Value;

use super::methods::{MeasureRows, MeasuredRows, SaveUsage};
use super::tenant::tenant;
use crate::call::{Engine, Request};
use crate::db::{Database, POOL_SILENCE_MAX, in_time};
use crate::problem::Problem;
use crate::quotas::{Primitive, Quotas};

/// A primitive of a payer, whether it must be measured, whether it is full, and what was written since the last time.
type Row = (String, String, bool, bool, i64, i64);

/// A primitive that is being measured.
struct Measurement {
    payer: String,
    primitive: Primitive,
    writes: i64,
    written_bytes: i64,
    rows: i64,
    bytes: i64,
    after: Option<Value>,
}

/// The measurements of a leader.
pub(super) struct Measurements {
    /// The payer and the primitive of the last row of the walk.
    last: (String, String),
    due: VecDeque<Measurement>,
    /// Full primitives that this walk has found.
    found: i64,
    full: Gauge,
}

impl Measurements {
    pub fn register(registry: &mut Registry) -> Self {
        let full = Gauge::default();
        let about = "Primitives of payers whose quota is used up; only the server that sweeps counts them";
        registry.register("quotas_full", about, full.clone());
        Self { last: Default::default(), due: VecDeque::new(), found: 0, full }
    }

    /// Measures until the deadline, or until the walk has ended. Returns the number of measurements that were saved, and the
    /// problems.
    pub async fn go_on(
        &mut self,
        database: &Database,
        engine: &Arc<Engine>,
        until: Instant,
    ) -> sqlx::Result<(u64, Vec<Problem>)> {
        let (mut saved, mut problems) = (0, Vec::new());
        while Instant::now() < until {
            let Some(mut measurement) = self.due.pop_front() else {
                if self.walk(database, engine.written().quotas()).await? {
                    break;
                }
                continue;
            };
            let started = Instant::now();
            match measurement.step(engine).await {
                Ok(true) => saved += 1,
                Ok(false) => {
                    self.due.push_front(measurement);
                    // Pauses as long as it worked.
                    tokio::time::sleep(started.elapsed()).await;
                }
                // The walk finds it again.
                Err(problem) => problems.push(problem),
            }
        }
        Ok((saved, problems))
    }

    /// Finds the next primitives to measure. Returns whether the walk is over. The next one begins with the first row.
    async fn walk(&mut self, database: &Database, quotas: Quotas) -> sqlx::Result<bool> {
        let (payer, primitive) = &self.last;
        let find = "select payer, primitive, is_due, is_full, writes, written_bytes from sweep.usage($1, $2, $3, $4)";
        let find = sqlx::query_as(find).bind(payer).bind(primitive).bind(quotas.rows).bind(quotas.bytes);
        let rows = async { find.fetch_all(&mut *database.shared().acquire().await?).await };
        let rows: Vec<Row> = in_time(POOL_SILENCE_MAX, rows).await?;
        if rows.is_empty() {
            self.full.set(std::mem::take(&mut self.found));
            self.last = Default::default();
            return Ok(true);
        }
        for (payer, primitive, is_due, is_full, writes, written_bytes) in rows {
            self.last = (payer.clone(), primitive.clone());
            self.found += i64::from(is_full);
            // Another version may know more primitives.
            let Some(primitive) = serde_json::from_value(primitive.into()).ok().filter(|_| is_due) else { continue };
            let (rows, bytes, after) = (0, 0, None);
            self.due.push_back(Measurement { payer, primitive, writes, written_bytes, rows, bytes, after });
        }
        Ok(false)
    }

    /// Another server leads, and measures.
    pub fn forget(&mut self) {
        self.last = Default::default();
        self.due.clear();
        self.found = 0;
        self.full.set(0);
    }
}

impl Measurement {
    /// Reads the next rows. After the last ones, saves the sums. Returns whether they are saved.
    async fn step(&mut self, engine: &Arc<Engine>) -> Result<bool, Problem> {
        let Some(tenant) = tenant(engine, &self.payer) else { return Ok(true) };
        let measure = MeasureRows { primitive: self.primitive, after: self.after.take() };
        let MeasuredRows { rows, bytes, after } = tenant.call(Request::of(measure)).await?.output;
        self.rows += rows;
        self.bytes += bytes;
        self.after = after;
        if self.after.is_some() {
            return Ok(false);
        }
        let quotas = engine.written().quotas();
        if quotas.are_reached(self.rows, self.bytes) {
            // This server need not read the list to know it.
            engine.full().insert(tenant.payer().clone());
        }
        let Quotas { rows: rows_max, bytes: bytes_max } = quotas;
        let Self { primitive, writes, written_bytes, rows, bytes, .. } = *self;
        let save = SaveUsage { primitive, rows, bytes, rows_max, bytes_max, writes, written_bytes };
        tenant.call(Request::of(save)).await?;
        Ok(true)
    }
}
