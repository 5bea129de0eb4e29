//! All lanes of a process, and the threads that drive them.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::FutureExt as _;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;

use super::access::{Access, Batching, Load};
use super::apart::Apart;
use super::busy::BusyPath;
use super::call::{CALL_TIMEOUT, Call, CallResult, Command, NO_REPLY};
use super::error::CallError;
use super::inbox::Inbox;
use super::lane::Lane;
use super::metrics::{Inboxes, Metrics};
use crate::budget::Budget;
use crate::db::Database;
use crate::payer::Payer;
use crate::telemetry::because;

/// Bytes of large answers that wait to be sent.
const ANSWERS_BYTES_MAX: usize = 32 << 20;
/// Bytes of large answers of one payer that wait to be sent.
const ANSWERS_PAYER_SHARE: usize = 16 << 20;

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
    write: Vec<Arc<Inbox>>,
    read: Vec<Arc<Inbox>>,
    apart: Arc<Apart>,
    answers: Arc<Budget>,
    /// Lanes without a thread.
    idle: Mutex<VecDeque<Lane>>,
    next_id: AtomicU64,
}

impl Turns {
    /// Creates the lanes. [`Turns::drive`] starts them.
    #[must_use]
    pub fn new(database: Database, lanes: LaneCounts, registry: &mut Registry) -> Arc<Self> {
        let metrics = Arc::new(Metrics::register(registry));
        let busy = Arc::new(BusyPath::new(database.clone()));
        let answers = Budget::new(ANSWERS_BYTES_MAX, ANSWERS_PAYER_SHARE);
        let lane = |access, load, inbox: &Arc<Inbox>| Lane {
            access,
            load,
            inbox: Arc::clone(inbox),
            database: database.clone(),
            busy: Arc::clone(&busy),
            metrics: Arc::clone(&metrics),
            connection: None,
        };
        let inboxes = |access, count| -> Vec<Arc<Inbox>> { (0..count).map(|_| Inbox::new(access)).collect() };
        let (write, read) = (inboxes(Access::Write, lanes.write), inboxes(Access::Read, lanes.read));
        registry.register_collector(Box::new(Inboxes { write: write.clone(), read: read.clone() }));
        // Alternately, so that every thread gets lanes of all kinds.
        let mut idle = VecDeque::new();
        for index in 0..write.len().max(read.len()) {
            for load in [Load::Light, Load::Heavy] {
                idle.extend(write.get(index).map(|inbox| lane(Access::Write, load, inbox)));
                idle.extend(read.get(index).map(|inbox| lane(Access::Read, load, inbox)));
            }
        }
        Arc::new(Self {
            write,
            read,
            apart: Apart::new(database, Arc::clone(&answers)),
            answers,
            idle: Mutex::new(idle),
            next_id: AtomicU64::new(0),
        })
    }

    /// Drives the share of one of `threads` threads of the idle lanes, on the runtime of this thread. Every HTTP thread drives some lanes: a call whose lane
    /// is on its own thread needs no wake-up of another thread, which is most of the latency of a lone call.
    ///
    /// When the runtime ends, its lanes become idle again, for the thread that replaces it.
    pub fn drive(self: &Arc<Self>, threads: usize) {
        let count = 2 * (self.write.len() + self.read.len());
        for _ in 0..count.div_ceil(threads) {
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
    pub(crate) async fn dispatch(&self, payer: Payer, command: Command) -> Result<CallResult, CallError> {
        let (access, batching) = (command.access, command.batching);
        let (reply, answer) = oneshot::channel();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let call = Call::new(id, payer, command, reply, Arc::clone(&self.answers));
        if batching == Batching::Apart {
            return self.apart.run(access, call).await;
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
