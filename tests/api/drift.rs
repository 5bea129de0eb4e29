//! The committed generated files equal those that the code generates. Adopt a change with
//! `PAYERBASE_TEST_ADOPT=1 cargo test --test api drift`.

use std::path::Path;

use payerbase::app::document;
use payerbase::config::variables_markdown;
use payerbase::problem::catalogue_markdown;
use serde_json::Value;

use crate::support::world::{operations, owner};

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
        panic!("{path} differs from the generated text:\n{diff}\nadopt it with: {ADOPT}");
    }
}

#[test]
fn the_openapi_document_is_up_to_date() {
    is_committed("openapi/openapi.json", &document().v3_1.json);
    assert!(!document().v3_1.json.contains("{{"), "every limit placeholder is replaced");
}

#[test]
fn the_problem_catalogue_is_up_to_date() {
    is_committed("docs/problems.md", &catalogue_markdown());
}

#[test]
fn the_settings_table_is_up_to_date() {
    is_committed("docs/CONFIGURATION.md", &variables_markdown());
}

#[test]
fn the_limits_table_is_up_to_date() {
    is_committed("docs/LIMITS.md", &payerbase::limits_markdown());
}

/// The number of the installed functions grows with each change of their text, so that an older version never replaces newer
/// functions.
#[test]
fn the_revision_of_the_functions_is_up_to_date() {
    let committed = include_str!("../../src/db/revision.txt");
    let (revision, digest) = committed.trim().split_once(' ').unwrap();
    let now = payerbase::schema().digest();
    let next = revision.parse::<u32>().unwrap() + u32::from(digest != now);
    is_committed("src/db/revision.txt", &format!("{next} {now}\n"));
}

#[test]
fn every_operation_documents_its_purpose_and_its_problems() {
    let document: Value = serde_json::from_str(&document().v3_1.json).unwrap();
    let mut described = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{verb} {path} has no name"));
            for text in ["summary", "description"] {
                assert!(operation[text].as_str().is_some_and(|text| text.len() > 10), "{name} has no {text}");
            }
            let responses = operation["responses"].as_object().unwrap();
            if path.starts_with("/v1") && !path.starts_with("/v1/auth/") {
                for status in ["400", "401", "422", "500", "503"] {
                    assert!(responses.contains_key(status), "{name} does not document {status}");
                }
                described.push(name.to_owned());
            }
        }
    }
    let mut methods: Vec<String> = payerbase::methods().iter().map(|method| method.spec.name.to_owned()).collect();
    methods.push("transact".to_owned());
    described.sort_unstable();
    methods.sort_unstable();
    assert_eq!(described, methods, "each operation is a method, and each method an operation");
}

/// Sends each request example as a payer that owns the resources in it.
#[tokio::test]
async fn every_request_example_succeeds() {
    let app = crate::support::TestApp::spawn().await;
    let mut sent = 0;
    for operation in operations() {
        for example in &operation.examples {
            let (caller, things) = owner(&app).await;
            let answer = things.call(&caller, &operation, Some(example)).await;
            assert!(answer.status.is_success(), "{} {example}: {answer:?}", operation.name);
            sent += 1;
        }
    }
    assert!(sent >= 25, "{sent}");
}

/// Each operation accepts `null` where the document allows it.
#[tokio::test]
async fn a_member_accepts_null_where_the_document_allows_it() {
    let app = crate::support::TestApp::spawn().await;
    let document: Value = serde_json::from_str(&document().v3_1.json).unwrap();
    let mut sent = 0;
    for operation in operations() {
        let verb = operation.verb.as_str().to_lowercase();
        let body = &document["paths"][&operation.path][verb]["requestBody"]["content"]["application/json"]["schema"];
        let Some(schema) = body["$ref"].as_str().and_then(|name| document.pointer(name.trim_start_matches('#'))) else {
            continue;
        };
        for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
            let one_of = schema["oneOf"].as_array().into_iter().flatten();
            let types = one_of.map(|one| &one["type"]).chain(schema["type"].as_array().into_iter().flatten());
            if types.into_iter().any(|of_type| of_type == "null") {
                let (caller, things) = owner(&app).await;
                let mut example = operation.examples[0].clone();
                example[member] = Value::Null;
                let answer = things.call(&caller, &operation, Some(&example)).await;
                assert_ne!(answer.status, 400, "{} {example}: {answer:?}", operation.name);
                sent += 1;
            }
        }
    }
    assert!(sent >= 20, "{sent}");
}

/// A schema that forbids additional properties cannot be a part of an `allOf`: it would refuse the properties of the
/// other parts.
#[test]
fn no_part_of_an_all_of_forbids_additional_properties() {
    let document: Value = serde_json::from_str(&document().v3_1.json).unwrap();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let pointer = part["$ref"].as_str().unwrap_or("#").trim_start_matches('#');
            let closed = [Some(part), document.pointer(pointer).filter(|_| !pointer.is_empty())];
            let is_closed = closed.iter().flatten().any(|part| part["additionalProperties"] == false);
            assert!(!is_closed, "{name}: {part}");
        }
    }
}

/// Clients generated from the document can send its examples.
#[test]
fn request_examples_have_only_documented_members() {
    let document: Value = serde_json::from_str(&document().v3_1.json).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            let content = &operation["requestBody"]["content"]["application/json"];
            let Some(reference) = content["schema"]["$ref"].as_str() else { continue };
            let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
            for example in content["examples"].as_object().unwrap().values() {
                for member in example["value"].as_object().unwrap().keys() {
                    assert!(schema["properties"].get(member).is_some(), "{verb} {path}: {member} is not in {schema}");
                }
            }
        }
    }
}
