//! The log of answers, one line each: always those that failed on the side of the server, and all others if the operator wants
//! them. A line has no token, no path, no query and no body.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::{Method, StatusCode};

use super::metrics::PROBES;
use crate::problem::Code;
use crate::telemetry::Facts;

/// Lines in a second about answers with status 503. When the database is away or the server is overloaded, every caller gets
/// one; more lines would only fill the disk. Errors of payerbase (500) are always logged.
const UNAVAILABLE_LINES_MAX: u32 = 100;

/// The log of answers.
#[derive(Debug)]
pub struct AnswerLog {
    logs_all: bool,
    budget: Mutex<Budget>,
}

/// The lines of the current second.
#[derive(Debug)]
struct Budget {
    second: Instant,
    lines: u32,
    omitted: u32,
}

/// An answered request.
pub(super) struct Answered<'a> {
    pub id: &'a str,
    pub method: &'a Method,
    /// Pattern of the route. Not the path: it has names of payers in it.
    pub route: Option<String>,
    pub status: StatusCode,
    pub facts: Facts,
    pub elapsed: Duration,
}

impl AnswerLog {
    /// `logs_all`: log successes and errors of callers too.
    #[must_use]
    pub fn new(logs_all: bool) -> Self {
        Self { logs_all, budget: Mutex::new(Budget { second: Instant::now(), lines: 0, omitted: 0 }) }
    }

    pub(super) fn answered(&self, answered: &Answered<'_>) {
        let Answered { id, method, route, status, facts, elapsed } = answered;
        let route = route.as_deref();
        if !status.is_server_error() && (!self.logs_all || route.is_some_and(|route| PROBES.contains(&route))) {
            return;
        }
        if *status == StatusCode::SERVICE_UNAVAILABLE && !self.has_room() {
            return;
        }
        let (status, method) = (status.as_u16(), method.as_str());
        let code = facts.code.map(Code::slug);
        let cause = facts.cause.as_deref().filter(|_| status >= 500);
        let cause = cause.or_else(|| facts.code.filter(|_| status >= 500).map(Code::title));
        let payer = facts.payer.as_ref().map(|payer| payer.as_str());
        let caller = facts.caller.as_ref().map(|caller| caller.as_str());
        let duration_ms = (elapsed.as_secs_f64() * 1e4).round() / 10.0;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(parent: None, id, method, route, status, code, duration_ms, payer, caller, cause, "answered")
            };
        }
        match facts.code {
            _ if status == 500 => line!(error),
            Some(Code::OutcomeUnknown | Code::EmbeddingFailed | Code::DatabaseExhausted) => line!(warn),
            _ => line!(info),
        }
    }

    /// Whether this second has room for another line about an answer with status 503.
    fn has_room(&self) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        if budget.second.elapsed() >= Duration::from_secs(1) {
            if budget.omitted > 0 {
                tracing::info!(parent: None, count = budget.omitted, "more answers with status 503 are not logged");
            }
            *budget = Budget { second: Instant::now(), lines: 0, omitted: 0 };
        }
        let has_room = budget.lines < UNAVAILABLE_LINES_MAX;
        match has_room {
            true => budget.lines += 1,
            false => budget.omitted += 1,
        }
        has_room
    }
}
