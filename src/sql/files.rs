//! Methods of the database as a file.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize, Serializer};
use serde_bytes::ByteBuf;
use utoipa::ToSchema;

use super::sent::{NoParams, Sent, WRITE_PROBLEMS, to_text};
use crate::auth::Scope;
use crate::call::{Method, NeededSql, Needs, RanSql, Spec};
use crate::site::Site;
use crate::sqlite::limits::SQL_DATABASE_BYTES_MAX;
use crate::sqlite::{self, File, Task, TaskResult, Turn};
use crate::waiting::Wake;

/// Media type of a file of SQLite.
pub(super) const SQLITE_FILE: &str = "application/vnd.sqlite3";

/// Reads the database as a file.
#[derive(Debug, Deserialize)]
#[serde(from = "NoParams")]
pub struct ExportSql {
    file: Mutex<Option<File>>,
}

impl From<NoParams> for ExportSql {
    fn from(NoParams {}: NoParams) -> Self {
        Self { file: Mutex::default() }
    }
}

impl Serialize for ExportSql {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Sent { turn: Some(Turn::nothing()), result: None }.serialize(serializer)
    }
}

/// The file. It is no JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Exported {
    #[serde(skip)]
    pub(super) file: Option<File>,
}

impl Method for ExportSql {
    type Output = Exported;
    const SPEC: Spec = Spec::slow_read("exportSql").scope(Scope::SqlRead).runs_sql();

    fn needs(&mut self) -> Needs<'_> {
        Needs::file(Box::new(|file| self.file = Mutex::new(Some(file))))
    }

    fn after_commit(&self, output: &mut Exported, _site: &Site) -> Option<Wake> {
        output.file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        None
    }
}

/// Replaces the database by a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "SentFile")]
pub struct ImportSql {
    tasks: [Task; 1],
    sent: Sent,
}

#[derive(Deserialize)]
struct SentFile {
    file: ByteBuf,
}

impl From<SentFile> for ImportSql {
    fn from(SentFile { file }: SentFile) -> Self {
        Self { tasks: [Task::Import(file)], sent: Sent::default() }
    }
}

impl Serialize for ImportSql {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sent.serialize(serializer)
    }
}

/// A file of SQLite.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct SqlFile(#[expect(dead_code, reason = "it describes the body")] Vec<u8>);

/// The size of a database that was imported.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SqlImported)]
pub struct Imported {
    /// Number of tables.
    #[schema(example = 2)]
    pub tables: u64,
    /// Number of rows of all tables.
    #[schema(example = 40)]
    pub rows: u64,
    /// Size of the database now, in bytes.
    #[schema(example = 12288)]
    pub bytes: u64,
}

impl From<sqlite::Imported> for Imported {
    fn from(sqlite::Imported { tables, rows, bytes }: sqlite::Imported) -> Self {
        Self { tables, rows, bytes }
    }
}

impl Method for ImportSql {
    type Output = Imported;
    const SPEC: Spec = Spec::write("importSql")
        .apart()
        .scope(Scope::SqlWrite)
        .problems(WRITE_PROBLEMS)
        .takes_file(SQLITE_FILE)
        .body_bytes_max(SQL_DATABASE_BYTES_MAX)
        .runs_sql();

    fn weight(&self) -> usize {
        self.sent.weight()
    }

    fn needs(&mut self) -> Needs<'_> {
        let Self { tasks, sent } = self;
        let put = |ran: RanSql| {
            let result = ran.results.into_iter().find_map(|result| match result {
                TaskResult::Import(imported) => Some(Imported::from(imported)),
                TaskResult::Statement(_) | TaskResult::Migration(_) | TaskResult::Schema(_) => None,
            });
            *sent = Sent { turn: Some(ran.turn), result: result.as_ref().and_then(to_text) };
        };
        Needs::sql(NeededSql { tasks, may_write: true, at: |_index| String::new(), put: Box::new(put) })
    }
}
