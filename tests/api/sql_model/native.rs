//! The program of sqlite/native: SQLite as a native program, with an empty database.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::outcome::{Outcome, Refused};

/// The environment variable with the path of the program.
pub const PROGRAM: &str = "PAYERBASE_TEST_NATIVE_SQLITE";

pub struct Native {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Native {
    pub fn start() -> Self {
        let program = std::env::var(PROGRAM).unwrap_or_else(|_unset| {
            panic!("{PROGRAM} must be the path of the program of sqlite/native (see its README)")
        });
        // The time zone of payerbase's SQLite is UTC.
        let mut command = Command::new(program);
        command.env("TZ", "UTC").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the program of sqlite/native");
        let requests = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, requests, answers }
    }

    /// Runs statements as one transaction.
    pub fn run(&mut self, statements: &[&str]) -> Outcome {
        self.send(&json!({"sql": statements}))
    }

    pub fn query(&mut self, sql: &str) -> Outcome {
        self.send(&json!({"query": sql}))
    }

    /// The rows of a query that must succeed.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Value>> {
        rows(self.query(sql))
    }

    /// Opens the file of a database, and returns what `PRAGMA integrity_check` says.
    pub fn open_image(&mut self, path: &str) -> Vec<Vec<Value>> {
        rows(self.send(&json!({"image": path})))
    }

    /// The rows of a query in the image.
    pub fn rows_of_image(&mut self, sql: &str) -> Vec<Vec<Value>> {
        rows(self.send(&json!({"queryImage": sql})))
    }

    fn send(&mut self, request: &Value) -> Outcome {
        writeln!(self.requests, "{request}").unwrap();
        self.requests.flush().unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).expect("an answer of the native program");
        match answer["error"].as_str() {
            None => Ok(serde_json::from_value(answer["results"].take()).unwrap()),
            Some(error) => {
                Err(Refused { message: error.to_owned(), index: answer["index"].as_u64().unwrap().try_into().unwrap() })
            }
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn rows(outcome: Outcome) -> Vec<Vec<Value>> {
    let result = outcome.unwrap().into_iter().next().unwrap();
    serde_json::from_value(result["rows"].clone()).unwrap()
}
