//! Hostile SQL: each case of `fixtures/sql_attacks.json` ends as the file says, and changes nothing else.
//!
//! A text of a case is a string, a list of texts that belong together, or a text that is repeated: `{n}` is its number.

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp};

const FILE: &str = include_str!("fixtures/sql_attacks.json");

/// Calls that run at the same time. Two of them run in the slow worker, and the others wait no longer than they may.
const AT_ONCE: usize = 4;
/// How often a call is sent again that found a machine too busy for it.
const TRIES: usize = 5;

const SCHEMA: &str = "select type, name, tbl_name, sql from sqlite_schema order by type, name";

#[derive(Deserialize)]
struct Attacks {
    cases: Vec<Attack>,
    /// Statements that need more time or memory than a call has.
    endless: Vec<Attack>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attack {
    name: String,
    /// `query`, `execute` or `batch`.
    call: String,
    /// Statements before it.
    #[serde(default)]
    given: Vec<Text>,
    sql: Option<Text>,
    statements: Option<Vec<Text>>,
    params: Option<Value>,
    /// Members of the answer. `code` may have alternatives, separated by `|`, and `detail` is a part of the text.
    expect: Value,
    /// Queries after it, and their rows.
    #[serde(default)]
    then: Vec<(String, Value)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Repeated(Repeated),
    Parts(Vec<Text>),
}

#[derive(Deserialize)]
struct Repeated {
    repeat: String,
    times: usize,
    #[serde(default)]
    between: String,
}

impl Repeated {
    fn of(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }

    fn texts(&self) -> Vec<String> {
        (1..=self.times).map(|number| self.repeat.replace("{n}", &number.to_string())).collect()
    }

    fn joined(&self) -> String {
        self.texts().join(&self.between)
    }
}

impl Text {
    fn whole(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Repeated(repeated) => repeated.joined(),
            Self::Parts(parts) => parts.iter().map(Self::whole).collect(),
        }
    }

    /// In a list of statements, a text that is repeated is several statements.
    fn statements(&self) -> Vec<String> {
        match self {
            Self::Repeated(repeated) => repeated.texts(),
            Self::Plain(_) | Self::Parts(_) => vec![self.whole()],
        }
    }
}

/// A list of values, of which each may be repeated, or a number that is repeated.
fn params(value: &Value) -> Value {
    match (value, Repeated::of(value)) {
        (_, Some(numbers)) => numbers.texts().iter().map(|number| number.parse::<i64>().unwrap()).collect(),
        (Value::Array(values), None) => {
            let one = |value: &Value| Repeated::of(value).map_or_else(|| value.clone(), |text| json!(text.joined()));
            values.iter().map(one).collect()
        }
        (named, None) => named.clone(),
    }
}

fn batch(texts: &[Text]) -> Value {
    let statements: Vec<Value> = texts.iter().flat_map(Text::statements).map(|sql| json!({ "sql": sql })).collect();
    json!({ "statements": statements })
}

async fn rows(caller: &Caller, sql: &str) -> Value {
    caller.post("/v1/sql/query", json!({ "sql": sql })).await.ok()["rows"].clone()
}

/// Whether the members that are expected are there.
fn fits(expected: &Value, actual: &Value) -> bool {
    let member = |name: &str, expected: &Value| match (name, expected, &actual[name]) {
        ("code", Value::String(codes), Value::String(code)) => codes.split('|').any(|one| one == code),
        ("detail", Value::String(part), Value::String(detail)) => detail.contains(part),
        (_, expected, actual) => fits(expected, actual),
    };
    match (expected, actual) {
        (Value::Object(members), Value::Object(_)) => members.iter().all(|(name, value)| member(name, value)),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| fits(one, other))
        }
        (expected, actual) => expected == actual,
    }
}

impl Attack {
    async fn send(&self, caller: &Caller) -> Answer {
        let mut body = match (&self.sql, &self.statements) {
            (Some(sql), None) => json!({ "sql": sql.whole() }),
            (None, Some(statements)) => batch(statements),
            (Some(_), Some(_)) | (None, None) => panic!("{}: `sql` or `statements`", self.name),
        };
        if let Some(given) = &self.params {
            body["params"] = params(given);
        }
        caller.post(&format!("/v1/sql/{}", self.call), body).await
    }

    /// Sends it again while the machine is too busy.
    async fn answer(&self, caller: &Caller) -> Answer {
        let mut answer = self.send(caller).await;
        for _ in 1..TRIES {
            if answer.status != 503 {
                break;
            }
            answer = self.send(caller).await;
        }
        answer
    }

    /// Runs it for a new payer. Returns what is wrong afterwards.
    async fn faults(&self, app: &TestApp) -> Vec<String> {
        // On a busy machine, the slow worker takes longer than the client of a test waits.
        let caller = Caller { client: reqwest::Client::new(), ..app.caller().await };
        let kept = ["create table kept (id integer primary key, name text)", "insert into kept values (1, 'theirs')"];
        caller.post("/v1/sql/batch", batch(&kept.map(|sql| Text::Plain(sql.to_owned())))).await.ok();
        if !self.given.is_empty() {
            caller.post("/v1/sql/batch", batch(&self.given)).await.ok();
        }
        let schema = rows(&caller, SCHEMA).await;
        let answer = self.answer(&caller).await;
        let is_refused = !answer.status.is_success();
        let mut faults = Vec::new();
        if !fits(&self.expect, &answer.json()) {
            let text: String = answer.text.chars().take(500).collect();
            faults.push(format!("expected {}, got {} {text}", self.expect, answer.status));
        } else if let Some(code) = self.expect["code"].as_str() {
            let status = if code == "database-full" { 403 } else { 422 };
            let code = answer.json()["code"].as_str().unwrap().to_owned();
            answer.problem(status, &code);
        } else if is_refused {
            faults.push(format!("expected a success, got {}", answer.text));
        }
        let mut checks = vec![("select id, name from kept".to_owned(), json!([[1, "theirs"]]))];
        if is_refused || self.call == "query" {
            checks.push((SCHEMA.to_owned(), schema));
        }
        for (sql, expected) in checks.iter().chain(&self.then) {
            let after = rows(&caller, sql).await;
            if after != *expected {
                faults.push(format!("afterwards, `{sql}` is {after} instead of {expected}"));
            }
        }
        faults.into_iter().map(|fault| format!("{}: {fault}", self.name)).collect()
    }
}

async fn run(attacks: &[Attack], app: &TestApp) {
    let mut faults = Vec::new();
    for some in attacks.chunks(AT_ONCE) {
        faults.extend(join_all(some.iter().map(|attack| attack.faults(app))).await.into_iter().flatten());
    }
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), attacks.len(), faults.join("\n"));
}

fn attacks() -> Attacks {
    serde_json::from_str(FILE).unwrap()
}

/// No attack may end a worker.
async fn assert_one_start(app: &TestApp, worker: &str) {
    let metrics = app.client.get(format!("{}/metrics", app.url)).send().await.unwrap().text().await.unwrap();
    let line = format!("payerbase_sql_worker_starts_total{{worker=\"{worker}\"}} 1\n");
    assert!(metrics.contains(&line), "the {worker} worker died: {metrics}");
}

#[tokio::test]
async fn each_attack_ends_as_expected_and_changes_nothing_else() {
    let (app, attacks) = (TestApp::spawn().await, attacks());
    assert!(attacks.cases.len() >= 500, "{}", attacks.cases.len());
    run(&attacks.cases, &app).await;
    assert_one_start(&app, "fast").await;
}

#[tokio::test]
async fn statements_without_an_end_are_stopped() {
    let (app, attacks) = (TestApp::spawn().await, attacks());
    assert!(attacks.endless.len() >= 15, "{}", attacks.endless.len());
    run(&attacks.endless, &app).await;
    assert_one_start(&app, "fast").await;
    assert_one_start(&app, "slow").await;
}
