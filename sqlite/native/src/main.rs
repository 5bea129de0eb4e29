//! Runs statements in native SQLite, with the options of payerbase's own.
//!
//! A request is one line of JSON on standard input, its answer one line of JSON on standard output.
//!
//! - `{"sql": ["insert into t values (1)"]}` runs the statements as one transaction in a database in memory.
//! - `{"query": "select 1"}` runs a query, in no transaction.
//! - `{"image": "/tmp/image.sqlite3"}` opens the file of a database, and runs `PRAGMA integrity_check` in it.
//! - `{"queryImage": "select 1"}` runs a query in the image.
//!
//! The answer is `{"results": [..]}` with a result for each statement, or `{"error": "..", "index": 0}` with SQLite's
//! message and the number of the statement. After an error the transaction is rolled back.

mod connection;
mod value;

use std::io::{BufRead as _, Write as _};

use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Value, json};

use self::connection::{open, open_image, run};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Request {
    Sql(Vec<String>),
    Query(String),
    Image(String),
    QueryImage(String),
}

/// Why a call failed, and at which statement.
struct Failed {
    error: rusqlite::Error,
    index: usize,
}

fn main() {
    let database = open().expect("a database");
    let mut image = None;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request = serde_json::from_str(&line.expect("a line")).expect("a request");
        let answer = answer(&database, &mut image, request)
            .unwrap_or_else(|Failed { error, index }| json!({ "error": message(&error), "index": index }));
        writeln!(out, "{answer}").and_then(|()| out.flush()).expect("a reader");
    }
}

fn answer(database: &Connection, image: &mut Option<Connection>, request: Request) -> Result<Value, Failed> {
    let at_first = |error| Failed { error, index: 0 };
    let results = match request {
        Request::Sql(statements) => transaction(database, &statements)?,
        Request::Query(sql) => vec![run(database, &sql).map_err(at_first)?],
        Request::Image(path) => {
            let opened = image.insert(open_image(&path).map_err(at_first)?);
            vec![run(opened, "PRAGMA integrity_check").map_err(at_first)?]
        }
        Request::QueryImage(sql) => {
            let image = image.as_ref().expect("an image");
            vec![run(image, &sql).map_err(at_first)?]
        }
    };
    Ok(json!({ "results": results }))
}

fn transaction(database: &Connection, statements: &[String]) -> Result<Vec<Value>, Failed> {
    let own = |sql| run(database, sql);
    own("BEGIN IMMEDIATE").expect("a transaction");
    let mut results = Vec::new();
    let mut index = 0;
    let ran = statements.iter().enumerate().try_for_each(|(number, sql)| {
        index = number;
        run(database, sql).map(|result| results.push(result))
    });
    match ran.and_then(|()| own("COMMIT")) {
        Ok(_committed) => Ok(results),
        Err(error) => {
            if !database.is_autocommit() {
                own("ROLLBACK").expect("a rollback");
            }
            Err(Failed { error, index })
        }
    }
}

/// SQLite's message alone.
fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        _ => error.to_string(),
    }
}
