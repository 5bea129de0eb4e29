//! The result of a statement.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The result of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum TaskResult {
    Statement(StatementResult),
    /// Whether the migration ran now.
    Migration(bool),
    Schema(Schema),
    Import(Imported),
}

/// The size of a database that was imported.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Imported {
    pub tables: u64,
    pub rows: u64,
    /// Size of the database now.
    pub bytes: u64,
}

/// The tables and views of a database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Schema {
    pub tables: Vec<Table>,
    /// Size of the database.
    pub bytes: i64,
}

/// A table or a view.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Table {
    pub name: String,
    pub is_view: bool,
    /// The statement that creates it.
    pub sql: String,
    /// None for a view that refers to what does not exist.
    pub columns: Vec<TableColumn>,
    pub indexes: Vec<TableIndex>,
    /// `None` for a view.
    pub row_count: Option<i64>,
}

/// A column of a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableColumn {
    pub name: String,
    pub r#type: String,
    pub is_not_null: bool,
    /// The expression of its default value.
    pub default: Option<String>,
    /// Its place in the primary key, from 1; 0 if it is not in it.
    pub primary_key: u32,
    pub is_generated: bool,
}

/// An index of a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableIndex {
    pub name: String,
    /// `None` for the index of a constraint.
    pub sql: Option<String>,
    pub is_unique: bool,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub name: String,
    /// The type that its table declares; `None` for an expression.
    pub r#type: Option<String>,
}

/// The result of a statement, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatementResult {
    pub columns: Vec<Column>,
    /// An array of arrays.
    pub rows: Box<RawValue>,
    pub row_count: usize,
    /// Whether rows were left out.
    pub truncated: bool,
    /// How many rows it has inserted, updated or deleted.
    pub rows_affected: i64,
    /// The rowid of the last row that it has inserted; `null` if it has inserted none.
    pub last_insert_rowid: Box<RawValue>,
}
