//! The description of a database.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sqlite::limits::SQL_DATABASE_BYTES_MAX;
use crate::sqlite::{Schema, Table, TableColumn, TableIndex};

/// The tables and views of a database, and its size.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlSchema {
    /// Tables and views, by name.
    #[serde(default)]
    #[schema(required)]
    pub tables: Vec<SqlTable>,
    /// Size of the database, in bytes.
    #[serde(default)]
    #[schema(required, example = 12288)]
    pub bytes: i64,
    /// Maximum size, in bytes.
    #[serde(default)]
    #[schema(required, example = 16777216)]
    pub bytes_max: usize,
}

/// A table or a view.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlTable {
    /// Name.
    #[schema(example = "customers")]
    pub name: String,
    /// Whether it is a table or a view.
    pub r#type: SqlTableType,
    /// Statement that creates it.
    #[schema(example = "CREATE TABLE customers (id integer primary key, name text not null)")]
    pub sql: String,
    /// Columns. None for a view that refers to what does not exist.
    pub columns: Vec<SqlTableColumn>,
    /// Indexes, by name. None for a view.
    pub indexes: Vec<SqlTableIndex>,
    /// Number of rows; `null` for a view.
    #[schema(required, example = 2)]
    pub row_count: Option<i64>,
}

/// Whether it is a table or a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SqlTableType {
    /// A table.
    Table,
    /// A view.
    View,
}

/// A column of a table or a view.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlTableColumn {
    /// Name.
    #[schema(example = "id")]
    pub name: String,
    /// Declared type; empty if there is none.
    #[schema(example = "INTEGER")]
    pub r#type: String,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// Expression of its default value; `null` if there is none.
    #[schema(required, example = json!(null))]
    pub default: Option<String>,
    /// Place in the primary key, from 1; 0 if it is not in it.
    #[schema(example = 1)]
    pub primary_key: u32,
    /// Whether it is computed from other columns.
    pub generated: bool,
}

/// An index of a table.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlTableIndex {
    /// Name.
    #[schema(example = "customers_by_city")]
    pub name: String,
    /// Statement that creates it; `null` for the index of a constraint.
    #[schema(required, example = "CREATE INDEX customers_by_city ON customers (city)")]
    pub sql: Option<String>,
    /// Whether no two rows may have the same values.
    pub unique: bool,
}

impl From<Schema> for SqlSchema {
    fn from(schema: Schema) -> Self {
        let tables = schema.tables.into_iter().map(SqlTable::from).collect();
        Self { tables, bytes: schema.bytes, bytes_max: SQL_DATABASE_BYTES_MAX }
    }
}

impl From<Table> for SqlTable {
    fn from(table: Table) -> Self {
        let Table { name, is_view, sql, columns, indexes, row_count } = table;
        let r#type = if is_view { SqlTableType::View } else { SqlTableType::Table };
        let columns = columns.into_iter().map(SqlTableColumn::from).collect();
        let indexes = indexes.into_iter().map(SqlTableIndex::from).collect();
        Self { name, r#type, sql, columns, indexes, row_count }
    }
}

impl From<TableColumn> for SqlTableColumn {
    fn from(column: TableColumn) -> Self {
        let TableColumn { name, r#type, is_not_null, default, primary_key, is_generated } = column;
        Self { name, r#type, not_null: is_not_null, default, primary_key, generated: is_generated }
    }
}

impl From<TableIndex> for SqlTableIndex {
    fn from(TableIndex { name, sql, is_unique }: TableIndex) -> Self {
        Self { name, sql, unique: is_unique }
    }
}
