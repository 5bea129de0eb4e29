//! Notes in the database what this server has written, for the quotas, and what it has refused, for the logs of payers. Every
//! server does this, also one that does not lead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};

use super::methods::{AddWritten, NoteRefusals, WrittenPart};
use super::tenant::tenant;
use crate::auth::Refused;
use crate::call::{Engine, Method as _, Request};
use crate::payer::Payer;
use crate::problem::Problem;
use crate::quotas::{Count, Counts};

/// Payers that are noted at the same time.
const AT_ONCE: usize = 32;

/// When this server noted all that it had written.
pub(super) struct Notes {
    interval: Duration,
    noted: Instant,
}

impl Notes {
    /// Notes what is not much once in each interval.
    pub fn every(interval: Duration) -> Self {
        Self { interval, noted: Instant::now() }
    }

    /// Notes what must be noted now. Returns the problems and their methods. What could not be noted is noted the next time.
    pub async fn note(&mut self, engine: &Arc<Engine>) -> Vec<(&'static str, Problem)> {
        let is_time = self.noted.elapsed() >= self.interval;
        if is_time {
            self.noted = Instant::now();
        }
        note(engine, is_time, false).await
    }
}

/// Notes everything: this server stops, and its lanes still run.
pub async fn note_all(engine: &Arc<Engine>) {
    let problems = note(engine, true, true).await;
    if let Some((_method, problem)) = problems.first() {
        tracing::warn!(%problem, payers = problems.len(), "what some payers wrote, or were refused, is not noted");
    }
}

async fn note(engine: &Arc<Engine>, all_written: bool, all_refused: bool) -> Vec<(&'static str, Problem)> {
    let written = stream::iter(engine.written().take(all_written));
    let refused = stream::iter(engine.refusals().take(all_refused));
    let written = written.map(|(payer, counts)| note_written(engine, payer, counts));
    let refused = refused.map(|(payer, refused)| note_refused(engine, payer, refused));
    let written = written.buffer_unordered(AT_ONCE).filter_map(async |problem| Some((AddWritten::SPEC.name, problem?)));
    let refused =
        refused.buffer_unordered(AT_ONCE).filter_map(async |problem| Some((NoteRefusals::SPEC.name, problem?)));
    written.chain(refused).collect().await
}

async fn note_refused(engine: &Arc<Engine>, payer: Payer, refused: Vec<Refused>) -> Option<Problem> {
    let noted = tenant(engine, payer.as_str())?.call(Request::of(NoteRefusals { refused: refused.clone() })).await;
    let problem = noted.err()?;
    engine.refusals().put_back(&payer, refused);
    Some(problem)
}

async fn note_written(engine: &Arc<Engine>, payer: Payer, counts: Counts) -> Option<Problem> {
    let part = |(primitive, Count { writes, bytes }): (_, Count)| WrittenPart { primitive, writes, bytes };
    let written = counts.clone().into_iter().map(part).collect();
    let noted = tenant(engine, payer.as_str())?.call(Request::of(AddWritten { written })).await;
    let problem = noted.err()?;
    for (primitive, count) in counts {
        engine.written().add(&payer, primitive, count);
    }
    Some(problem)
}
