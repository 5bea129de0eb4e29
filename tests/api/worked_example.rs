//! Runs the pages docs/WORKED-EXAMPLE.md, docs/MEMORIES.md, docs/SQL.md, docs/TESTING.md and docs/EXAMPLES.md from top to
//! bottom, and two parts of README.md.

use std::collections::HashMap;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{PayingWallet, TestApp};
use crate::test_kit;

/// The fenced blocks of a page: language and text.
pub fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap()).collect()
}

/// Whether an answer equals the documented one. Stores the values of names in angle brackets.
fn matches(documented: &Value, answered: &Value, known: &mut HashMap<String, String>) -> bool {
    match documented {
        Value::String(text) if text == ".." => true,
        Value::String(text) if text.starts_with('<') => {
            let value = answered.as_str().map_or_else(|| answered.to_string(), str::to_owned);
            known.insert(text.clone(), value);
            true
        }
        Value::Object(members) => members.iter().all(|(name, documented)| matches(documented, &answered[name], known)),
        Value::Array(items) => {
            let answers = answered.as_array().filter(|answers| answers.len() == items.len());
            answers.is_some_and(|answers| {
                items.iter().zip(answers).all(|(documented, answered)| matches(documented, answered, known))
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => documented == answered,
    }
}

#[tokio::test]
async fn the_worked_example_works() {
    assert!(run(include_str!("../../docs/WORKED-EXAMPLE.md")).await >= 9);
}

#[tokio::test]
async fn the_memories_page_works() {
    assert!(run(include_str!("../../docs/MEMORIES.md")).await >= 8);
}

#[tokio::test]
async fn the_sql_page_works() {
    assert!(run(include_str!("../../docs/SQL.md")).await >= 3);
}

#[tokio::test]
async fn the_page_about_tests_works() {
    assert_eq!(run_on(test_kit::app().await, include_str!("../../docs/TESTING.md")).await, 3);
}

/// How the page makes a token.
const NEW_TOKEN: &str =
    "$(cargo run -q -- token create --payer 0x$(python3 -c 'import secrets; print(secrets.token_hex(20))'))";

/// The curl examples of docs/EXAMPLES.md, in one shell. The JSON behind a block is its last answer.
/// The tests of the clients run its other examples.
#[tokio::test]
async fn the_curl_examples_work() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let token = caller.token.as_ref().unwrap().expose_secret();
    let page =
        include_str!("../../docs/EXAMPLES.md").replace("http://127.0.0.1:4402", &app.url).replace(NEW_TOKEN, token);
    assert!(page.contains(&format!("export TOKEN={token}\n")));
    let mut script = "set -eu; sign() { printf %s \"$1\" > message; cat signature; }\n".to_owned();
    let mut documented: Vec<Option<Value>> = Vec::new();
    for (language, text) in blocks(&page) {
        match language {
            "sh" => {
                script.push_str(&format!("{text}\necho '<end>'\n"));
                documented.push(None);
            }
            "json" => *documented.last_mut().unwrap() = Some(serde_json::from_str(text).unwrap()),
            _ => {}
        }
    }
    let output = in_shell_with_a_wallet(&script).await;
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut compared = 0;
    for (documented, printed) in documented.iter().zip(printed.split("<end>\n")) {
        let Some(documented) = documented else { continue };
        let answer: Value = serde_json::from_str(printed.trim_end().lines().last().unwrap()).unwrap();
        assert!(
            matches(documented, &answer, &mut HashMap::new()),
            "the page has\n{documented}\nand the server answers\n{answer}"
        );
        compared += 1;
    }
    assert!(compared >= 12);
}

/// Runs a script in an empty folder. Its function `sign` writes to one pipe and reads the signature from another one.
async fn in_shell_with_a_wallet(script: &str) -> std::process::Output {
    let folder = tempfile::tempdir().unwrap();
    let (message, signature) = (folder.path().join("message"), folder.path().join("signature"));
    let made = std::process::Command::new("mkfifo").args([&message, &signature]).status().unwrap();
    assert!(made.success());
    let wallet = PayingWallet::from_seed(rand::random());
    let address = wallet.address();
    // Beside the runtime, which would wait for it if the script ends before it signs.
    std::thread::spawn(move || {
        let text = std::fs::read_to_string(message).unwrap();
        std::fs::write(signature, wallet.personal_sign(&text)).unwrap();
    });
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", script]).env("ADDRESS", address).current_dir(folder.path()).output().await.unwrap()
}

/// The worker of the README: it takes a job, prints its payload and completes it.
#[tokio::test]
async fn the_worker_of_the_readme_works() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let job = caller.post("/v1/queues/mails/jobs", json!({"payload": {"to": "ada@example.com"}})).await.json();
    let (_, program) =
        blocks(include_str!("../../README.md")).into_iter().find(|(language, _)| *language == "python").unwrap();
    let mut worker = tokio::process::Command::new("python3");
    worker.args(["-c", &program.replace("http://127.0.0.1:4402", &app.url)]);
    let output = worker.env("TOKEN", caller.token.as_ref().unwrap().expose_secret()).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "{'to': 'ada@example.com'}");
    let id = job["id"].as_str().unwrap();
    assert_eq!(caller.get(&format!("/v1/jobs/{id}")).await.ok()["status"], "completed");
}

/// The curl lines of the README with which others call.
#[tokio::test]
async fn the_delegation_of_the_readme_works() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    let page = include_str!("../../README.md")
        .replace("0x52908400098527886e0f7030069857d2e4169ee7", owner.payer.as_str())
        .replace("0x8617e340b3d01fa5f11f306f4090fd50e238070d", agent.payer.as_str());
    let (_, section) = page.split_once("### Let others call").unwrap();
    let (section, _) = section.split_once("### ").unwrap();
    let between = |text: &str, from: &str, to: &str| -> Option<String> {
        Some(text.split_once(from)?.1.split_once(to)?.0.to_owned())
    };
    let mut sent = 0;
    for (_, block) in blocks(section) {
        let mut caller = if block.contains("$TOKEN") { owner.clone() } else { agent.clone() };
        if let Some(payer) = between(block, "Payerbase-Act-For: ", "'") {
            caller.headers.insert("payerbase-act-for", payer.parse().unwrap());
        }
        let path = between(block, "http://127.0.0.1:4402", " ").unwrap();
        let body = serde_json::from_str(&between(block, "-d '", "'").unwrap()).unwrap();
        let answer = caller.post(&path, body).await;
        assert_eq!(answer.status, 201, "{block}: {answer:?}");
        sent += 1;
    }
    assert_eq!((sent, &owner.get("/v1/queues/mails-today").await.ok()["pending"]), (3, &json!(1)));
}

/// Sends the requests of a page and compares the answers with those of the page. Returns the number of answers.
async fn run(page: &str) -> usize {
    run_on(TestApp::spawn().await, page).await
}

async fn run_on(app: TestApp, page: &str) -> usize {
    let payer = app.caller().await;
    let mut known = HashMap::new();
    let mut answer = None;
    let mut compared = 0;
    for (language, text) in blocks(page) {
        let text =
            known.iter().fold(text.to_owned(), |text, (name, value): (&String, &String)| text.replace(name, value));
        if ["sh", "rust", "js"].contains(&language) {
            continue;
        }
        if language == "json" {
            let (documented, answer): (Value, Value) = (serde_json::from_str(&text).unwrap(), answer.take().unwrap());
            assert!(
                matches(&documented, &answer, &mut known),
                "the page has\n{documented}\nand the server answers\n{answer}"
            );
            compared += 1;
            continue;
        }
        let mut lines = text.lines();
        let (verb, path) = lines.next().unwrap().split_once(' ').unwrap();
        let mut caller = payer.clone();
        let mut body = String::new();
        for line in lines {
            match line.split_once(": ").filter(|_| body.is_empty() && !line.starts_with('{')) {
                Some((name, value)) => {
                    let name: reqwest::header::HeaderName = name.parse().unwrap();
                    caller.headers.insert(name, value.parse().unwrap());
                }
                None => body.push_str(line),
            }
        }
        let body = (!body.is_empty()).then(|| ("application/json", body.into_bytes()));
        let answered = caller.send(verb.parse().unwrap(), path, body).await;
        answer = (!answered.text.is_empty()).then(|| answered.json());
    }
    compared
}
