//! Calls that run apart: each is one autocommit statement on the pool, so that it delays no call of a lane.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::OptionFuture;
use tokio::sync::Semaphore;

use super::access::{Access, Origin};
use super::call::{self, CALL_TIMEOUT, Call, CallResult, NO_REPLY, UNREAD_ANSWERS};
use super::error::CallError;
use super::history::Lately;
use super::inbox::LIGHT_MAX;
use super::send_error::SendError;
use super::statement::{self, Terms};
use crate::aside::LARGE_BYTES;
use crate::budget::Budget;
use crate::db::{Database, POOL_SILENCE_MAX, POOL_WAIT};
use crate::payer_limit::PayerLimit;
use crate::telemetry::because;

/// How long a write waits for the payer's lock.
const LOCK_WAIT: Duration = Duration::from_millis(500);
/// Reads that usually take so long are costly.
const COSTLY_TIME: Duration = Duration::from_millis(250);
/// How long a read is remembered.
const KEPT: Duration = Duration::from_secs(60);
/// Time that a byte of the result counts beside that of the statement: a result of 1 MiB is costly, too.
const TIME_OF_BYTE: Duration = Duration::from_nanos(250);
/// How much of the time of one read counts: a short read may once be slow, because others are.
const COUNTED_TIME_MAX: Duration = Duration::from_millis(500);
/// One connection of the pool in this many is for costly reads.
const COSTLY_SHARE: usize = 4;
/// One connection of the pool in this many is for reads whose time is not known. The rest is for short ones.
const UNKNOWN_SHARE: usize = 2;

pub(super) struct Apart {
    database: Database,
    answers: Arc<Budget>,
    known: Mutex<Known>,
    short: PayerLimit,
    /// A payer that waits behind strangers can still run short reads.
    others: PayerLimit,
    costly: Semaphore,
    unknown: Semaphore,
}

/// The reads of each payer and method that ran lately.
struct Known {
    /// Their usual time.
    times: Lately<Duration>,
    /// Those with large results.
    large: Lately<()>,
}

/// The usual time after one more read. It rises faster than it falls.
fn usual(before: Option<Duration>, took: Duration) -> Duration {
    let took = took.min(COUNTED_TIME_MAX);
    match before {
        None => took,
        Some(before) if took > before => (before * 3 + took) / 4,
        Some(before) => (before * 15 + took) / 16,
    }
}

impl Apart {
    pub fn new(database: Database, answers: Arc<Budget>) -> Arc<Self> {
        let connections = database.slow().connections_max();
        let share = |one_in: usize| Semaphore::new((connections / one_in).max(1));
        let (costly, unknown) = (share(COSTLY_SHARE), share(UNKNOWN_SHARE));
        let (short, others) = (PayerLimit::default(), PayerLimit::default());
        let known = Mutex::new(Known { times: Lately::new(KEPT), large: Lately::new(KEPT) });
        Arc::new(Self { database, answers, known, short, others, costly, unknown })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections that a read shares with others of its kind. `None` if it is short: it may use all of them.
    fn shared(&self, call: &Call) -> Option<&Semaphore> {
        // A filter of 130 comparisons is costly before it ran.
        if call.weight > LIGHT_MAX {
            return Some(&self.costly);
        }
        match self.known().times.of(&call.payer, call.command.method, Instant::now()) {
            None => Some(&self.unknown),
            Some(usual) => (usual >= COSTLY_TIME).then_some(&self.costly),
        }
    }

    /// Whether the result of a read may be large.
    fn may_be_large(&self, call: &Call) -> bool {
        let (known, method, now) = (self.known(), call.command.method, Instant::now());
        known.times.of(&call.payer, method, now).is_none() || known.large.of(&call.payer, method, now).is_some()
    }

    /// Remembers how long a read took, and whether its result was large.
    fn learn(&self, call: &Call, took: Duration, result_bytes: usize) {
        let (mut known, method, now) = (self.known(), call.command.method, Instant::now());
        let took = took + TIME_OF_BYTE * u32::try_from(result_bytes).unwrap_or(u32::MAX);
        let usual = usual(known.times.of(&call.payer, method, now), took);
        known.times.add(&call.payer, method, usual, now);
        if result_bytes >= LARGE_BYTES {
            known.large.add(&call.payer, method, (), now);
        }
    }

    /// Runs a call. A payer runs a few reads at a time; more of them wait. A call of the sweeper waits for none of them: it sends
    /// one at a time. It runs in a task, so a client that hangs up neither breaks the connection nor gets another.
    pub async fn run(self: &Arc<Self>, access: Access, call: Call) -> Result<CallResult, CallError> {
        let permit = match (access, call.command.origin) {
            (Access::Read, Origin::Payer | Origin::Grantee | Origin::Visitor) => {
                let limit = if self.shared(&call).is_none() { &self.short } else { &self.others };
                Some(limit.admit(&call.payer).map_err(|_too_many| {
                    because("too many slow reads of one payer are in progress");
                    CallError::Overloaded
                })?)
            }
            (Access::Write, _) | (Access::Read, Origin::Sweeper) => None,
        };
        let (apart, payer) = (Arc::clone(self), call.payer.clone());
        let (method, request) = (call.command.method, call.request.clone());
        let statement = tokio::spawn(async move {
            match permit {
                Some(permit) => {
                    let _running = permit.ready().await;
                    apart.read(&call).await
                }
                None => apart.send(access, &call).await,
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

    /// Runs a read once its payer has read earlier answers, and there is a connection for it.
    async fn read(&self, call: &Call) -> Result<String, (CallError, String)> {
        let gone = || Err((CallError::Overloaded, "the caller has gone".to_owned()));
        let unread = || Err((CallError::Overloaded, UNREAD_ANSWERS.to_owned()));
        if call.is_abandoned() {
            return gone();
        }
        if self.may_be_large(call) && !call.room_for_answer().await {
            return unread();
        }
        let _share = OptionFuture::from(self.shared(call).map(Semaphore::acquire)).await;
        match (call.is_abandoned(), self.may_be_large(call) && !call.has_room_for_answer()) {
            (true, _) => gone(),
            (_, true) => unread(),
            _ => self.send(Access::Read, call).await,
        }
    }

    /// Runs the statement of a call. If it fails, answers how the call ends, and the cause.
    async fn send(&self, access: Access, call: &Call) -> Result<String, (CallError, String)> {
        let calls = std::slice::from_ref(call);
        let statement = async {
            let mut connection = self.database.slow().acquire().await?;
            let started = Instant::now();
            let sent = statement::execute(&mut *connection, access, calls, Terms::waiting(LOCK_WAIT)).await;
            let took = started.elapsed();
            // A lost connection says nothing about the read.
            if access == Access::Read && (sent.is_ok() || took >= COSTLY_TIME) {
                let result_bytes = sent.iter().flat_map(|batch| &batch.results).map(String::len).sum::<usize>();
                self.learn(call, took, result_bytes);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_costly_if_it_is_slow_more_than_once() {
        let [short, slow] = [5, 4_000].map(Duration::from_millis);
        let after = |times: &[Duration]| times.iter().fold(None, |before, took| Some(usual(before, *took))).unwrap();
        assert!(after(&[short, slow, slow]) < COSTLY_TIME && after(&[short, slow, slow, slow]) >= COSTLY_TIME);
        assert!(after(&[slow]) >= COSTLY_TIME && after(&[slow, short, short, short]) >= COSTLY_TIME);
        assert!(after(&[[slow].as_slice(), &[short; 20]].concat()) < COSTLY_TIME);
    }
}
