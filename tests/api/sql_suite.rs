//! The scripts of tests/fixtures/sqllogictest over HTTP. Native SQLite has made their results (sqlite/README.md).

use std::path::PathBuf;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, Normalizer, Record, Runner, parse_file, strict_column_validator,
};

use crate::support::{Caller, TestApp};

/// A statement that begins with one of these words is a query.
const READS: [&str; 5] = ["select", "values", "with", "explain", "pragma"];
/// Scripts that run at the same time, each as its own payer.
const SCRIPTS_AT_ONCE: usize = 4;
/// Records of a script whose failures are told.
const FAILURES_TOLD_MAX: usize = 5;
/// Digits of a real. The last ones of a mathematical function depend on the build of SQLite.
const REAL_DIGITS: i32 = 12;

/// The database of a payer.
struct PayerDatabase {
    caller: Caller,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

#[async_trait]
impl AsyncDB for PayerDatabase {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let first = sql.split_whitespace().next().unwrap_or_default().to_lowercase();
        let path = if READS.contains(&first.as_str()) { "/v1/sql/query" } else { "/v1/sql/execute" };
        let answer = self.caller.post(path, json!({"sql": sql})).await;
        let body = answer.json();
        if !answer.status.is_success() {
            let detail = body["detail"].as_str().unwrap_or_default();
            return Err(Refused(match body["code"].as_str() {
                Some("sql-error") => detail.to_owned(),
                // SQLite has one message for both: no space, and no number left.
                Some("database-full") => "database or disk is full".to_owned(),
                code => format!("{}: {detail}", code.unwrap_or_default()),
            }));
        }
        assert_ne!(body["truncated"], true, "{sql}");
        let columns = body["columns"].as_array().unwrap();
        if columns.is_empty() {
            return Ok(DBOutput::StatementComplete(body["rowsAffected"].as_u64().unwrap()));
        }
        let rows =
            body["rows"].as_array().unwrap().iter().map(|row| row.as_array().unwrap().iter().map(form).collect());
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; columns.len()], rows: rows.collect() })
    }

    async fn shutdown(&mut self) {}
}

/// The text of a value in a script: as by SQLite's `quote()`, with 12 digits of a real.
fn form(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Number(number) if number.is_i64() => number.to_string(),
        Value::Number(number) => real(number.as_f64().unwrap()),
        Value::String(text) => quoted(text),
        Value::Object(members) => {
            let (kind, inner) = members.iter().next().unwrap();
            let inner = inner.as_str().unwrap();
            let bytes = || hex::encode(BASE64_STANDARD.decode(inner).unwrap());
            match kind.as_str() {
                "$int" => inner.to_owned(),
                "$real" => if inner == "Infinity" { "inf" } else { "-inf" }.to_owned(),
                "$blob" => format!("x'{}'", bytes()),
                _ => format!("text x'{}'", bytes()),
            }
        }
        Value::Bool(_) | Value::Array(_) => panic!("not a value of SQL: {value}"),
    }
}

/// As `%.12g` of C, but with a fraction or an exponent.
fn real(number: f64) -> String {
    let digits = usize::try_from(REAL_DIGITS - 1).unwrap();
    let scientific = format!("{number:.digits$e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let bare = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if !(-4..REAL_DIGITS).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", bare(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(REAL_DIGITS - 1 - exponent).unwrap();
    let fixed = format!("{number:.decimals$}");
    let fixed = if decimals > 0 { bare(&fixed) } else { fixed };
    if fixed.contains('.') { fixed } else { format!("{fixed}.0") }
}

/// In single quotes, and in one line.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|character| match character {
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\'' => "''".to_owned(),
        '\0'..' ' | '\u{7f}' => format!("\\x{:02x}", u32::from(character)),
        _ => character.to_string(),
    });
    format!("'{}'", escaped.collect::<String>())
}

fn are_equal(_unused: Normalizer, found: &[Vec<String>], expected: &[String]) -> bool {
    found.iter().map(|row| row.join("|")).eq(expected.iter().cloned())
}

/// Runs a script. Returns the number of its records, and what failed.
async fn run(caller: Caller, path: PathBuf) -> (usize, Vec<String>) {
    let mut runner = Runner::new(|| {
        let caller = caller.clone();
        async { Ok(PayerDatabase { caller }) }
    });
    runner.with_validator(are_equal);
    runner.with_column_validator(strict_column_validator);
    let records = parse_file::<DefaultColumnType>(&path).unwrap();
    let count = records.iter().filter(|it| matches!(it, Record::Statement { .. } | Record::Query { .. })).count();
    let mut failures = Vec::new();
    for record in records {
        if let Err(failure) = runner.run_async(record).await {
            failures.push(failure.to_string());
        }
    }
    (count, failures)
}

#[tokio::test]
async fn results_are_those_of_native_sqlite() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sqllogictest");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let scripts: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "slt")).collect();
    let app = TestApp::spawn().await;
    let runs = futures_util::stream::iter(scripts).map(|script| async { run(app.caller().await, script).await });
    let ran: Vec<(usize, Vec<String>)> = runs.buffer_unordered(SCRIPTS_AT_ONCE).collect().await;
    let count: usize = ran.iter().map(|(count, _)| count).sum();
    assert!(count > 9_000, "the scripts have {count} records");
    let failed: usize = ran.iter().map(|(_, failures)| failures.len()).sum();
    let told = ran.iter().flat_map(|(_, failures)| failures.iter().take(FAILURES_TOLD_MAX).cloned());
    assert!(failed == 0, "{failed} records failed:\n{}", told.collect::<Vec<_>>().join("\n"));
}
