//! Calls that run apart: each is one autocommit statement on the pool, so that it delays no call of a lane.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::OptionFuture;
use tokio::sync::Semaphore;

use super::access::Access;
use super::call::{self, CALL_TIMEOUT, Call, CallResult, NO_REPLY, UNREAD_ANSWERS};
use super::error::CallError;
use super::history::Lately;
use super::inbox::LIGHT_MAX;
use super::send_error::SendError;
use super::statement::{self, Terms};
use crate::aside::LARGE_BYTES;
use crate::budget::Budget;
use crate::db::{Database, POOL_SILENCE_MAX, POOL_WAIT};
use crate::payer_limit::{PayerLimit, Permit};
use crate::telemetry::because;

/// How long a write waits for the payer's lock.
const LOCK_WAIT: Duration = Duration::from_millis(500);
/// From this time on a call is costly.
const COSTLY_TIME: Duration = Duration::from_millis(250);
/// One connection of the pool in this many is for costly reads.
const COSTLY_SHARE: usize = 4;
/// One connection of the pool in this many is for reads whose cost is not known. The rest is for short ones.
const UNKNOWN_SHARE: usize = 2;

pub(super) struct Apart {
    database: Database,
    answers: Arc<Budget>,
    reads: PayerLimit,
    costs: Mutex<Costs>,
    costly: Semaphore,
    unknown: Semaphore,
}

/// What reads of a payer and a method cost lately.
#[derive(Default)]
struct Costs {
    costly: Lately,
    short: Lately,
}

impl Apart {
    pub fn new(database: Database, answers: Arc<Budget>) -> Arc<Self> {
        let connections = database.slow().connections_max();
        let share = |one_in: usize| Semaphore::new((connections / one_in).max(1));
        let (costly, unknown) = (share(COSTLY_SHARE), share(UNKNOWN_SHARE));
        Arc::new(Self { database, answers, reads: PayerLimit::default(), costs: Mutex::default(), costly, unknown })
    }

    fn costs(&self) -> MutexGuard<'_, Costs> {
        self.costs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections that a read shares with others of its kind. `None` if it is short: it may use all of them.
    fn shared(&self, call: &Call) -> Option<&Semaphore> {
        let (costs, now, method) = (self.costs(), Instant::now(), call.command.method);
        // A filter of a hundred conditions is costly before it ran.
        if call.weight > LIGHT_MAX || costs.costly.has(&call.payer, method, now) {
            return Some(&self.costly);
        }
        (!costs.short.has(&call.payer, method, now)).then_some(&self.unknown)
    }

    /// Remembers what a read cost.
    fn learn(&self, call: &Call, is_costly: bool) {
        let (mut costs, now, method) = (self.costs(), Instant::now(), call.command.method);
        match is_costly {
            true => {
                costs.costly.add(&call.payer, method, now);
                costs.short.remove(&call.payer, method);
            }
            false => costs.short.add(&call.payer, method, now),
        }
    }

    /// Runs a call. A payer runs a few reads at a time; more of them wait. It runs in a task, so a client that hangs up neither
    /// breaks the connection nor gets another.
    pub async fn run(self: &Arc<Self>, access: Access, call: Call) -> Result<CallResult, CallError> {
        let permit = match access {
            Access::Read => Some(self.reads.admit(&call.payer).map_err(|_too_many| {
                because("too many slow reads of one payer are in progress");
                CallError::Overloaded
            })?),
            // Writes of the sweeper, one at a time.
            Access::Write => None,
        };
        let (apart, payer) = (Arc::clone(self), call.payer.clone());
        let (method, request) = (call.command.method, call.request.clone());
        let statement = tokio::spawn(async move {
            let _running = OptionFuture::from(permit.as_ref().map(Permit::ready)).await;
            // Writes are those of the sweeper: they wait for no reader.
            let is_read = access == Access::Read;
            let has_room = !is_read || call.waits_for_room().await;
            let shared = if is_read { apart.shared(&call) } else { None };
            let _one = OptionFuture::from(shared.map(Semaphore::acquire)).await;
            match (call.is_abandoned(), has_room) {
                (true, _) => Err((CallError::Overloaded, "the caller has gone".to_owned())),
                (_, false) => Err((CallError::Overloaded, UNREAD_ANSWERS.to_owned())),
                _ => apart.send(access, &call).await,
            }
        });
        let (error, cause) = match tokio::time::timeout(CALL_TIMEOUT, statement).await {
            Ok(Ok(Ok(result))) => return Ok(CallResult::new(result, &payer, &self.answers)),
            Ok(Ok(Err(failed))) => failed,
            Ok(Err(_panicked)) => (CallError::Refused, "its task panicked".to_owned()),
            Err(_elapsed) if access == Access::Write => (CallError::OutcomeUnknown, NO_REPLY.to_owned()),
            Err(_elapsed) => (CallError::Overloaded, NO_REPLY.to_owned()),
        };
        call::because(request.as_deref(), error, format!("{method}: {cause}"));
        Err(error)
    }

    /// Runs the statement of a call. If it fails, answers how the call ends, and the cause.
    async fn send(&self, access: Access, call: &Call) -> Result<String, (CallError, String)> {
        let calls = std::slice::from_ref(call);
        let statement = async {
            let mut connection = self.database.slow().acquire().await?;
            let started = Instant::now();
            let sent = statement::execute(&mut *connection, access, calls, Terms::waiting(LOCK_WAIT)).await;
            let result_bytes = sent.iter().flat_map(|batch| &batch.results).map(String::len).sum::<usize>();
            self.learn(call, started.elapsed() >= COSTLY_TIME || result_bytes >= LARGE_BYTES);
            sent
        };
        let sent = tokio::time::timeout(POOL_WAIT + POOL_SILENCE_MAX, statement).await;
        let error = match sent.unwrap_or_else(|_silent| Err(SendError::silence())) {
            Ok(batch) => {
                let result = batch.results.into_iter().next();
                return result.ok_or_else(|| (CallError::Refused, "it has no result".to_owned()));
            }
            Err(error) => error,
        };
        Err(match (error.is_pool_timeout(), self.database.away()) {
            (true, Some(cause)) => (CallError::Unavailable, cause),
            _ => (error.of_call(access), error.to_string()),
        })
    }
}
