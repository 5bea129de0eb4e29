//! Values and results of SQL.

use std::collections::HashSet;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::json::{flattened, read_list};
use crate::name::Name;
use crate::sqlite::limits::{SQL_MIGRATIONS_MAX, SQL_STATEMENTS_MAX};
use crate::sqlite::{Migration, Params, Statement, StatementResult, sql_from_json};

/// A statement.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SqlStatement {
    /// One statement in the dialect of SQLite, 1 to {{sql_bytes_max}} bytes of UTF-8. Comments are allowed.
    #[serde(deserialize_with = "sql_from_json")]
    #[schema(example = "select id, name from customers where city = ?")]
    sql: String,
    /// Values of its parameters: an array for `?` and `?1`, or an object for `:name`, `@name` and `$name`, whose keys may
    /// omit that character. Up to {{sql_parameters_max}} values. `true` is 1, `false` is 0. `{"$int": "9007199254740993"}`
    /// is an integer that JSON numbers cannot hold, `{"$blob": "<base64>"}` a blob, `{"$real": "Infinity"}` and
    /// `{"$real": "-Infinity"}` are infinities, and `{"$text": "<base64>"}` is a text with U+0000 or other than UTF-8.
    #[serde(default, deserialize_with = "Params::from_json")]
    #[schema(value_type = Value, required = false, example = json!(["Berlin"]))]
    params: Params,
}

/// Several statements.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SqlStatements {
    /// 1 to {{sql_statements_max}} statements, run in order.
    #[serde(deserialize_with = "statements")]
    #[schema(min_items = 1, max_items = 50)]
    pub(super) statements: Vec<SqlStatement>,
}

/// A migration: one step from an empty database to the one that a program needs.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SqlMigration {
    /// Its id, which never changes.
    #[schema(example = "1-customers")]
    id: Name,
    /// One or more statements without parameters, 1 to {{sql_bytes_max}} bytes of UTF-8.
    #[serde(deserialize_with = "sql_from_json")]
    #[schema(example = "create table customers (id integer primary key, name text not null)")]
    sql: String,
}

/// Migrations, in order.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SqlMigrations {
    /// 1 to {{sql_migrations_max}} migrations.
    #[serde(deserialize_with = "migrations")]
    #[schema(min_items = 1, max_items = 200)]
    pub(super) migrations: Vec<SqlMigration>,
}

impl From<SqlMigration> for Migration {
    fn from(migration: SqlMigration) -> Self {
        Self { id: migration.id.as_str().to_owned(), sql: migration.sql }
    }
}

/// What a call has migrated.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SqlMigrated)]
pub struct Migrated {
    /// Ids of the migrations that ran now, in order. The others ran before.
    pub applied: Vec<Name>,
}

impl SqlStatement {
    /// The statement as it is run.
    pub(super) fn into_statement(self, only_reads: bool) -> Statement {
        Statement { sql: self.sql, params: self.params, only_reads }
    }
}

/// A column of a result.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SqlColumn)]
pub struct Column {
    /// Name.
    #[schema(example = "id")]
    pub name: String,
    /// Type that its table declares; `null` for an expression.
    #[serde(rename = "type")]
    #[schema(required, example = "INTEGER")]
    pub declared_type: Option<String>,
}

/// The rows of a query.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SqlRows)]
pub struct Rows {
    /// Columns, also if there are no rows.
    #[serde(default)]
    #[schema(required)]
    pub columns: Vec<Column>,
    /// Rows, each an array with one value per column. An integer beyond 2^53 - 1 is `{"$int": "9007199254740993"}`, a blob
    /// `{"$blob": "<base64>"}`, an infinity `{"$real": "Infinity"}` or `{"$real": "-Infinity"}`, and a text with U+0000 or
    /// other than UTF-8 `{"$text": "<base64>"}`. Parameters take the same forms.
    #[serde(default)]
    #[schema(value_type = Vec<Vec<Value>>, required, example = json!([[1, "Ada"], [2, "Grace"]]))]
    pub rows: Box<RawValue>,
    /// Number of rows in `rows`, up to {{sql_rows_max}}.
    #[serde(default)]
    #[schema(required, example = 2)]
    pub row_count: usize,
    /// `true` if there are more rows, which are left out: more than {{sql_rows_max}}, or more than {{sql_result_bytes_max}}
    /// of JSON ({{sql_returned_bytes_max}} for a call that may write).
    #[serde(default)]
    #[schema(required, example = false)]
    pub truncated: bool,
}

/// The result of a statement that may write.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SqlResult)]
pub struct Executed {
    /// Number of rows that the statement has inserted, updated or deleted, without those of foreign key actions.
    #[schema(example = 1)]
    pub rows_affected: i64,
    /// Rowid of the last row that the statement has inserted; `null` if it has inserted none. Beyond 2^53 - 1 it is
    /// `{"$int": "9007199254740993"}`.
    #[schema(value_type = Value, required, example = 7)]
    pub last_insert_rowid: Box<RawValue>,
    /// Columns and rows: those of `RETURNING`, or of a query.
    #[serde(flatten)]
    pub rows: Rows,
}

flattened!(Executed { rows, rows_affected: i64, last_insert_rowid: Box<RawValue> });

/// The results of a batch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SqlResults)]
pub struct ExecutedBatch {
    /// The result of each statement, in order.
    pub results: Vec<Executed>,
}

impl From<StatementResult> for Rows {
    fn from(result: StatementResult) -> Self {
        let StatementResult { columns, rows, row_count, truncated, .. } = result;
        let columns = columns.into_iter().map(|column| Column { name: column.name, declared_type: column.r#type });
        Self { columns: columns.collect(), rows, row_count, truncated }
    }
}

impl From<StatementResult> for Executed {
    fn from(mut result: StatementResult) -> Self {
        let last_insert_rowid = std::mem::take(&mut result.last_insert_rowid);
        Self { rows_affected: result.rows_affected, last_insert_rowid, rows: result.into() }
    }
}

/// Reads the statements of a batch.
fn statements<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SqlStatement>, D::Error> {
    some(deserializer, SQL_STATEMENTS_MAX, format!("must be 1 to {SQL_STATEMENTS_MAX} statements"))
}

/// Reads migrations.
fn migrations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SqlMigration>, D::Error> {
    let list: Vec<SqlMigration> =
        some(deserializer, SQL_MIGRATIONS_MAX, format!("must be 1 to {SQL_MIGRATIONS_MAX} migrations"))?;
    let mut ids = HashSet::new();
    match list.iter().find(|migration| !ids.insert(migration.id.as_str())) {
        Some(migration) => Err(D::Error::custom(format!("must have the id `{}` once", migration.id.as_str()))),
        None => Ok(list),
    }
}

fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    max: usize,
    count: String,
) -> Result<Vec<T>, D::Error> {
    let list = read_list(deserializer, max, &count, |_: &T| true)?;
    match list.is_empty() {
        true => Err(D::Error::custom(count)),
        false => Ok(list),
    }
}
