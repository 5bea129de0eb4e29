//! A call in a worker.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use uuid::Uuid;

use super::cache::SharedPage;
use super::engine::{Stopped, TaskResult};
use super::limits::{PAGES_MAX, SQL_RESULT_BYTES_MAX, SQL_RETURNED_BYTES_MAX, SQL_ROWS_MAX};
use super::pages::{CallPages, Moved};
use super::process::{Caller, HeldByCall, Order, Reply, Worker};
use super::statement::Task;
use super::tables::TABLES;
use super::wire::{self, FromWorker, Run, SentPage, SentTables, ToWorker};
use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// A call.
pub(crate) struct SqlCall {
    /// Its tasks, in order.
    pub tasks: Vec<Task>,
    /// Whether it may write.
    pub may_write: bool,
    /// Whether the version that it reads must still be the newest in the turn, because other calls write in it.
    pub must_be_newest: bool,
    /// The tables of primitives that the caller may read.
    pub readable: Vec<&'static str>,
}

/// Why a call did not run.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// A task was stopped.
    Stopped {
        /// Its index in the call.
        index: usize,
        /// Why.
        stopped: Stopped,
    },
    /// The caller has no right to read this table of a primitive.
    NoRight(&'static str),
    Problem(Problem),
}

impl From<Problem> for NotRun {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// A call in a worker. It is cancelled there when this is dropped.
pub(super) struct RunningCall<'a> {
    worker: &'a Worker,
    id: u64,
    /// The id of the version that it makes. Two runs of a call may write different things.
    next: Uuid,
    /// Whether it has tables of primitives.
    has_tables: bool,
    answers: UnboundedReceiver<Reply>,
}

/// What a call has done.
pub(super) struct CallDone {
    /// The id of the version that it makes if it has written pages.
    pub next: Uuid,
    pub results: Vec<TaskResult>,
    pub pages: Vec<(u32, SharedPage)>,
    pub page_count: u32,
}

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        self.worker.order(Order::Cancel { id: self.id });
    }
}

impl<'a> RunningCall<'a> {
    /// Sends a call to a worker.
    ///   time  its time of the processor
    ///   held  its place in the worker, until it has ended there
    pub fn start(
        worker: &'a Worker,
        pages: &CallPages<'_>,
        call: &SqlCall,
        time: Duration,
        held: HeldByCall,
    ) -> Result<Self, Problem> {
        let (id, next) = (rand::random(), Uuid::now_v7());
        let run = Run {
            id,
            database: pages.payer.as_str().to_owned(),
            head: pages.head,
            next,
            may_write: call.may_write,
            time_us: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            rows_max: SQL_ROWS_MAX,
            bytes_max: if call.may_write { SQL_RETURNED_BYTES_MAX } else { SQL_RESULT_BYTES_MAX },
            tasks: call.tasks.clone(),
        };
        let message = encoded(&ToWorker::Run(run))?;
        let (answers, receiver) = unbounded_channel();
        worker.order(Order::Run { id, message, caller: Caller::new(answers, held) });
        Ok(Self { worker, id, next, has_tables: false, answers: receiver })
    }

    /// Answers the questions of the worker until the call has ended. `None` if the worker died.
    pub async fn end(mut self, pages: &mut CallPages<'_>, call: &SqlCall) -> Option<Result<CallDone, NotRun>> {
        loop {
            match self.answers.recv().await? {
                Reply::Died => return None,
                // It needs many pages, so it is no short call.
                Reply::Message(FromWorker::Need { .. }) if self.worker.is_fast() && pages.are_many() => {
                    return Some(Err(NotRun::Stopped { index: 0, stopped: Stopped::Timeout }));
                }
                Reply::Message(FromWorker::Need { page, .. }) => {
                    let answered = match pages.sent(page).await {
                        Ok(sent) => self.answer(&ToWorker::Pages { id: self.id, pages: sent.map_err(|Moved| ()).ok() }),
                        Err(problem) => Err(problem),
                    };
                    if let Err(problem) = answered {
                        return Some(Err(problem.into()));
                    }
                }
                Reply::Message(FromWorker::NeedTables { tables, .. }) => {
                    if let Err(not_run) = self.answer_tables(pages, call, tables).await {
                        return Some(Err(not_run));
                    }
                }
                Reply::Message(FromWorker::Done { results, pages, page_count, .. }) => {
                    return Some(checked(call, self.next, &results, pages, page_count));
                }
                Reply::Message(FromWorker::Stopped { index, stopped, .. }) => {
                    return Some(Err(NotRun::Stopped { index, stopped }));
                }
                Reply::Message(FromWorker::Ready { .. } | FromWorker::NotReady { .. } | FromWorker::Kept(_)) => {
                    return None;
                }
            }
        }
    }

    /// Answers a question for tables of primitives: all that the call has named so far, read together.
    async fn answer_tables(
        &mut self,
        pages: &mut CallPages<'_>,
        call: &SqlCall,
        asked: Vec<usize>,
    ) -> Result<(), NotRun> {
        for number in asked {
            let table = TABLES.get(number).ok_or_else(|| wrong("with a question for tables that do not exist"))?;
            if !call.readable.contains(&table.name) {
                return Err(NotRun::NoRight(table.name));
            }
            pages.tables.insert(number, table.name);
        }
        let names: Vec<&str> = pages.tables.values().copied().collect();
        let sent = if self.has_tables {
            // It has others of an earlier moment. The next run gets all at once.
            SentTables::Moved
        } else {
            match pages.store.tables(pages.payer, &names).await? {
                Some((id, _rows)) if id != pages.head.id => SentTables::Moved,
                Some((_id, rows)) => SentTables::Rows(pages.tables.keys().copied().zip(rows).collect()),
                None => SentTables::TooLarge,
            }
        };
        pages.have_tables_moved = matches!(sent, SentTables::Moved);
        self.has_tables = true;
        Ok(self.answer(&ToWorker::Tables { id: self.id, tables: sent })?)
    }

    fn answer(&self, message: &ToWorker) -> Result<(), Problem> {
        let message = encoded(message)?;
        self.worker.order(Order::Answer { id: self.id, message });
        Ok(())
    }
}

fn wrong(what: &str) -> NotRun {
    because(format!("a worker of SQL answered {what}"));
    NotRun::Problem(Problem::new(Code::Internal))
}

/// Whether it is the result of such a task.
fn is_of(result: &TaskResult, task: &Task) -> bool {
    match task {
        Task::Statement(_) => matches!(result, TaskResult::Statement(_)),
        Task::Migration(_) => matches!(result, TaskResult::Migration(_)),
        Task::Schema => matches!(result, TaskResult::Schema(_)),
        Task::Import(_) => matches!(result, TaskResult::Import(_)),
    }
}

fn encoded(message: &ToWorker) -> Result<Vec<u8>, Problem> {
    wire::encode(message).map_err(|_too_long| Problem::new(Code::PayloadTooLarge))
}

/// What a call has done. Nothing of a worker is taken on trust.
pub(super) fn checked(
    call: &SqlCall,
    next: Uuid,
    results: &[String],
    pages: Vec<SentPage>,
    page_count: u32,
) -> Result<CallDone, NotRun> {
    let results: serde_json::Result<Vec<TaskResult>> =
        results.iter().map(|result| serde_json::from_str(result)).collect();
    let results = results.map_err(|_error| wrong("no result"))?;
    let pages: Option<Vec<_>> = pages.into_iter().map(SentPage::checked).collect();
    let pages = pages.ok_or_else(|| wrong("a page of another size"))?;
    let are_in_order = pages.is_sorted_by(|(one, _), (next, _)| one < next);
    let are_within = pages.last().is_none_or(|(number, _page)| *number <= page_count);
    if !are_in_order || !are_within || page_count > PAGES_MAX {
        return Err(wrong("pages that are not of the database"));
    }
    let are_asked_for = results.iter().zip(&call.tasks).all(|(result, task)| is_of(result, task));
    if !are_asked_for || results.len() != call.tasks.len() || (!call.may_write && !pages.is_empty()) {
        return Err(wrong("what it was not asked for"));
    }
    let pages = pages.into_iter().map(|(number, page)| (number, SharedPage::from(page))).collect();
    Ok(CallDone { next, results, pages, page_count })
}
