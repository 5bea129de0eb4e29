//! All lanes of a process, and the threads that drive them.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::OptionFuture;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;

use super::access::{Access, Batching};
use super::busy::BusyPath;
use super::call::{self, Call, Command};
use super::error::CallError;
use super::inbox::Inbox;
use super::lane::Lane;
use super::metrics::{Inboxes, Metrics};
use super::send_error::SendError;
use super::statement;
use crate::db::{Database, POOL_SILENCE_MAX, POOL_WAIT};
use crate::payer::Payer;
use crate::payer_limit::{PayerLimit, Permit};
use crate::telemetry::{Current, because};

/// Time limit of a call. A call that has not begun by then is answered with 503 and never runs.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a write on the pool waits for the payer's lock.
const APART_LOCK_WAIT: Duration = Duration::from_millis(500);

/// Why a call failed whose statement did not end in time.
const NO_REPLY: &str = "the database did not reply in time";

/// Number of lanes.
#[derive(Clone, Copy, Debug)]
pub struct LaneCounts {
    /// Lanes for writes.
    pub write: usize,
    /// Lanes for fast reads.
    pub read: usize,
}

/// All lanes of this process.
pub struct Turns {
    database: Database,
    write: Vec<Arc<Inbox>>,
    read: Vec<Arc<Inbox>>,
    slow_reads: PayerLimit,
    /// Lanes without a thread, write and read alternately.
    idle: Mutex<VecDeque<Lane>>,
    next_id: AtomicU64,
}

impl Turns {
    /// Creates the lanes. [`Turns::drive`] starts them.
    #[must_use]
    pub fn new(database: Database, lanes: LaneCounts, registry: &mut Registry) -> Arc<Self> {
        let metrics = Arc::new(Metrics::register(registry));
        let busy = Arc::new(BusyPath::new(database.clone()));
        let lane = |access, inbox: &Arc<Inbox>| Lane {
            access,
            inbox: Arc::clone(inbox),
            database: database.clone(),
            busy: Arc::clone(&busy),
            metrics: Arc::clone(&metrics),
            connection: None,
            replied: Instant::now(),
        };
        let inboxes = |count| -> Vec<Arc<Inbox>> { (0..count).map(|_lane| Arc::default()).collect() };
        let (write, read) = (inboxes(lanes.write), inboxes(lanes.read));
        registry.register_collector(Box::new(Inboxes { write: write.clone(), read: read.clone() }));
        // Alternately, so that every thread gets lanes of both kinds.
        let mut idle = VecDeque::new();
        for index in 0..write.len().max(read.len()) {
            idle.extend(write.get(index).map(|inbox| lane(Access::Write, inbox)));
            idle.extend(read.get(index).map(|inbox| lane(Access::Read, inbox)));
        }
        Arc::new(Self {
            write,
            read,
            slow_reads: PayerLimit::default(),
            idle: Mutex::new(idle),
            next_id: AtomicU64::new(0),
            database,
        })
    }

    /// Drives up to `count` idle lanes on the runtime of this thread. Every HTTP thread drives some lanes: a call whose lane
    /// is on its own thread needs no wake-up of another thread, which is most of the latency of a lone call.
    ///
    /// When the runtime ends, its lanes become idle again, for the thread that replaces it.
    pub fn drive(self: &Arc<Self>, count: usize) {
        for _ in 0..count {
            let Some(lane) = self.idle().pop_front() else { return };
            let mut driven = Driven { turns: Arc::downgrade(self), lane: Some(lane) };
            tokio::spawn(async move {
                let Some(lane) = &mut driven.lane else { return };
                while AssertUnwindSafe(lane.drive()).catch_unwind().await.is_err() {
                    tracing::error!("a lane panicked; it continues with the next batch");
                    lane.connection = None;
                }
            });
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Lane>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses new calls. The lanes end when their inboxes are empty.
    pub fn close(&self) {
        for inbox in self.write.iter().chain(&self.read) {
            inbox.close();
        }
    }

    /// Runs one command for a payer, and answers the result of its method as JSON text.
    pub(crate) async fn dispatch(&self, payer: Payer, command: Command) -> Result<String, CallError> {
        let (access, batching) = (command.access, command.batching);
        let (reply, answer) = oneshot::channel();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let call = Call { id, payer, command, queued: Instant::now(), busy_tries: 0, request: Current::get(), reply };
        if batching == Batching::Apart {
            return self.dispatch_apart(access, call).await;
        }
        let inboxes = match access {
            Access::Write => &self.write,
            Access::Read => &self.read,
        };
        let inbox = lane_of(inboxes, &call.payer).ok_or(CallError::Unavailable)?;
        inbox.push(call).inspect_err(|error| {
            let is_stopping = *error == CallError::Unavailable;
            because(if is_stopping { "the server is stopping" } else { "the inbox of the lane is full" });
        })?;
        let (error, cause) = match tokio::time::timeout(CALL_TIMEOUT, answer).await {
            Ok(Ok(answer)) => return answer,
            // The lane panicked with the call: a bug.
            Ok(Err(_gone)) if access == Access::Read => (CallError::Refused, "the lane panicked"),
            Ok(Err(_gone)) => (CallError::OutcomeUnknown, "the lane panicked"),
            Err(_elapsed) => match inbox.withdraw(id) {
                Some(CallError::PayerBusy) => (CallError::PayerBusy, "the lock of the payer was not free in time"),
                Some(error) => (error, "the call had not begun in time"),
                None if access == Access::Read => (CallError::Unavailable, NO_REPLY),
                None => (CallError::OutcomeUnknown, NO_REPLY),
            },
        };
        because(cause);
        Err(error)
    }

    /// Runs one autocommit statement on the pool, so that it delays no call of a lane. A payer runs a few slow reads at a
    /// time; more of them wait. It runs in a task, so a client that hangs up neither breaks the connection nor gets another.
    async fn dispatch_apart(&self, access: Access, call: Call) -> Result<String, CallError> {
        let permit = match access {
            Access::Read => Some(self.slow_reads.admit(&call.payer).map_err(|_too_many| {
                because("too many slow reads of one payer are in progress");
                CallError::Overloaded
            })?),
            // Writes of the sweeper, one at a time.
            Access::Write => None,
        };
        let (database, method, request) = (self.database.clone(), call.command.method, call.request.clone());
        let statement = tokio::spawn(async move {
            let _running = OptionFuture::from(permit.as_ref().map(Permit::ready)).await;
            match call.is_abandoned() {
                true => Err((CallError::Overloaded, "the caller has gone".to_owned())),
                false => run_apart(&database, access, &[call]).await,
            }
        });
        let (error, cause) = match tokio::time::timeout(CALL_TIMEOUT, statement).await {
            Ok(Ok(Ok(result))) => return Ok(result),
            Ok(Ok(Err(failed))) => failed,
            Ok(Err(_panicked)) => (CallError::Refused, "its task panicked".to_owned()),
            Err(_elapsed) if access == Access::Write => (CallError::OutcomeUnknown, NO_REPLY.to_owned()),
            Err(_elapsed) => (CallError::Overloaded, NO_REPLY.to_owned()),
        };
        call::because(request.as_deref(), error, format!("{method}: {cause}"));
        Err(error)
    }
}

/// Runs the statement of one call on the pool. If it fails, answers how the call ends, and the cause.
async fn run_apart(database: &Database, access: Access, calls: &[Call]) -> Result<String, (CallError, String)> {
    let statement = async {
        let mut connection = database.slow().acquire().await?;
        statement::execute(&mut *connection, access, calls, APART_LOCK_WAIT).await
    };
    let sent = tokio::time::timeout(POOL_WAIT + POOL_SILENCE_MAX, statement).await;
    let error = match sent.unwrap_or_else(|_silent| Err(SendError::silence())) {
        Ok(batch) => {
            let result = batch.results.into_iter().next();
            return result.ok_or_else(|| (CallError::Refused, "it has no result".to_owned()));
        }
        Err(error) => error,
    };
    Err(match (error.is_pool_timeout(), database.away()) {
        (true, Some(cause)) => (CallError::Unavailable, cause),
        _ => (error.of_call(access), error.to_string()),
    })
}

/// A lane at work. When the work ends, the lane becomes idle.
struct Driven {
    turns: Weak<Turns>,
    lane: Option<Lane>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        if let (Some(turns), Some(mut lane)) = (self.turns.upgrade(), self.lane.take()) {
            // The connection belongs to the runtime that ended.
            lane.connection = None;
            turns.idle().push_back(lane);
        }
    }
}

/// The lane of a payer is always the same. All lanes belong to the one node that `tenant.routes()` names; on a cluster, the
/// node is looked up first, and this function chooses among the lanes of that node.
fn lane_of<'a>(inboxes: &'a [Arc<Inbox>], payer: &Payer) -> Option<&'a Arc<Inbox>> {
    let mut hasher = DefaultHasher::new();
    payer.hash(&mut hasher);
    let lanes = u64::try_from(inboxes.len()).ok().filter(|lanes| *lanes > 0)?;
    inboxes.get(usize::try_from(hasher.finish() % lanes).ok()?)
}
