//! What is generated and committed equals what the code says. Adopt a change with
//! `PAYERBASE_TEST_ADOPT=1 cargo test --test api drift`.

use std::path::Path;

use payerbase::app::document;
use payerbase::config::variables_markdown;
use payerbase::problem::catalogue_markdown;
use serde_json::Value;

const ADOPT: &str = "PAYERBASE_TEST_ADOPT=1 cargo test --test api drift";

#[track_caller]
fn is_committed(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("PAYERBASE_TEST_ADOPT").is_some() {
        std::fs::write(&file, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if committed != generated {
        let diff = similar::TextDiff::from_lines(&committed, generated);
        let diff = diff.unified_diff().header(path, "generated").to_string();
        panic!("{path} is not what the code says:\n{diff}\nadopt it with: {ADOPT}");
    }
}

#[test]
fn drift_of_the_openapi_document() {
    is_committed("openapi/openapi.json", &document().json);
}

#[test]
fn drift_of_the_catalogue_of_problems() {
    is_committed("docs/problems.md", &catalogue_markdown());
}

#[test]
fn drift_of_the_table_of_settings() {
    is_committed("docs/CONFIGURATION.md", &variables_markdown());
}

#[test]
fn every_operation_says_what_it_does_and_how_it_can_fail() {
    let document: Value = serde_json::from_str(&document().json).unwrap();
    let specs = payerbase::specs();
    let mut described = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{verb} {path} has no name"));
            for text in ["summary", "description"] {
                assert!(operation[text].as_str().is_some_and(|text| text.len() > 10), "{name} has no {text}");
            }
            let responses = operation["responses"].as_object().unwrap();
            if path.starts_with("/v1") {
                for status in ["400", "401", "422", "500", "503"] {
                    assert!(responses.contains_key(status), "{name} does not say {status}");
                }
                described.push(name.to_owned());
            }
        }
    }
    let mut methods: Vec<String> = specs.iter().map(|spec| spec.name.to_owned()).collect();
    described.sort_unstable();
    methods.sort_unstable();
    assert_eq!(described, methods, "operations are methods, one to one");
}

/// The examples of requests are sent, in the order of the document, and every one of them works.
#[tokio::test]
async fn the_examples_of_requests_are_real() {
    let app = crate::support::TestApp::spawn().await;
    let document: Value = serde_json::from_str(&document().json).unwrap();
    let mut sent = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
            for (name, example) in examples.as_object().into_iter().flatten() {
                let caller = app.caller().await;
                caller.increment("visits", serde_json::json!({"amount": 100})).await.ok();
                let body = example["value"].to_string().into_bytes();
                let path = path.replace("{name}", "visits");
                let answer =
                    caller.send(verb.to_uppercase().parse().unwrap(), &path, Some(("application/json", body))).await;
                assert!(answer.status.is_success(), "{verb} {path} {name}: {answer:?}");
                sent += 1;
            }
        }
    }
    assert!(sent >= 5, "{sent}");
}
