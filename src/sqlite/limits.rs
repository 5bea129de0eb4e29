//! Limits of SQL.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// Maximum size of a database. It consists of pages of 4 KiB.
    SQL_DATABASE_BYTES_MAX: bytes = 16 << 20;
    /// Maximum size of the text of a statement, in UTF-8.
    SQL_BYTES_MAX: number = 100_000;
    /// Maximum number of parameters of a statement.
    SQL_PARAMETERS_MAX: number = 1_000;
    /// Maximum number of columns of a table or a result.
    SQL_COLUMNS_MAX: number = 100;
    /// Maximum number of levels of an expression.
    SQL_EXPRESSION_DEPTH_MAX: number = 100;
    /// Maximum number of `SELECT`s in a compound (`UNION`, ..).
    SQL_COMPOUND_MAX: number = 20;
    /// Maximum number of arguments of a function.
    SQL_ARGUMENTS_MAX: number = 100;
    /// Maximum size of a pattern of `LIKE` or `GLOB`, in UTF-8. A longer one is "too complex"; `instr` finds longer texts.
    SQL_PATTERN_BYTES_MAX: number = 50;
    /// Maximum number of statements in one call of `batchSql`.
    SQL_STATEMENTS_MAX: number = 50;
    /// Maximum number of migrations in one call of `migrateSql`.
    SQL_MIGRATIONS_MAX: number = 200;
    /// Maximum number of rows in a result. The others are left out, and `truncated` is true.
    SQL_ROWS_MAX: number = 1_000;
    /// Maximum size of the rows of a call of `querySql`, as JSON. The others are left out, and `truncated` is true.
    SQL_RESULT_BYTES_MAX: bytes = 1 << 20;
    /// Maximum size of the rows of a call that may write, likewise.
    SQL_RETURNED_BYTES_MAX: bytes = 256 << 10;
    /// Maximum size of a text, a blob or a row, in bytes.
    SQL_VALUE_BYTES_MAX: number = 1_000_000;
    /// Maximum memory of a call.
    SQL_MEMORY_MAX: bytes = 64 << 20;
    /// Maximum number of rows of all tables of payerbase (`pb_jobs`, ..) that a statement reads. With more, it is `sql-too-large`.
    SQL_TABLES_ROWS_MAX: number = 10_000;
    /// Maximum size of these rows, as JSON.
    SQL_TABLES_BYTES_MAX: bytes = 4 << 20;
    /// Maximum time of the processor for a call.
    SQL_TIME_MAX: time = Duration::from_secs(2);
    /// Maximum time of the processor for an import.
    SQL_IMPORT_TIME_MAX: time = Duration::from_secs(10);
    /// How long pages of a write are put aside before its turn.
    SQL_STAGED_KEPT: time = Duration::from_mins(5);
    /// Pages of a payer that are put aside. With more, writes of many pages are `database-busy`.
    SQL_STAGED_PAGES_MAX: number = 12_288;
    /// Calls of a payer that run or wait. More are `overloaded`.
    SQL_CALLS_WAITING_MAX: number = 256;
    /// Calls of a payer that write and wait for one another.
    SQL_WRITES_WAITING_MAX: number = 16;
}

/// Size of a page.
pub(crate) const PAGE_BYTES: usize = 4_096;
/// Maximum number of pages: those of [`SQL_DATABASE_BYTES_MAX`].
pub(crate) const PAGES_MAX: u32 = 4_096;
