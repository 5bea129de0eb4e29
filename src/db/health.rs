//! Whether the database can be reached. The log has one warning when it cannot, and one line when it can again: not one for
//! each call that fails meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

/// Minimum time between two warnings: a database that answers now and then is one problem.
const WARNING_PAUSE: Duration = Duration::from_secs(1);
/// How often the warning is repeated while the database stays away.
const REMINDER: Duration = Duration::from_secs(60);

/// Whether the database can be reached. Its lines belong to no request, although one may find it out.
#[derive(Debug, Default)]
pub(super) struct Health {
    is_away: AtomicBool,
    state: Mutex<State>,
    /// 1 when the database was reached last.
    pub up: Gauge,
}

#[derive(Debug, Default)]
struct State {
    away: Option<Away>,
    warned: Option<Instant>,
}

#[derive(Debug)]
struct Away {
    since: Instant,
    cause: String,
    is_logged: bool,
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database answered.
    pub fn answered(&self) {
        self.up.set(1);
        if !self.is_away.swap(false, Ordering::AcqRel) {
            return;
        }
        if let Some(away) = self.state().away.take().filter(|away| away.is_logged) {
            let away_s = away.since.elapsed().as_secs_f32();
            tracing::info!(parent: None, away_s, "the database can be reached again");
        }
    }

    /// The database could not be reached.
    pub fn failed(&self, cause: String) {
        self.up.set(0);
        let mut state = self.state();
        self.is_away.store(true, Ordering::Release);
        let away = state.away.take();
        let pause = if away.as_ref().is_some_and(|away| away.is_logged) { REMINDER } else { WARNING_PAUSE };
        let is_due = state.warned.is_none_or(|warned| warned.elapsed() >= pause);
        if is_due {
            tracing::warn!(parent: None, cause, "the database cannot be reached");
            state.warned = Some(Instant::now());
        }
        let (since, is_logged) = away.map_or((Instant::now(), false), |away| (away.since, away.is_logged));
        state.away = Some(Away { since, cause, is_logged: is_logged || is_due });
    }

    /// Why the database cannot be reached. `None` if it can.
    pub fn cause(&self) -> Option<String> {
        self.state().away.as_ref().map(|away| away.cause.clone())
    }
}
