//! The turn: the one way in which every call of every primitive reaches the database.
//!
//! A call goes to the lane of its payer; what waits there goes out as one statement and one commit. Nothing is added to
//! the time of a lone call: batches form only while the one before is under way.

mod busy;
mod lane;
mod metrics;
mod outcome;
mod queue;
mod slow;
mod statement;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::auth::{Payer, Scope, Tenant};
use crate::db::Database;
use crate::problem::{Code, Problem};
use busy::BusyPath;
use lane::Lane;
use metrics::Metrics;
use outcome::{Failure, Outcome};
use queue::{Call, Queue};
use slow::SlowReads;
use statement::Kind;

/// How long a call may take before it is answered with 503: what has not begun by then never runs.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// On which way a method runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// In a turn, under the payer's lock, in a batch.
    Write,
    /// Without a lock, in a batch.
    Read,
    /// Without a lock and alone, so that it never stands before a fast call: listings and statistics.
    SlowRead,
}

/// What there is to know about a method before it is called.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its one name, from the `operationId` to SQL.
    pub name: &'static str,
    /// On which way it runs.
    pub path: Path,
    /// What the caller needs.
    pub scope: Option<Scope>,
    /// The problems of its own; those that every method can meet are added to all.
    pub problems: &'static [Code],
}

/// An operation that a payer can call: its value is the parameters, parsed.
pub trait Method: Serialize + DeserializeOwned + Send + 'static {
    /// What it answers.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// What there is to know about it.
    const SPEC: Spec;
}

impl Tenant {
    /// Runs a method for this payer: the only way to data.
    ///
    /// # Errors
    /// `missing-scope`, the problems of the method, and those of the lanes: `overloaded`, `payer-busy`,
    /// `database-unavailable`, and for writes `outcome-unknown`.
    pub async fn call<M: Method>(&self, method: M) -> Result<M::Output, Problem> {
        let answer = self.run(method).await;
        let outcome = answer.as_ref().map_or_else(|problem| problem.code().slug(), |_output| "ok");
        self.turns().metrics.called(M::SPEC.name, outcome);
        answer
    }

    async fn run<M: Method>(&self, method: M) -> Result<M::Output, Problem> {
        if let Some(scope) = M::SPEC.scope {
            self.require(scope)?;
        }
        let params = serde_json::to_string(&method).map_err(|error| unreadable::<M>(&error))?;
        let answer = self.turns().run(&M::SPEC, self.payer().clone(), params).await?;
        match serde_json::from_str(&answer).map_err(|error| unreadable::<M>(&error))? {
            Outcome::Ok(output) => Ok(output),
            Outcome::Problem(members) => Err(Problem::from_sql(members)),
        }
    }
}

fn unreadable<M: Method>(error: &serde_json::Error) -> Problem {
    tracing::error!(method = M::SPEC.name, %error, "a method and its SQL do not understand each other");
    Problem::new(Code::Internal)
}

/// How many lanes there are.
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
    metrics: Arc<Metrics>,
    write: Vec<Arc<Queue>>,
    read: Vec<Arc<Queue>>,
    slow: SlowReads,
    busy: Arc<BusyPath>,
    /// Lanes that nobody drives, write and read by turns.
    idle: Mutex<VecDeque<Lane>>,
    next_id: AtomicU64,
}

impl Turns {
    /// Makes the lanes. [`Turns::drive`] sets them to work.
    #[must_use]
    pub fn new(database: Database, lanes: LaneCounts, registry: &mut Registry) -> Arc<Self> {
        let metrics = Arc::new(Metrics::register(registry));
        let busy = Arc::new(BusyPath::new(database.clone()));
        let lane = |kind, queue: &Arc<Queue>| Lane {
            kind,
            queue: Arc::clone(queue),
            database: database.clone(),
            busy: Arc::clone(&busy),
            metrics: Arc::clone(&metrics),
            connection: None,
            heard: Instant::now(),
        };
        let queues = |count| -> Vec<Arc<Queue>> { (0..count).map(|_place| Arc::default()).collect() };
        let (write, read) = (queues(lanes.write), queues(lanes.read));
        // By turns, so that every thread gets its part of both.
        let mut idle = VecDeque::new();
        for place in 0..write.len().max(read.len()) {
            idle.extend(write.get(place).map(|queue| lane(Kind::Write, queue)));
            idle.extend(read.get(place).map(|queue| lane(Kind::Read, queue)));
        }
        Arc::new(Self {
            database,
            metrics,
            write,
            read,
            slow: SlowReads::default(),
            busy: Arc::clone(&busy),
            idle: Mutex::new(idle),
            next_id: AtomicU64::new(0),
        })
    }

    /// Drives up to `count` of the idle lanes on this thread's runtime. Every thread that serves HTTP drives its part: a
    /// call whose lane is on its own thread wakes no other one, which is most of what a lone call could wait for.
    ///
    /// When the runtime ends, its lanes are idle again, for the thread that takes its place.
    pub fn drive(self: &Arc<Self>, count: usize) {
        for _ in 0..count {
            let Some(lane) = self.idle().pop_front() else { return };
            let mut driven = Driven { turns: Arc::downgrade(self), lane: Some(lane) };
            tokio::spawn(async move {
                let Some(lane) = &mut driven.lane else { return };
                while AssertUnwindSafe(lane.run()).catch_unwind().await.is_err() {
                    tracing::error!("a lane panicked; it goes on with the next batch");
                    lane.connection = None;
                }
            });
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Lane>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no more calls in, and ends the lanes when they have run what waits, as long as their threads go on.
    pub fn close(&self) {
        for queue in self.write.iter().chain(&self.read) {
            queue.close();
        }
    }

    async fn run(&self, spec: &Spec, payer: Payer, params: String) -> Result<String, Failure> {
        let (reply, answer) = oneshot::channel();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let call = Call { id, payer, method: spec.name, params, queued: Instant::now(), reply };
        let queues = match spec.path {
            Path::Write => &self.write,
            Path::Read => &self.read,
            Path::SlowRead => return self.run_slowly(call).await,
        };
        let payer = call.payer.clone();
        let queue = lane_of(queues, &payer).ok_or(Failure::Unavailable)?;
        queue.push(call)?;
        match tokio::time::timeout(CALL_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            // The lane died with the call: a panic, which is a bug.
            Ok(Err(_gone)) if spec.path == Path::Read => Err(Failure::Refused),
            Ok(Err(_gone)) => Err(Failure::Unknown),
            Err(_elapsed) if queue.withdraw(id) => Err(Failure::Overloaded),
            Err(_elapsed) if self.busy.withdraw(&payer, id) => Err(Failure::PayerBusy),
            Err(_elapsed) if spec.path == Path::Read => Err(Failure::Unavailable),
            Err(_elapsed) => Err(Failure::Unknown),
        }
    }

    /// A slow read: one autocommit statement on the pool, in no call's way. A payer gets a few at a time; the others
    /// wait for a place like everybody's.
    async fn run_slowly(&self, call: Call) -> Result<String, Failure> {
        let place = self.slow.enter(&call.payer)?;
        let calls = [call];
        let statement = async {
            let _turn = place.turn().await;
            statement::run(self.database.pool(), Kind::Read, &calls, Duration::ZERO).await
        };
        match tokio::time::timeout(CALL_TIMEOUT, statement).await {
            Ok(Ok(answers)) => answers.results.into_iter().next().ok_or(Failure::Refused),
            Ok(Err(fault)) => Err(calls.first().map_or(Failure::Refused, |call| fault.end(Kind::Read, call.method))),
            Err(_elapsed) => Err(Failure::Overloaded),
        }
    }
}

/// A lane at work. Whatever ends the work, the lane is there for the next one to drive it.
struct Driven {
    turns: Weak<Turns>,
    lane: Option<Lane>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        if let (Some(turns), Some(mut lane)) = (self.turns.upgrade(), self.lane.take()) {
            // It belongs to the runtime that ended.
            lane.connection = None;
            turns.idle().push_back(lane);
        }
    }
}

/// A payer always has the same lane. All lanes belong to the one node that `tenant.routes()` names; on a cluster the node
/// is looked up first, and this chooses among the lanes of that node.
fn lane_of<'a>(queues: &'a [Arc<Queue>], payer: &Payer) -> Option<&'a Arc<Queue>> {
    let mut hasher = DefaultHasher::new();
    payer.hash(&mut hasher);
    let lanes = u64::try_from(queues.len()).ok().filter(|lanes| *lanes > 0)?;
    queues.get(usize::try_from(hasher.finish() % lanes).ok()?)
}
