//! Notes in the database what this server has written, for the quotas. Every server does this, also one that does not lead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};

use super::methods::{AddWritten, WrittenPart};
use super::tenant::tenant;
use crate::call::{Engine, Request};
use crate::payer::Payer;
use crate::problem::Problem;
use crate::quotas::{Count, Counts};

/// Payers whose writes are noted at the same time.
const AT_ONCE: usize = 32;

/// When this server noted all that it had written.
pub(super) struct WrittenNotes {
    interval: Duration,
    noted: Instant,
}

impl WrittenNotes {
    /// Notes what is not much once in each interval.
    pub fn every(interval: Duration) -> Self {
        Self { interval, noted: Instant::now() }
    }

    /// Notes what must be noted now. Returns the problems. What could not be noted is noted the next time.
    pub async fn note(&mut self, engine: &Arc<Engine>) -> Vec<Problem> {
        let is_time = self.noted.elapsed() >= self.interval;
        if is_time {
            self.noted = Instant::now();
        }
        note_taken(engine, engine.written().take(is_time)).await
    }
}

/// Notes all that this server has written: it stops, and its lanes still run.
pub async fn note_all_written(engine: &Arc<Engine>) {
    let problems = note_taken(engine, engine.written().take(true)).await;
    if let Some(problem) = problems.first() {
        tracing::warn!(%problem, payers = problems.len(), "the writes of some payers are not noted for their quotas");
    }
}

async fn note_taken(engine: &Arc<Engine>, taken: Vec<(Payer, Counts)>) -> Vec<Problem> {
    let calls = stream::iter(taken).map(|(payer, counts)| note_payer(engine, payer, counts));
    calls.buffer_unordered(AT_ONCE).filter_map(async |problem| problem).collect().await
}

async fn note_payer(engine: &Arc<Engine>, payer: Payer, counts: Counts) -> Option<Problem> {
    let part = |(primitive, Count { writes, bytes }): (_, Count)| WrittenPart { primitive, writes, bytes };
    let written = counts.clone().into_iter().map(part).collect();
    let noted = tenant(engine, payer.as_str())?.call(Request::of(AddWritten { written })).await;
    let problem = noted.err()?;
    for (primitive, count) in counts {
        engine.written().add(&payer, primitive, count);
    }
    Some(problem)
}
