//! Clients that generators make from the OpenAPI document: each calls every operation of the API that takes a token.
//!
//! `tests/generators/generate target/generators` makes and compiles them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::world::{Operation, Things, operations, owner, without_generated};
use crate::support::{Caller, TestApp};
use payerbase::app::document;
use secrecy::ExposeSecret as _;

/// The folder with the clients.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/generators")
}

/// A program with a generated client: it reads calls, and prints results.
struct Client {
    name: &'static str,
    calls: ChildStdin,
    results: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Client {
    fn start(name: &'static str, command: &[&str]) -> Self {
        let [program, arguments @ ..] = command else { panic!("a command") };
        let mut process = Command::new(program)
            .args(arguments)
            .current_dir(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; first run tests/generators/generate"));
        let (calls, results) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { name, calls, results: BufReader::new(results).lines(), _process: process }
    }

    async fn call(&mut self, call: &Value) -> Value {
        self.calls.write_all(format!("{call}\n").as_bytes()).await.unwrap();
        let line = self.results.next_line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("{} ended at {call}", self.name));
        serde_json::from_str(&line).unwrap()
    }
}

/// Tag and body schema of an operation.
fn described(document: &Value, operation: &Operation) -> (Value, Option<String>) {
    let described = &document["paths"][&operation.path][operation.verb.as_str().to_lowercase()];
    let schema = described["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
    (described["tags"][0].clone(), schema.map(|schema| schema.rsplit('/').next().unwrap().to_owned()))
}

/// Whether a client shows what the server answered. It may leave out `null`.
fn shows(shown: &Value, answered: &Value) -> bool {
    match (shown, answered) {
        (Value::Object(shown), Value::Object(answered)) => {
            // The grantee of each payer is another one.
            let mut compared = answered.iter().filter(|(name, _)| *name != "grantee");
            compared.all(|(name, value)| shown.get(name).map_or(value.is_null(), |shown| shows(shown, value)))
        }
        (Value::Array(shown), Value::Array(answered)) => {
            shown.len() == answered.len() && shown.iter().zip(answered).all(|(shown, value)| shows(shown, value))
        }
        (Value::Number(shown), Value::Number(answered)) => {
            // Some clients read vectors in single precision.
            let (shown, answered) = (shown.as_f64().unwrap(), answered.as_f64().unwrap());
            (shown - answered).abs() <= 1e-6 * answered.abs()
        }
        // A client may read a day as a time.
        (Value::String(shown), Value::String(answered)) => shown.trim_end_matches("T00:00:00.000Z") == answered,
        (shown, answered) => shown == answered,
    }
}

async fn calls_everything(mut client: Client) {
    let app = TestApp::spawn().await;
    let document: Value = serde_json::from_str(&document().v3_1.json).unwrap();
    let call = |operation: &Operation, caller: &Caller, things: &Things| {
        let (tag, schema) = described(&document, operation);
        let params: serde_json::Map<String, Value> =
            things.members(operation).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        json!({
            "url": app.url, "token": caller.token.as_ref().unwrap().expose_secret(),
            "operation": operation.name, "tag": tag, "verb": operation.verb.as_str(), "path": operation.path,
            "params": params, "schema": schema,
            "body": operation.examples.first().map(|example| things.body(caller, example)),
        })
    };
    let mut failures = Vec::new();
    for operation in operations() {
        // A payment of its own pays for credit.
        if operation.name == "topUp" || operation.name == "getPayment" {
            continue;
        }
        let (caller, things) = owner(&app).await;
        let answer = things.call(&caller, &operation, operation.examples.first()).await;
        let (other, others) = owner(&app).await;
        let shown = client.call(&call(&operation, &other, &others)).await;
        if !answer.status.is_success() || shown.get("error").is_some() {
            failures.push(format!("{}: {} {shown}", operation.name, answer.status));
        } else if answer.headers.get("content-type").is_some_and(|media| media == "application/json") {
            let (answered, shown) = (without_generated(&answer.ok()), without_generated(&shown["result"]));
            if !shows(&shown, &answered) {
                failures.push(format!("{}: {shown} for {answered}", operation.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}:\n{}", client.name, failures.join("\n"));
}

#[tokio::test]
#[ignore = "needs the clients of tests/generators/generate"]
async fn openapi_fetch() {
    calls_everything(Client::start("openapi-fetch", &["node", "openapi_fetch.mjs"])).await;
}

#[tokio::test]
#[ignore = "needs the clients of tests/generators/generate"]
async fn hey_api() {
    calls_everything(Client::start("hey-api", &["node", "hey_api.mjs"])).await;
}

#[tokio::test]
#[ignore = "needs the clients of tests/generators/generate"]
async fn openapi_python_client() {
    calls_everything(Client::start("openapi-python-client", &["venv/bin/python", "openapi_python_client.py"])).await;
}

/// The clients of openapi-generator, which `tests/generators/generate target/generators all` makes.
#[tokio::test]
#[ignore = "needs the clients of tests/generators/generate .. all"]
async fn all_generators() {
    calls_everything(Client::start("typescript-fetch", &["node", "typescript_fetch.mjs"])).await;
    calls_everything(Client::start("python", &["venv/bin/python", "openapi_generator_python.py"])).await;
    calls_everything(Client::start("go", &["./calls-go"])).await;
    calls_everything(Client::start("rust", &["rust/debug/openapi"])).await;
}
