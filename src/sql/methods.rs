//! Methods of SQL, with their parameters.

use serde::{Deserialize, Serialize, Serializer};

use super::files::{ExportSql, ImportSql};
use super::schema::SqlSchema;
use super::sent::{NoParams, Sent, WRITE_PROBLEMS, to_text};
use super::types::{Executed, ExecutedBatch, Migrated, Rows, SqlMigrations, SqlStatement, SqlStatements};
use crate::auth::Scope;
use crate::call::{Entry, Method, NeededSql, Needs, RanSql, Spec};
use crate::name::Name;
use crate::problem::Code;
use crate::site::Site;
use crate::sqlite::{StatementResult, Task, TaskResult, Turn};
use crate::waiting::Wake;

/// All methods of SQL.
pub const METHODS: &[Entry] = &[
    Entry::of::<MigrateSql>(),
    Entry::of::<ExecuteSql>(),
    Entry::of::<BatchSql>(),
    Entry::of::<QuerySql>(),
    Entry::of::<GetSqlSchema>(),
    Entry::of::<ExportSql>(),
    Entry::of::<ImportSql>(),
];

const READ_PROBLEMS: &[Code] =
    &[Code::SqlError, Code::SqlNotAllowed, Code::SqlTimeout, Code::SqlTooLarge, Code::DatabaseBusy];
const SCHEMA_PROBLEMS: &[Code] = &[Code::SqlTimeout, Code::SqlTooLarge, Code::DatabaseBusy];
const MIGRATE_PROBLEMS: &[Code] = &[
    Code::SqlError,
    Code::SqlNotAllowed,
    Code::SqlTimeout,
    Code::SqlTooLarge,
    Code::MigrationChanged,
    Code::DatabaseFull,
    Code::DatabaseBusy,
];

const fn write(name: &'static str) -> Spec {
    Spec::write(name).scope(Scope::SqlWrite).runs_sql()
}

/// A result that travels through the database only if it is needed there.
#[derive(Clone, Debug)]
struct ReadResult<T> {
    result: Option<T>,
    sent: Sent,
}

impl<T> Default for ReadResult<T> {
    fn default() -> Self {
        Self { result: None, sent: Sent::default() }
    }
}

impl<T: Clone + Serialize> ReadResult<T> {
    fn put(&mut self, turn: Turn, result: Option<T>, is_in_transaction: bool) {
        // In a transaction, later calls may refer to it, and a repeat under its key returns it.
        (self.result, self.sent.result) = match is_in_transaction {
            true => (None, result.as_ref().and_then(to_text)),
            false => (result, None),
        };
        self.sent.turn = Some(turn);
    }

    fn take_to(&self, output: &mut T) {
        if let Some(result) = &self.result {
            *output = result.clone();
        }
    }
}

fn statement_result(result: TaskResult) -> Option<StatementResult> {
    match result {
        TaskResult::Statement(result) => Some(result),
        TaskResult::Migration(_) | TaskResult::Schema(_) | TaskResult::Import(_) => None,
    }
}

/// Runs a query.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "SqlStatement")]
pub struct QuerySql {
    tasks: [Task; 1],
    read: ReadResult<Rows>,
}

impl From<SqlStatement> for QuerySql {
    fn from(statement: SqlStatement) -> Self {
        Self { tasks: [Task::Statement(statement.into_statement(true))], read: ReadResult::default() }
    }
}

impl Serialize for QuerySql {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.read.sent.serialize(serializer)
    }
}

impl Method for QuerySql {
    type Output = Rows;
    const SPEC: Spec = Spec::read("querySql").scope(Scope::SqlRead).problems(READ_PROBLEMS).runs_sql();

    fn needs(&mut self) -> Needs<'_> {
        let Self { tasks, read } = self;
        let put = |ran: RanSql| {
            let result = ran.results.into_iter().find_map(statement_result).map(Rows::from);
            read.put(ran.turn, result, ran.is_in_transaction);
        };
        Needs::sql(NeededSql { tasks, may_write: false, at: |_index| "/sql".to_owned(), put: Box::new(put) })
    }

    fn after_commit(&self, output: &mut Rows, _site: &Site) -> Option<Wake> {
        self.read.take_to(output);
        None
    }
}

/// Describes the database.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "NoParams")]
pub struct GetSqlSchema {
    read: ReadResult<SqlSchema>,
}

impl From<NoParams> for GetSqlSchema {
    fn from(NoParams {}: NoParams) -> Self {
        Self { read: ReadResult::default() }
    }
}

impl Serialize for GetSqlSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.read.sent.serialize(serializer)
    }
}

impl Method for GetSqlSchema {
    type Output = SqlSchema;
    const SPEC: Spec = Spec::read("getSqlSchema").scope(Scope::SqlRead).problems(SCHEMA_PROBLEMS).runs_sql();

    fn needs(&mut self) -> Needs<'_> {
        let Self { read } = self;
        let put = |ran: RanSql| {
            let result = ran.results.into_iter().find_map(|result| match result {
                TaskResult::Schema(schema) => Some(SqlSchema::from(schema)),
                TaskResult::Statement(_) | TaskResult::Migration(_) | TaskResult::Import(_) => None,
            });
            read.put(ran.turn, result, ran.is_in_transaction);
        };
        Needs::sql(NeededSql {
            tasks: &[Task::Schema],
            may_write: false,
            at: |_index| String::new(),
            put: Box::new(put),
        })
    }

    fn after_commit(&self, output: &mut SqlSchema, _site: &Site) -> Option<Wake> {
        self.read.take_to(output);
        None
    }
}

/// Runs a statement that may write.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "SqlStatement")]
pub struct ExecuteSql {
    tasks: [Task; 1],
    sent: Sent,
}

impl From<SqlStatement> for ExecuteSql {
    fn from(statement: SqlStatement) -> Self {
        Self { tasks: [Task::Statement(statement.into_statement(false))], sent: Sent::default() }
    }
}

impl Serialize for ExecuteSql {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sent.serialize(serializer)
    }
}

impl Method for ExecuteSql {
    type Output = Executed;
    const SPEC: Spec = write("executeSql").problems(WRITE_PROBLEMS);

    fn weight(&self) -> usize {
        self.sent.weight()
    }

    fn needs(&mut self) -> Needs<'_> {
        let Self { tasks, sent } = self;
        let put = |ran: RanSql| {
            let result = ran.results.into_iter().find_map(statement_result).map(Executed::from);
            *sent = Sent { turn: Some(ran.turn), result: result.as_ref().and_then(to_text) };
        };
        Needs::sql(NeededSql { tasks, may_write: true, at: |_index| "/sql".to_owned(), put: Box::new(put) })
    }
}

/// Runs several statements in one transaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "SqlStatements")]
pub struct BatchSql {
    tasks: Vec<Task>,
    sent: Sent,
}

impl From<SqlStatements> for BatchSql {
    fn from(batch: SqlStatements) -> Self {
        let statements = batch.statements.into_iter().map(|statement| statement.into_statement(false));
        Self { tasks: statements.map(Task::Statement).collect(), sent: Sent::default() }
    }
}

impl Serialize for BatchSql {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sent.serialize(serializer)
    }
}

impl Method for BatchSql {
    type Output = ExecutedBatch;
    const SPEC: Spec = write("batchSql").problems(WRITE_PROBLEMS);

    fn weight(&self) -> usize {
        self.sent.weight()
    }

    fn needs(&mut self) -> Needs<'_> {
        let Self { tasks, sent } = self;
        let put = |ran: RanSql| {
            let results = ran.results.into_iter().filter_map(statement_result);
            let result = ExecutedBatch { results: results.map(Executed::from).collect() };
            *sent = Sent { turn: Some(ran.turn), result: to_text(&result) };
        };
        let at = |index| format!("/statements/{index}/sql");
        Needs::sql(NeededSql { tasks, may_write: true, at, put: Box::new(put) })
    }
}

/// Runs the migrations that have not run before.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "SqlMigrations")]
pub struct MigrateSql {
    tasks: Vec<Task>,
    sent: Sent,
}

impl From<SqlMigrations> for MigrateSql {
    fn from(migrations: SqlMigrations) -> Self {
        let migrations = migrations.migrations.into_iter().map(|migration| Task::Migration(migration.into()));
        Self { tasks: migrations.collect(), sent: Sent::default() }
    }
}

impl Serialize for MigrateSql {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sent.serialize(serializer)
    }
}

impl Method for MigrateSql {
    type Output = Migrated;
    const SPEC: Spec = write("migrateSql").problems(MIGRATE_PROBLEMS);

    fn weight(&self) -> usize {
        self.sent.weight()
    }

    fn needs(&mut self) -> Needs<'_> {
        let Self { tasks, sent } = self;
        let ids: Vec<_> = tasks.iter().filter_map(Task::migration).map(|migration| migration.id.clone()).collect();
        let put = |ran: RanSql| {
            let ran_now = ids.into_iter().zip(ran.results);
            let applied = ran_now.filter(|(_id, result)| matches!(result, TaskResult::Migration(true)));
            let result = Migrated { applied: applied.map(|(id, _result)| Name::ours(id)).collect() };
            *sent = Sent { turn: Some(ran.turn), result: to_text(&result) };
        };
        let at = |index| format!("/migrations/{index}/sql");
        Needs::sql(NeededSql { tasks, may_write: true, at, put: Box::new(put) })
    }
}
