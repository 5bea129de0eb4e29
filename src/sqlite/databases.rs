//! The databases of all payers: runs calls in the workers, on the pages in PostgreSQL.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::cache::{Cache, Image, SharedPage};
use super::commit::{Commit, INLINE_PAGES_MAX, Ran};
use super::engine::Stopped;
use super::limits::{
    PAGE_BYTES, PAGES_MAX, SQL_CALLS_WAITING_MAX, SQL_DATABASE_BYTES_MAX, SQL_IMPORT_TIME_MAX, SQL_TIME_MAX,
    SQL_WRITES_WAITING_MAX,
};
use super::metrics::{SqlMetrics, WorkerMetrics};
use super::pages::CallPages;
use super::process::{HeldByCall, Worker};
use super::running_call::{CallDone, NotRun, RunningCall, SqlCall};
use super::statement::Task;
use super::store::{Store, Whole};
use super::tables::TABLES;
use super::wire::Head;
use super::worker::Kind;
use crate::budget::{Budget, Held};
use crate::db::Database;
use crate::payer::Payer;
use crate::payer_limit::{PayerLimit, Permit};
use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// Time of the processor in the fast worker. A call that needs more runs again in the slow one: nothing has happened yet.
const FAST_TIME: Duration = Duration::from_millis(10);
/// How long a call may take, with its waiting and all its tries.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// How often a call runs again because its turn refused the version that it had read.
const CONFLICTS_MAX: u32 = 8;
/// How long a call waits for the slow worker.
const SLOW_PATIENCE: Duration = Duration::from_secs(10);
/// How long a write waits for other writes of its payer.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Calls of a payer that run at the same time; a database runs one at a time.
const CALLS_RUNNING_MAX: usize = 4;
/// How often a call runs because the database changed meanwhile.
const TRIES: usize = 5;
/// Time of the processor that a call has in the slow worker before it waits again, with those that need longer.
const SLICE_TIME: Duration = Duration::from_millis(200);
/// Calls of each kind that the slow worker runs at the same time.
const SLOW_CALLS: usize = 2;
/// Memory of files that are exported: four of the largest.
const FILES_BYTES_MAX: usize = 64 << 20;
/// Calls of a payer that wait for the slow worker.
const SLOW_WAITING_MAX: usize = 8;

/// The databases of all payers.
pub(crate) struct Databases {
    fast: (Worker, WorkerMetrics),
    slow: (Worker, WorkerMetrics),
    cache: Cache,
    store: Store,
    writers: PayerLimit,
    callers: PayerLimit,
    /// One call of a payer at a time waits for the slow worker, so that payers take turns.
    slow_payers: PayerLimit,
    /// Calls that have a slice of time there, and those that have used it. So the first wait for no endless statement.
    slow_calls: Arc<Semaphore>,
    long_calls: Arc<Semaphore>,
    /// One import runs at a time: it needs several times the memory of its file.
    imports: Arc<Semaphore>,
    /// Memory of files that are exported.
    files: Arc<Budget>,
    metrics: SqlMetrics,
}

/// A file on its way to its reader.
#[derive(Debug)]
pub(crate) struct File {
    pub bytes: Vec<u8>,
    /// Its part of the memory for files.
    pub held: Held,
}

/// The version that a call has read.
struct Base {
    head: Head,
    /// Whether it was the newest at a moment during the call: then it is new enough for a read.
    is_new: bool,
}

/// What happened to a call before.
pub(crate) struct Tries {
    /// When it must have ended.
    deadline: Instant,
    /// How often its turn refused the version that it had read.
    conflicts: u32,
}

impl Default for Tries {
    fn default() -> Self {
        Self { deadline: Instant::now() + CALL_TIME_MAX, conflicts: 0 }
    }
}

impl Tries {
    /// Counts a refusal. Returns whether the call may run again.
    pub fn again(&mut self) -> bool {
        self.conflicts += 1;
        self.conflicts <= CONFLICTS_MAX
    }
}

impl Databases {
    /// Starts no process: the first call does.
    ///   program  this program
    pub fn new(database: Database, program: PathBuf, registry: &mut Registry) -> Self {
        let metrics = SqlMetrics::register(registry);
        let worker = |kind| (Worker::new(kind, program.clone(), metrics.of(kind)), metrics.of(kind));
        Self {
            fast: worker(Kind::Fast),
            slow: worker(Kind::Slow),
            cache: Cache::new(),
            store: Store::new(database, metrics.clone()),
            writers: PayerLimit::new(1, SQL_WRITES_WAITING_MAX),
            callers: PayerLimit::new(CALLS_RUNNING_MAX, SQL_CALLS_WAITING_MAX),
            slow_payers: PayerLimit::new(1, SLOW_WAITING_MAX),
            slow_calls: Arc::new(Semaphore::new(SLOW_CALLS)),
            long_calls: Arc::new(Semaphore::new(SLOW_CALLS)),
            imports: Arc::new(Semaphore::new(1)),
            files: Budget::new(FILES_BYTES_MAX, SQL_DATABASE_BYTES_MAX),
            metrics,
        }
    }

    /// Waits for the other writes of the payer in this process, so that they do not disturb each other.
    pub async fn writer(&self, payer: &Payer) -> Result<(Permit, Option<OwnedSemaphorePermit>), Problem> {
        let busy = || Problem::new(Code::DatabaseBusy);
        let permit = self.writers.admit(payer).map_err(|_too_many| busy())?;
        let running = tokio::time::timeout(WRITE_PATIENCE, permit.ready()).await.map_err(|_elapsed| busy())?;
        Ok((permit, running))
    }

    /// Runs a call on the newest version of the database.
    ///   tries  what happened to it before
    pub async fn run(self: &Arc<Self>, payer: &Payer, call: &SqlCall, tries: &Tries) -> Result<Ran, NotRun> {
        if tries.conflicts > 0 {
            self.metrics.conflict();
        }
        let running = self.run_within(payer, call, tries.conflicts > 0);
        tokio::time::timeout_at(tries.deadline, running).await.map_err(|_elapsed| {
            because("a call of SQL took too long, with its waiting");
            Problem::new(Code::Overloaded)
        })?
    }

    async fn run_within(self: &Arc<Self>, payer: &Payer, call: &SqlCall, is_again: bool) -> Result<Ran, NotRun> {
        let permit = self.callers.admit(payer).map_err(|_too_many| {
            because("too many calls of SQL of one payer");
            Problem::new(Code::Overloaded)
        })?;
        let running = permit.ready().await;
        // Also a call whose caller has hung up counts until it ends in its worker.
        let held: HeldByCall = Arc::new((permit, running));
        let image = self.cache.image(payer);
        let known = image.head().filter(|_| !is_again).map(|head| Base { head, is_new: false });
        let mut base = match known {
            Some(known) => known,
            None => self.learn(payer, &image).await?,
        };
        let mut has_moved = false;
        let mut tables = BTreeMap::new();
        // Each run may name one more table of primitives than the one before it.
        for _ in 0..TRIES + TABLES.len() {
            let mut pages = CallPages::new(payer, base.head, &image, &self.cache, &self.store);
            pages.tables = std::mem::take(&mut tables);
            if has_moved {
                pages.read_whole().await?;
                base = Base { head: pages.head, is_new: true };
            }
            let ran = self.run_on(&mut pages, call, &held).await;
            if pages.head != base.head {
                base = Base { head: pages.head, is_new: true };
            }
            match ran {
                Ok(done) => return self.prepare_turn(payer, call, base, done).await.map_err(NotRun::Problem),
                Err(NotRun::Stopped { stopped: Stopped::Moved, .. }) => {
                    self.metrics.conflict();
                    tables = std::mem::take(&mut pages.tables);
                    has_moved = !pages.have_tables_moved;
                    if pages.have_tables_moved {
                        // Quickly, so that no other write comes in between.
                        base = self.learn(payer, &image).await?;
                    }
                }
                // Another version may be the newest, in which a table is there that this one does not have.
                Err(not_run @ (NotRun::Stopped { .. } | NotRun::NoRight(_))) if !base.is_new => {
                    let newest = self.learn(payer, &image).await?;
                    if newest.head == base.head {
                        return Err(not_run);
                    }
                    base = newest;
                }
                Err(not_run) => return Err(not_run),
            }
        }
        Err(Problem::new(Code::DatabaseBusy).into())
    }

    /// Reads the newest version.
    async fn learn(&self, payer: &Payer, image: &Arc<Image>) -> Result<Base, Problem> {
        let since = image.head();
        let (head, changed) = self.store.head(payer, since).await?;
        image.learn(head, since, changed.as_deref());
        Ok(Base { head, is_new: true })
    }

    /// Runs a call in the fast worker; in the slow one, if it needs longer.
    async fn run_on(&self, pages: &mut CallPages<'_>, call: &SqlCall, held: &HeldByCall) -> Result<CallDone, NotRun> {
        let is_import = matches!(call.tasks.as_slice(), [Task::Import(_)]);
        if !is_import {
            match self.run_in(&self.fast, pages, call, FAST_TIME, held).await {
                // The slow worker has memory of its own.
                Err(NotRun::Stopped { stopped: Stopped::Timeout | Stopped::Late | Stopped::Crowded, .. }) => {}
                ended => return ended,
            }
            match self.run_slowly(pages, call, held, &self.slow_calls, SLICE_TIME).await {
                Err(NotRun::Stopped { stopped: Stopped::Timeout | Stopped::Late, .. }) => {}
                ended => return ended,
            }
        }
        let (calls, time) = match is_import {
            true => (&self.imports, SQL_IMPORT_TIME_MAX),
            false => (&self.long_calls, SQL_TIME_MAX),
        };
        self.run_slowly(pages, call, held, calls, time).await
    }

    /// Waits for a place in the slow worker, and runs a call there.
    async fn run_slowly(
        &self,
        pages: &mut CallPages<'_>,
        call: &SqlCall,
        held: &HeldByCall,
        calls: &Arc<Semaphore>,
        time: Duration,
    ) -> Result<CallDone, NotRun> {
        let overloaded = || {
            because("too many calls wait for the slow worker of SQL");
            Problem::new(Code::Overloaded)
        };
        let had_whole = pages.free();
        let permit = self.slow_payers.admit(pages.payer).map_err(|_too_many| overloaded())?;
        let place = async {
            let running = permit.ready().await;
            (running, Arc::clone(calls).acquire_owned().await)
        };
        let place = tokio::time::timeout(SLOW_PATIENCE, place).await.map_err(|_elapsed| overloaded())?;
        let held: HeldByCall = Arc::new((permit, place, Arc::clone(held)));
        if had_whole {
            pages.read_whole().await?;
        }
        self.run_in(&self.slow, pages, call, time, &held).await
    }

    /// Runs a call in a worker, and once more if that dies.
    ///   held  its place in the worker, until it has ended there
    async fn run_in(
        &self,
        (worker, metrics): &(Worker, WorkerMetrics),
        pages: &mut CallPages<'_>,
        call: &SqlCall,
        time: Duration,
        held: &HeldByCall,
    ) -> Result<CallDone, NotRun> {
        let started = Instant::now();
        for _ in 0..2 {
            let running = RunningCall::start(worker, pages, call, time, Arc::clone(held))?;
            let ended = running.end(pages, call).await;
            metrics.took(started.elapsed());
            if let Some(ended) = ended {
                if let Err(NotRun::Stopped { stopped, .. }) = &ended {
                    metrics.stopped(stopped);
                }
                return ended;
            }
        }
        because("the worker of SQL died twice");
        Err(Problem::new(Code::Overloaded).into())
    }

    /// Prepares the turn: the check of the version, or the commit.
    async fn prepare_turn(
        self: &Arc<Self>,
        payer: &Payer,
        call: &SqlCall,
        Base { head, is_new }: Base,
        done: CallDone,
    ) -> Result<Ran, Problem> {
        let CallDone { next, results, pages, page_count } = done;
        if pages.is_empty() {
            // A read of a version that was the newest during the call needs no check.
            let base = (call.must_be_newest || !is_new).then_some(head);
            return Ok(Ran { results, base, commit: None });
        }
        let new = Head { version: head.version + 1, id: next, page_count };
        let stage = match pages.len() > INLINE_PAGES_MAX {
            true => Some(self.stage(payer, &pages).await?),
            false => None,
        };
        Ok(Ran { results, base: Some(head), commit: Some(Commit { new, pages, stage }) })
    }

    /// Puts pages aside, in a task of its own: if the caller hangs up meanwhile, they are deleted after that.
    async fn stage(self: &Arc<Self>, payer: &Payer, pages: &[(u32, SharedPage)]) -> Result<Uuid, Problem> {
        let stage = Uuid::now_v7();
        let (caller, answer) = oneshot::channel();
        let (databases, payer, pages) = (Arc::clone(self), payer.clone(), pages.to_vec());
        tokio::spawn(async move {
            let is_staged = databases.store.stage(&payer, stage, &pages).await;
            if let Err(Ok(true)) = caller.send(is_staged) {
                databases.store.unstage(&payer, stage).await;
            }
        });
        match answer.await {
            Ok(Ok(true)) => Ok(stage),
            Ok(Ok(false)) => {
                because("many pages of writes of the payer that did not happen are put aside");
                Err(Problem::new(Code::DatabaseBusy).detail(
                    "Nothing was changed. Too many pages of earlier writes are put aside: they are deleted within 10 minutes.",
                ))
            }
            Ok(Err(problem)) => Err(problem),
            Err(_stopped) => Err(Problem::new(Code::DatabaseUnavailable)),
        }
    }

    /// The database as a file of SQLite, at its newest version.
    pub async fn file(&self, payer: &Payer) -> Result<File, Problem> {
        let mut held = self.files.hold(payer, 0);
        if !held.grow_in_time(SQL_DATABASE_BYTES_MAX).await {
            because("too many databases of SQL are exported");
            return Err(Problem::new(Code::Overloaded));
        }
        let largest = Head { page_count: PAGES_MAX, ..Head::default() };
        let Whole { head, pages, held: _read } = self.store.whole(payer, &largest).await?;
        // SQLite does not write a page that it has added and freed in one transaction.
        let mut bytes = vec![0; usize::try_from(head.page_count).unwrap_or_default() * PAGE_BYTES];
        let mut places: Vec<_> = bytes.chunks_mut(PAGE_BYTES).map(Some).collect();
        for (number, _version, page) in pages {
            let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            if let Some(place) = index.and_then(|index| places.get_mut(index)).and_then(Option::take) {
                place.copy_from_slice(&*page);
            }
        }
        if bytes.is_empty() {
            bytes = empty_file();
        }
        Ok(File { held: self.files.hold(payer, bytes.len()), bytes })
    }

    /// The turn of a call was refused.
    pub async fn refused(&self, payer: &Payer, commit: &Commit) {
        if let Some(stage) = commit.stage {
            self.store.unstage(payer, stage).await;
        }
    }

    /// The commit of a call has happened.
    pub fn committed(&self, payer: &Payer, base: &Head, commit: Commit) {
        let image = self.cache.image(payer);
        image.written(base, commit.new, commit.pages);
        self.cache.weigh(payer, &image);
    }
}

/// A file without tables, as SQLite writes it (<https://sqlite.org/fileformat2.html>).
fn empty_file() -> Vec<u8> {
    let fields: [(usize, &[u8]); 9] = [
        (0, b"SQLite format 3\0"),
        // The size of a page; a journal for rollback; no bytes reserved; constants.
        (16, &[0x10, 0, 1, 1, 0, 64, 32, 32]),
        // The counter of changes, and the number of pages.
        (24, &[0, 0, 0, 1, 0, 0, 0, 1]),
        // The format of the schema.
        (44, &[0, 0, 0, 4]),
        // UTF-8.
        (56, &[0, 0, 0, 1]),
        // The counter of changes at which the number of pages was right, and the version of SQLite.
        (92, &[0, 0, 0, 1]),
        (96, &3_054_001_u32.to_be_bytes()),
        // A leaf without cells, whose content begins at the end of the page.
        (100, &[13]),
        (105, &[0x10, 0]),
    ];
    let mut file = vec![0; PAGE_BYTES];
    for (at, bytes) in fields {
        if let Some(place) = file.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
    file
}
