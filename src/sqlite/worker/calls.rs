//! The calls of a worker, and the threads that run them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::open::{Idle, Open};
use super::server::Server;
use super::waiting::{Waiting, Waits};
use crate::sqlite::engine::{Done, Engine, Failed, Limits, Page, Pages, Stopped, Work};
use crate::sqlite::statement::Task;
use crate::sqlite::tables::{Rows, TABLES};
use crate::sqlite::wire::{FromWorker, Run, SentPage, SentTables};

/// Time after which running calls look at their time.
const TICK: Duration = Duration::from_millis(2);

/// The calls of a worker.
pub(super) struct Calls {
    engine: Engine,
    server: Server,
    idle: Idle,
    /// How many pages a call keeps outside of the memory of SQLite.
    kept_max: usize,
    waiting: Arc<Waiting<WaitingCall>>,
    /// The ways to the calls that wait or run, by their ids.
    lines: Mutex<HashMap<u64, Line>>,
}

/// The way to a call.
struct Line {
    answers: Sender<Answer>,
    is_cancelled: Arc<AtomicBool>,
}

/// What the server answers to a question.
enum Answer {
    Pages(Option<Vec<SentPage>>),
    Tables(SentTables),
}

/// A call, and its way to the server.
struct WaitingCall {
    run: Run,
    pages: ServerPages,
}

impl Waits for WaitingCall {
    fn database(&self) -> &str {
        &self.run.database
    }
}

impl Calls {
    ///   active  how many calls run at the same time, and how many if those are long, beside those that wait for pages
    pub fn new(
        engine: Engine,
        server: Server,
        databases_max: u32,
        kept_max: usize,
        [active_usual, active_max]: [usize; 2],
    ) -> Self {
        let idle = Idle::new(usize::try_from(databases_max).unwrap_or(usize::MAX));
        let waiting = Arc::new(Waiting::new(active_usual, active_max));
        Self { engine, server, idle, kept_max, waiting, lines: Mutex::default() }
    }

    /// Lets running calls look at their time, for ever. It sleeps while no call runs.
    pub fn tick_all(&self) {
        loop {
            self.waiting.until_busy();
            std::thread::sleep(TICK);
            self.engine.tick();
            self.waiting.tick();
        }
    }

    /// Adds a call.
    pub fn add(&self, run: Run) {
        let (to_call, answers) = channel();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        self.lines().insert(run.id, Line { answers: to_call, is_cancelled: Arc::clone(&is_cancelled) });
        let (server, waiting) = (self.server.clone(), Arc::clone(&self.waiting));
        let (id, kept_max, sent) = (run.id, self.kept_max, HashMap::new());
        let pages = ServerPages { id, server, waiting, answers, is_cancelled, sent, kept_max };
        self.waiting.add(WaitingCall { run, pages });
    }

    /// Gives pages to the call that asked for one.
    pub fn give_pages(&self, id: u64, pages: Option<Vec<SentPage>>) {
        self.give(id, Answer::Pages(pages));
    }

    /// Gives tables to the call that asked for them.
    pub fn give_tables(&self, id: u64, tables: SentTables) {
        self.give(id, Answer::Tables(tables));
    }

    fn give(&self, id: u64, answer: Answer) {
        // A call that has ended needs none.
        if let Some(line) = self.lines().get(&id) {
            let _ended = line.answers.send(answer);
        }
    }

    /// Ends a call.
    pub fn cancel(&self, id: u64) {
        if let Some(line) = self.lines().get(&id) {
            line.is_cancelled.store(true, Ordering::Relaxed);
            // It may wait for an answer.
            let _ended = line.answers.send(Answer::Pages(None));
        }
    }

    /// Runs calls, for ever.
    pub fn run_all(&self) {
        loop {
            let WaitingCall { run, pages } = self.waiting.next();
            let (id, name) = (run.id, run.database.clone());
            let ended = self.run(run, pages);
            self.lines().remove(&id);
            self.waiting.free(&name);
            self.server.send(&message(id, ended));
            if let Some(kept) = self.idle.news(self.engine.memory()) {
                self.server.send(&FromWorker::Kept(kept));
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<u64, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call to its end.
    fn run(&self, run: Run, pages: ServerPages) -> Result<(Done, Vec<String>), Failed> {
        if pages.is_cancelled() {
            return Err(of_opening(Stopped::Late));
        }
        let time = Duration::from_micros(run.time_us);
        let pages = Shared::new(pages);
        if let [Task::Import(file)] = run.tasks.as_slice() {
            let done =
                self.engine.import(file, time, [Box::new(pages.clone()), Box::new(pages)]).map_err(of_opening)?;
            return with_results(done);
        }
        let mut open = match self.idle.take(&run.database, run.head.id) {
            Some(open) => open,
            None => {
                let database =
                    self.engine.open(run.head.page_count, Box::new(pages.clone()), time).map_err(of_opening)?;
                Open { database, version: run.head.id }
            }
        };
        let limits = Limits { time, rows: run.rows_max, bytes: run.bytes_max };
        let work = Work { tasks: &run.tasks, may_write: run.may_write, limits };
        let done = open.database.run(&work, Box::new(pages));
        if done.as_ref().err().is_none_or(|failed| failed.is_usable) {
            if done.as_ref().is_ok_and(|done| !done.pages.is_empty()) {
                open.version = run.next;
            }
            self.idle.put(run.database, open);
        }
        with_results(done?)
    }
}

/// The results as JSON.
fn with_results(done: Done) -> Result<(Done, Vec<String>), Failed> {
    match done.results.iter().map(serde_json::to_string).collect() {
        Ok(results) => Ok((done, results)),
        Err(_no_json) => Err(of_opening(Stopped::Broken)),
    }
}

fn of_opening(stopped: Stopped) -> Failed {
    Failed { index: 0, stopped, is_usable: false }
}

fn message(id: u64, ended: Result<(Done, Vec<String>), Failed>) -> FromWorker {
    match ended {
        Ok((done, results)) => {
            let pages = done.pages.iter().map(|(number, page)| SentPage::new(*number, &**page)).collect();
            FromWorker::Done { id, results, pages, page_count: done.page_count }
        }
        Err(Failed { index, stopped, .. }) => FromWorker::Stopped { id, index, stopped },
    }
}

/// The pages of a call: those that the server has sent, and its answers to questions.
struct ServerPages {
    id: u64,
    server: Server,
    waiting: Arc<Waiting<WaitingCall>>,
    answers: Receiver<Answer>,
    is_cancelled: Arc<AtomicBool>,
    sent: HashMap<u32, Page>,
    kept_max: usize,
}

impl ServerPages {
    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    fn page(&mut self, number: u32) -> Option<Page> {
        if let Some(page) = self.kept(number) {
            return Some(page);
        }
        // Nobody would answer.
        if self.is_cancelled() {
            return None;
        }
        let Some(Answer::Pages(Some(pages))) = self.ask(&FromWorker::Need { id: self.id, page: number }) else {
            return None;
        };
        self.sent.extend(pages.into_iter().filter_map(SentPage::checked));
        self.kept(number)
    }

    fn tables(&mut self, numbers: &[usize]) -> Result<Vec<(usize, Rows)>, Stopped> {
        if self.is_cancelled() {
            return Err(Stopped::Late);
        }
        let sent = match self.ask(&FromWorker::NeedTables { id: self.id, tables: numbers.to_vec() }) {
            Some(Answer::Tables(SentTables::Rows(sent))) => sent,
            Some(Answer::Tables(SentTables::TooLarge)) => return Err(Stopped::TablesTooLarge),
            Some(Answer::Tables(SentTables::Moved) | Answer::Pages(_)) | None => return Err(Stopped::Moved),
        };
        let read = |(number, json): (usize, String)| Some((number, TABLES.get(number)?.rows(&json)?));
        sent.into_iter().map(read).collect::<Option<_>>().ok_or(Stopped::Broken)
    }

    /// Asks the server. Another call runs meanwhile.
    fn ask(&self, question: &FromWorker) -> Option<Answer> {
        self.server.send(question);
        self.waiting.pause();
        let answer = self.answers.recv().ok();
        self.waiting.go_on();
        answer
    }

    /// A page that was sent. It is kept for the next time, unless there are many.
    fn kept(&mut self, number: u32) -> Option<Page> {
        match self.sent.len() > self.kept_max {
            true => self.sent.remove(&number),
            false => self.sent.get(&number).cloned(),
        }
    }
}

/// The pages of a call, while the database is opened and while the call runs.
#[derive(Clone)]
struct Shared(Arc<Mutex<ServerPages>>);

impl Shared {
    fn new(pages: ServerPages) -> Self {
        Self(Arc::new(Mutex::new(pages)))
    }

    fn pages(&self) -> MutexGuard<'_, ServerPages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages for Shared {
    fn page(&mut self, number: u32) -> Option<Page> {
        self.pages().page(number)
    }

    fn tables(&mut self, numbers: &[usize]) -> Result<Vec<(usize, Rows)>, Stopped> {
        self.pages().tables(numbers)
    }

    fn is_cancelled(&self) -> bool {
        self.pages().is_cancelled()
    }
}
