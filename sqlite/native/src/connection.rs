//! A connection with the options of payerbase's own, and how a statement runs on it.

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, ffi};
use serde_json::{Value, json};

use crate::value::{of_integer, to_json};

/// The limits of src/sqlite/engine/database.rs.
const LIMITS: [(Limit, i32); 11] = [
    (Limit::SQLITE_LIMIT_LENGTH, 1_000_000),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 20),
    (Limit::SQLITE_LIMIT_VDBE_OP, 250_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1_000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
];

/// The options of src/sqlite/engine/database.rs and of sqlite/build.sh. Double quotes are for names alone.
const OPTIONS: [(DbConfig, bool); 5] = [
    (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
];

/// Opens an empty database in memory.
pub fn open() -> rusqlite::Result<Connection> {
    let database = Connection::open_in_memory()?;
    for (option, value) in OPTIONS {
        database.set_db_config(option, value)?;
    }
    for (limit, value) in LIMITS {
        database.set_limit(limit, value)?;
    }
    if let Err(error) = run(&database, "SELECT sqrt(4)") {
        panic!("{error}: build this program in its folder, where .cargo/config.toml has its options");
    }
    Ok(database)
}

/// Opens the file of a database.
pub fn open_image(path: &str) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Runs a statement to its end.
pub fn run(database: &Connection, sql: &str) -> rusqlite::Result<Value> {
    let mut statement = database.prepare(sql)?;
    let columns: Vec<String> = statement.column_names().into_iter().map(Into::into).collect();
    // SAFETY: the connection is open, and this function only sets a number in it.
    unsafe { ffi::sqlite3_set_last_insert_rowid(database.handle(), 0) };
    let changes_before = database.total_changes();
    let mut stepped = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = stepped.next()? {
        let row = (0..columns.len()).map(|column| row.get_ref(column).map(to_json));
        rows.push(row.collect::<Result<Vec<_>, _>>()?);
    }
    let rows_affected = if database.total_changes() == changes_before { 0 } else { database.changes() };
    let rowid = match database.last_insert_rowid() {
        0 => Value::Null,
        rowid => of_integer(rowid),
    };
    Ok(json!({ "columns": columns, "rows": rows, "rowsAffected": rows_affected, "lastInsertRowid": rowid }))
}
