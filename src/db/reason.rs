//! Errors of the database as operators read them.

use std::error::Error;

use sqlx::postgres::PgDatabaseError;

/// The message of PostgreSQL and its SQLSTATE, or the error of the connection.
#[must_use]
pub fn reason(error: &sqlx::Error) -> String {
    if let Some(database) = error.as_database_error() {
        let code = database.code().map(|code| format!(" (SQLSTATE {code})"));
        return format!("{}{}", database.message(), code.unwrap_or_default());
    }
    if let sqlx::Error::Io(error) = error {
        return error.to_string();
    }
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return "no connection to the database became free in time".to_owned();
    }
    plain(error)
}

/// The text of an error without what sqlx appends to errors of PostgreSQL: a line number of PostgreSQL's own source code.
#[must_use]
pub fn plain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(sqlx::Error::Database(database)) = error.downcast_ref()
            && let Some(line) = database.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::line)
        {
            text = text.replacen(&format!(" at line {line}"), "", 1);
        }
        next = error.source();
    }
    text
}
