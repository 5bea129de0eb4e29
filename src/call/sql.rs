//! The SQL of a plan. It runs before the turn; the turn checks the version that it read, and stores its pages.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::conditions::IdempotencyKey;
use super::needs::{NeededSql, RanSql};
use super::plan::{Plan, Position};
use super::request::Answer;
use super::tenant::Tenant;
use super::token_limits::{self, Holder};
use crate::auth::Scope;
use crate::payer::Payer;
use crate::payer_limit::Permit;
use crate::problem::{Code, Problem};
use crate::sqlite::limits::{SQL_TABLES_BYTES_MAX, SQL_TABLES_ROWS_MAX, SQL_TIME_MAX};
use crate::sqlite::{Commit, Databases, Head, NotRun, SqlCall, Stopped, TABLES, Tries, Turn};
use crate::telemetry::because;
use crate::turn::Access;

/// What a caller must be allowed to read a table of a primitive in SQL.
struct ReadBy {
    table: &'static str,
    scope: Scope,
    /// The method that lists the same.
    method: &'static str,
}

const fn read_by(table: &'static str, scope: Scope, method: &'static str) -> ReadBy {
    ReadBy { table, scope, method }
}

/// The tables of `crate::sqlite::tables`.
const READ_BY: [ReadBy; 6] = [
    read_by("pb_counters", Scope::CountersRead, "listCounters"),
    read_by("pb_links", Scope::LinksRead, "listLinks"),
    read_by("pb_locks", Scope::LocksRead, "listLocks"),
    read_by("pb_jobs", Scope::QueuesRead, "listJobs"),
    read_by("pb_queues", Scope::QueuesRead, "listQueues"),
    read_by("pb_memories", Scope::MemoriesRead, "listMemories"),
];

/// SQL that has run, and waits for its turn.
pub(super) struct WaitingSql {
    databases: Arc<Databases>,
    payer: Payer,
    commit: Option<(Head, Commit)>,
    /// Other writes of the payer wait until this one has ended.
    _writer: Option<(Permit, Option<OwnedSemaphorePermit>)>,
}

impl WaitingSql {
    /// Its turn has ended: the stored pages go into the cache, or the pages that were put aside are deleted.
    pub async fn ended<T>(mut self, turn: &Result<Answer<T>, Problem>) {
        let Some((base, commit)) = self.commit.take() else { return };
        match turn {
            Ok(answer) if !answer.is_replay => self.databases.committed(&self.payer, &base, commit),
            // It may still happen.
            Err(problem) if problem.code() == Code::OutcomeUnknown => {}
            Ok(_) | Err(_) => self.databases.refused(&self.payer, &commit).await,
        }
    }
}

impl Drop for WaitingSql {
    /// The caller has hung up, or the call has failed before its turn: its pages that were put aside are deleted. A turn that
    /// comes later is refused.
    fn drop(&mut self) {
        let Some((_base, commit)) = self.commit.take().filter(|(_base, commit)| commit.is_staged()) else { return };
        let (databases, payer) = (Arc::clone(&self.databases), self.payer.clone());
        // A runtime that ends runs nothing any more: the sweeper deletes them.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { databases.refused(&payer, &commit).await });
        }
    }
}

impl Tenant {
    /// Whether the caller may read a table of a primitive in SQL: as it may call the method that lists the same.
    fn may_read(&self, table: &str) -> Result<(), Problem> {
        let Some(read) = READ_BY.iter().find(|read| read.table == table) else {
            because(format!("nobody may read {table}"));
            return Err(Problem::new(Code::Internal));
        };
        if self.proof.grants().is_some() {
            let detail = format!("A grant is not for `{}`: call `{}` instead.", read.table, read.method);
            return Err(Problem::new(Code::NotGranted).detail(detail));
        }
        self.proof.require(read.scope)?;
        match self.proof.rights() {
            Some(rights) => token_limits::check_method_name(Holder::Token, &rights.limits, read.method),
            None => Ok(()),
        }
    }

    fn readable_tables(&self) -> Vec<&'static str> {
        TABLES.iter().map(|table| table.name).filter(|table| self.may_read(table).is_ok()).collect()
    }

    /// The answer to a call with SQL may have rows of tables of primitives: it is repeated only to callers who may read the
    /// same ones as the first.
    pub(super) fn limit_to_readable<P: Plan>(&self, plan: &mut P, key: &mut IdempotencyKey) {
        if plan.steps().any(|step| step.method.needs().sql.is_some()) {
            let readable = self.readable_tables();
            if readable.len() < TABLES.len() {
                *key = key.of_reader(&readable);
            }
        }
    }

    /// Reads the database for the step that needs it as a file.
    async fn read_file<P: Plan>(&self, plan: &mut P) -> Result<(), Problem> {
        for step in plan.steps() {
            if let Some(put) = step.method.needs().file {
                put(self.engine.sql.file(self.payer()).await?);
            }
        }
        Ok(())
    }

    /// Runs all statements of a plan, as one transaction. `None` if it has none.
    ///   tries  what happened to them before
    pub(super) async fn run_sql<P: Plan>(
        &self,
        plan: &mut P,
        tries: &Tries,
    ) -> Result<Option<Box<WaitingSql>>, Problem> {
        let needed = plan.steps().filter_map(|step| step.method.needs().sql.map(|sql| (step.position, sql)));
        let needed: Vec<(Position, NeededSql<'_>)> = needed.collect();
        if needed.is_empty() {
            drop(needed);
            self.read_file(plan).await?;
            return Ok(None);
        }
        let call = SqlCall {
            tasks: needed.iter().flat_map(|(_, needed)| needed.tasks.to_vec()).collect(),
            may_write: needed.iter().any(|(_, needed)| needed.may_write),
            must_be_newest: P::SPEC.access == Access::Write,
            readable: self.readable_tables(),
        };
        let databases = &self.engine.sql;
        let writer = match call.may_write {
            true => Some(databases.writer(self.payer()).await?),
            false => None,
        };
        let ran = databases.run(self.payer(), &call, tries).await.map_err(|not_run| match not_run {
            NotRun::NoRight(table) => self.may_read(table).err().unwrap_or_else(|| Problem::new(Code::Internal)),
            NotRun::Stopped { .. } | NotRun::Problem(_) => problem(not_run, &needed),
        })?;
        // The first call with SQL keeps the pages of all.
        let mut turn = Some(ran.turn());
        let mut results = ran.results.into_iter();
        for (position, needed) in needed {
            let results = results.by_ref().take(needed.tasks.len()).collect();
            let is_in_transaction = matches!(position, Position::InTransaction { .. });
            (needed.put)(RanSql { results, turn: turn.take().unwrap_or_else(Turn::nothing), is_in_transaction });
        }
        let (databases, payer) = (Arc::clone(databases), self.payer().clone());
        let commit = ran.base.zip(ran.commit);
        Ok(Some(Box::new(WaitingSql { databases, payer, commit, _writer: writer })))
    }
}

/// The problem of SQL that did not run, at the statement that was stopped.
fn problem(not_run: NotRun, needed: &[(Position, NeededSql<'_>)]) -> Problem {
    let (mut index, stopped) = match not_run {
        NotRun::Problem(problem) => return problem,
        NotRun::NoRight(_) => return Problem::new(Code::Internal),
        NotRun::Stopped { index, stopped } => (index, stopped),
    };
    for (position, needed) in needed {
        match index.checked_sub(needed.tasks.len()) {
            Some(rest) => index = rest,
            None => return position.of_params(stopped_problem(stopped, &(needed.at)(index))),
        }
    }
    because("a worker of SQL stopped at a task that it was not sent");
    Problem::new(Code::Internal)
}

fn stopped_problem(stopped: Stopped, at: &str) -> Problem {
    // A file, and the schema, have no text.
    let with_place = |problem: Problem, detail: String| if at.is_empty() { problem } else { problem.field(at, detail) };
    let of_text = |code, detail: String| with_place(Problem::new(code).detail(detail.clone()), detail);
    match stopped {
        Stopped::Sql { message, offset, constraint } => {
            let mut problem = of_text(Code::SqlError, message);
            if let Some(offset) = offset {
                problem = problem.member("offset", offset);
            }
            match constraint.and_then(|constraint| serde_json::to_value(constraint).ok()) {
                Some(constraint) => problem.member("constraint", constraint),
                None => problem,
            }
        }
        Stopped::NotAllowed(reason) => of_text(Code::SqlNotAllowed, reason),
        Stopped::Parameters(detail) => {
            let at = at.strip_suffix("/sql").unwrap_or(at);
            Problem::new(Code::InvalidValue).field(format!("{at}/params"), detail)
        }
        Stopped::MigrationChanged => of_text(
            Code::MigrationChanged,
            "This migration ran before with another text: add a new migration instead.".into(),
        ),
        Stopped::Timeout => {
            with_place(Problem::new(Code::SqlTimeout), format!("needs more than {} seconds", SQL_TIME_MAX.as_secs()))
        }
        Stopped::Late => {
            because("the machine is too busy for a call of SQL");
            Problem::new(Code::Overloaded)
        }
        Stopped::TooLarge => with_place(Problem::new(Code::SqlTooLarge), "needs more memory than a call has".into()),
        Stopped::RowTooLarge => of_text(
            Code::SqlTooLarge,
            "Nothing was changed. The first row is larger than all rows of a call may be: read parts of its values with `substr`."
                .into(),
        ),
        Stopped::TablesTooLarge => Problem::new(Code::SqlTooLarge).detail(format!(
            "Nothing was changed. The tables `pb_..` of the statement have more than {SQL_TABLES_ROWS_MAX} rows or {} MiB.",
            SQL_TABLES_BYTES_MAX >> 20
        )),
        Stopped::Crowded => {
            because("the databases of other payers use all memory of a worker of SQL");
            Problem::new(Code::Overloaded)
        }
        Stopped::Full => Problem::new(Code::DatabaseFull),
        Stopped::Moved => Problem::new(Code::DatabaseBusy),
        Stopped::Broken => {
            because("SQLite in a worker does not behave as SQLite");
            Problem::new(Code::Internal)
        }
    }
}
