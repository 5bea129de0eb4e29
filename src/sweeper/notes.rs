//! The notes of each server, also of one that does not lead. It adds its writes to the usage of payers, and its refusals to their
//! logs; and it reads the list of full payers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use scopeguard::ScopeGuard;

use super::methods::{AddWritten, NoteRefusals, WrittenPart};
use super::tenant::tenant;
use crate::call::{Engine, Method, Request};
use crate::db::{Database, POOL_SILENCE_MAX, in_time};
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

/// Reads the payers that have as much of a primitive as they may have.
pub(super) async fn read_full(database: &Database, engine: &Engine) -> sqlx::Result<()> {
    let find = sqlx::query_scalar("select payer from sweep.full_payers() payer");
    let payers = async { find.fetch_all(&mut *database.shared().acquire().await?).await };
    let payers: Vec<String> = in_time(POOL_SILENCE_MAX, payers).await?;
    engine.full().replace(payers.iter().filter_map(|payer| payer.parse().ok()).collect());
    Ok(())
}

/// Notes everything: this server stops, and its lanes still run.
pub async fn note_all(engine: &Arc<Engine>) {
    let problems = note(engine, true, true).await;
    if let Some((_method, problem)) = problems.first() {
        tracing::warn!(%problem, payers = problems.len(), "what some payers wrote, or were refused, is not noted");
    }
}

async fn note(engine: &Arc<Engine>, all_written: bool, all_refused: bool) -> Vec<(&'static str, Problem)> {
    // A note that is dropped goes back. When the server stops, `note_all` takes it again.
    let written = engine.written().take(engine.full(), all_written).into_iter().map(|written| {
        let add_again = |(payer, counts): (Payer, Counts)| {
            counts.into_iter().for_each(|(primitive, count)| engine.written().add(&payer, primitive, count));
        };
        noted(engine, scopeguard::guard(written, add_again), to_add)
    });
    let refused = engine.refusals().take(all_refused).into_iter().map(|refused| {
        let put_back = |(payer, refused): (Payer, _)| engine.refusals().put_back(&payer, refused);
        noted(engine, scopeguard::guard(refused, put_back), |refused| NoteRefusals { refused: refused.clone() })
    });
    let (written, refused): (Vec<_>, Vec<_>) = (written.collect(), refused.collect());
    let written = stream::iter(written).buffer_unordered(AT_ONCE);
    let refused = stream::iter(refused).buffer_unordered(AT_ONCE);
    written.chain(refused).filter_map(async |problem| problem).collect().await
}

/// Writes the notes of a payer into the database.
async fn noted<T, M: Method>(
    engine: &Arc<Engine>,
    taken: ScopeGuard<(Payer, T), impl FnOnce((Payer, T))>,
    method: impl FnOnce(&T) -> M,
) -> Option<(&'static str, Problem)> {
    let (payer, what) = &*taken;
    let noted = tenant(engine, payer.as_str())?.call(Request::of(method(what))).await;
    match noted {
        Ok(_) => {
            ScopeGuard::into_inner(taken);
            None
        }
        Err(problem) => Some((<M as Method>::SPEC.name, problem)),
    }
}

fn to_add(counts: &Counts) -> AddWritten {
    let part = |(&primitive, &Count { writes, bytes }): (_, &Count)| WrittenPart { primitive, writes, bytes };
    AddWritten { written: counts.iter().map(part).collect() }
}
