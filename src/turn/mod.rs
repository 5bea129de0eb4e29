//! The turn: the one way in which every call of every primitive reaches the database.
//!
//! A call goes to the lane of its payer; what waits there goes out as one statement and one commit. Nothing is added to
//! the time of a lone call: batches form only while the one before is under way.

mod around;
mod busy;
mod lane;
mod method;
mod metrics;
mod outcome;
mod queue;
mod replicas;
mod slow;
mod statement;
mod transact;
mod waiting;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::OptionFuture;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

pub use around::{Around, Guard, IdempotencyKey};
pub use method::{Answer, Entry, Method, Operation, Path, Request, Seed, Site, Spec};
pub use replicas::Replicas;
pub use transact::{Results, TransactedCall, Transaction};
pub use waiting::{Kind as WaitFor, LOOK_EVERY, WAITING_MAX, WAITING_PAYER_MAX, Wait, WaitMs, Wake};

use crate::auth::{Payer, Tenant};
use crate::db::Database;
use crate::embeddings::Embeddings;
use crate::name::Name;
use crate::problem::{Code, Problem};
use crate::vector::Vector;
use busy::BusyPath;
use lane::Lane;
use metrics::Metrics;
use outcome::{Failure, Outcome};
use queue::{Call, Queue, Work};
use replicas::Untold;
use slow::{Place, Places};
use statement::Kind;
use waiting::Lines;

/// How long a call may take before it is answered with 503: what has not begun by then never runs.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the texts of a call may take to become vectors before it is answered with 503: it has not begun, and never runs.
pub const EMBEDDING_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether a write runs no more, for it has been answered under its key.
const HAS_ANSWER: Spec = Spec { name: "hasAnswer", path: Path::Read, scope: None, problems: &[] };

/// How long a write on the pool waits for the payer's lock.
const APART_LOCK_WAIT: Duration = Duration::from_millis(500);

impl Tenant {
    /// Runs a method for this payer: the only way to data.
    ///
    /// # Errors
    /// `missing-scope`, the problems of the method, and those of the lanes: `overloaded`, `payer-busy`,
    /// `database-unavailable`, and for writes `outcome-unknown`.
    pub async fn call<M: Method>(&self, request: Request<M>) -> Result<Answer<M::Output>, Problem> {
        let answer = self.run(request).await;
        self.measured(<M as Method>::SPEC.name, answer)
    }

    fn measured<T>(&self, method: &'static str, answer: Result<T, Problem>) -> Result<T, Problem> {
        let outcome = answer.as_ref().map_or_else(|problem| problem.code().slug(), |_output| "ok");
        self.turns().metrics.called(method, outcome);
        answer
    }

    async fn run<M: Method>(&self, request: Request<M>) -> Result<Answer<M::Output>, Problem> {
        let Request { mut method, around } = request;
        if let Some(scope) = <M as Method>::SPEC.scope {
            self.require(scope)?;
        }
        method.prepare(&self.seed(&around, 0))?;
        if let Some((vectors, model)) = self.embed(&method.texts(), &around).await? {
            method.embedded(vectors, &model);
        }
        while let Some(slug) = method.reserves() {
            if self.reserve(slug).await? {
                break;
            } else if method.is_taken() {
                return Err(Problem::new(Code::SlugTaken));
            }
        }
        let params = serde_json::to_string(&method).map_err(|error| unreadable(<M as Method>::SPEC.name, &error))?;
        let work = Work::new(params, method.weight());
        let mut answer = match method.wait() {
            Some(wait) => self.settle_in_line::<M>(&wait, work, &around).await?,
            None => self.settle(&<M as Method>::SPEC, work, &around).await?,
        };
        let wake = method.done(&mut answer.output, self.turns().site());
        self.wake(wake);
        Ok(answer)
    }

    /// Runs a call until it does not come in vain, or its patience ends. It stands in line from the start, so that it
    /// passes nobody and misses no wake.
    async fn settle_in_line<M: Method>(
        &self,
        wait: &Wait,
        work: Work,
        around: &Around,
    ) -> Result<Answer<M::Output>, Problem> {
        let deadline = Instant::now() + wait.patience;
        let place = self.turns().lines.join(self.payer(), wait.kind, &wait.name);
        let place = place.ok_or_else(|| Problem::new(Code::Overloaded))?;
        let mut is_in_time = place.is_first() || place.turn(Duration::MAX, deadline).await;
        loop {
            let outcome = self.settle(&<M as Method>::SPEC, work.clone(), around).await;
            match M::in_vain(&outcome) {
                Some(soon) if is_in_time => is_in_time = place.turn(soon, deadline).await,
                _ => return outcome,
            }
        }
    }

    /// Runs one call in its lane, and reads what it answers.
    async fn settle<T: DeserializeOwned>(
        &self,
        spec: &Spec,
        work: Work,
        around: &Around,
    ) -> Result<Answer<T>, Problem> {
        let answer = self.turns().run(spec, self.payer().clone(), work, around.params()).await?;
        match serde_json::from_str(&answer).map_err(|error| unreadable(spec.name, &error))? {
            Outcome::Ok(output) => Ok(Answer { output, is_replay: false }),
            Outcome::Replay(output) => Ok(Answer { output, is_replay: true }),
            Outcome::Problem(members) => Err(Problem::from_sql(members)),
        }
    }

    fn seed<'a>(&'a self, around: &'a Around, place: usize) -> Seed<'a> {
        let settings = &self.turns().settings;
        Seed {
            payer: self.payer().as_str(),
            key: around.key.as_ref(),
            place,
            site: self.turns().site(),
            language: &settings.language,
            can_embed: settings.embeddings.is_some(),
        }
    }

    /// Makes vectors of texts, and says what made them: nothing without texts or without a model, or for a write that has
    /// been answered already, which runs no more.
    async fn embed(&self, texts: &[&str], around: &Around) -> Result<Option<(Vec<Vector>, Name)>, Problem> {
        let Some(embeddings) = self.turns().settings.embeddings.as_ref().filter(|_| !texts.is_empty()) else {
            return Ok(None);
        };
        if let Some(key) = around.params().filter(|_| around.key.is_some())
            && self.settle::<bool>(&HAS_ANSWER, Work::new(key, 1), &Around::default()).await?.output
        {
            return Ok(None);
        }
        let place = self.turns().embedding.enter(self.payer())?;
        let started = Instant::now();
        let vectors = async {
            let _turn = place.turn().await;
            embeddings.embed(self.payer(), texts).await
        };
        let vectors = tokio::time::timeout(EMBEDDING_TIMEOUT, vectors).await;
        let vectors = vectors.unwrap_or_else(|_elapsed| {
            Err(Problem::new(Code::Overloaded).detail(
                "Nothing was changed: the texts did not become vectors within a minute. Try again later, or with fewer and shorter ones.",
            ))
        });
        self.turns().metrics.embedded(texts.len(), started.elapsed(), vectors.is_ok());
        Ok(Some((vectors?, embeddings.model().clone())))
    }

    /// Makes a slug this payer's, before the turn that uses it, unless it is another's: slugs belong to all payers
    /// together.
    async fn reserve(&self, slug: &str) -> Result<bool, Problem> {
        self.turns().database.reserve_slug(slug, self.payer().as_str()).await.map_err(|error| {
            tracing::warn!(%error, "cannot reserve a slug");
            Problem::new(Code::DatabaseUnavailable)
        })
    }

    fn wake(&self, wakes: impl IntoIterator<Item = Wake>) {
        for wake in wakes {
            self.turns().lines.wake(self.payer(), &wake);
            self.turns().untold.tell(self.payer(), wake);
        }
    }
}

fn unreadable(method: &str, error: &serde_json::Error) -> Problem {
    tracing::error!(method, %error, "a method and its SQL do not understand each other");
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

/// How to run turns.
#[derive(Clone)]
pub struct TurnSettings {
    /// How many lanes.
    pub lanes: LaneCounts,
    /// How often the first of those who wait looks for itself, for what nobody says.
    pub look_every: Duration,
    /// The text search configuration by which texts are read, beside `simple`.
    pub language: String,
    /// What makes vectors of texts.
    pub embeddings: Option<Arc<Embeddings>>,
}

/// All lanes of this process.
pub struct Turns {
    database: Database,
    settings: TurnSettings,
    site: Site,
    metrics: Arc<Metrics>,
    write: Vec<Arc<Queue>>,
    read: Vec<Arc<Queue>>,
    slow: Places,
    embedding: Places,
    busy: Arc<BusyPath>,
    lines: Arc<Lines>,
    untold: Untold,
    /// Lanes that nobody drives, write and read by turns.
    idle: Mutex<VecDeque<Lane>>,
    next_id: AtomicU64,
}

impl Turns {
    /// Makes the lanes. [`Turns::drive`] sets them to work.
    #[must_use]
    pub fn new(database: Database, settings: TurnSettings, site: Site, registry: &mut Registry) -> Arc<Self> {
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
        let (write, read) = (queues(settings.lanes.write), queues(settings.lanes.read));
        // By turns, so that every thread gets its part of both.
        let mut idle = VecDeque::new();
        for place in 0..write.len().max(read.len()) {
            idle.extend(write.get(place).map(|queue| lane(Kind::Write, queue)));
            idle.extend(read.get(place).map(|queue| lane(Kind::Read, queue)));
        }
        Arc::new(Self {
            database,
            lines: Arc::new(Lines::new(settings.look_every, registry)),
            settings,
            site,
            metrics,
            write,
            read,
            slow: Places::default(),
            embedding: Places::default(),
            busy: Arc::clone(&busy),
            untold: Untold::default(),
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

    /// Where people outside reach us.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Lane>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all waiting for what may come free: the server stops.
    pub fn end_waiting(&self) {
        self.lines.close();
    }

    /// Lets no more calls in, and ends the lanes when they have run what waits, as long as their threads go on.
    pub fn close(&self) {
        for queue in self.write.iter().chain(&self.read) {
            queue.close();
        }
    }

    async fn run(&self, spec: &Spec, payer: Payer, work: Work, around: Option<String>) -> Result<String, Failure> {
        let (reply, answer) = oneshot::channel();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let call = Call { id, payer, method: spec.name, work, around, queued: Instant::now(), reply };
        let queues = match spec.path {
            Path::Write => &self.write,
            Path::Read => &self.read,
            Path::WriteApart => return self.run_apart(Kind::Write, call).await,
            Path::SlowRead => return self.run_apart(Kind::Read, call).await,
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

    /// One autocommit statement on the pool, in no call's way. A payer gets a few at a time; the others wait for a place
    /// like everybody's.
    async fn run_apart(&self, kind: Kind, call: Call) -> Result<String, Failure> {
        let place = match kind {
            Kind::Read => Some(self.slow.enter(&call.payer)?),
            // The sweeper's, one at a time.
            Kind::Write => None,
        };
        let calls = [call];
        let statement = async {
            let _turn = OptionFuture::from(place.as_ref().map(Place::turn)).await;
            statement::run(self.database.pool(), kind, &calls, APART_LOCK_WAIT).await
        };
        match tokio::time::timeout(CALL_TIMEOUT, statement).await {
            Ok(Ok(answers)) => answers.results.into_iter().next().ok_or(Failure::Refused),
            Ok(Err(fault)) => Err(calls.first().map_or(Failure::Refused, |call| fault.end(kind, call.method))),
            Err(_elapsed) if kind == Kind::Write => Err(Failure::Unknown),
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
