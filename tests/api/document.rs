//! The OpenAPI document as generated clients and the rendered page use it.

use std::sync::LazyLock;

use payerbase::app::document;
use payerbase::problem::Code;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::{operations, owner};
use crate::support::{Caller, TestApp};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&document().v3_1.json).unwrap());

/// Calls `look` for every object of the document except for values: examples and defaults. A property may have their names.
fn visit(value: &Value, look: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(members) => {
            look(value);
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("example" | "examples" | "default", _) => {}
                    ("properties", Value::Object(properties)) => {
                        properties.values().for_each(|property| visit(property, look));
                    }
                    (_, member) => visit(member, look),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Generators read an object without members as one that may have none.
#[test]
fn an_object_declares_its_members_or_takes_any() {
    let mut seen = 0;
    visit(&DOCUMENT, &mut |schema| {
        if schema["type"] == "object" {
            let is_declared = schema.get("properties").is_some() || schema.get("additionalProperties").is_some();
            assert!(is_declared, "{schema}");
            seen += 1;
        }
    });
    assert!(seen > 50, "{seen}");
}

#[test]
fn every_reference_leads_to_a_component_and_every_schema_says_what_it_is() {
    visit(&DOCUMENT, &mut |value| {
        let mut members = value.as_object().unwrap().iter();
        assert!(members.all(|(name, member)| !member.is_null() || name == "example"), "{value}");
        for kind in value["oneOf"].as_array().into_iter().flatten() {
            let is_lost = kind.get("$ref").is_some() && kind.get("description").is_some();
            assert!(!is_lost, "generators do not read this description: {value}");
        }
        if let Some(reference) = value["$ref"].as_str() {
            let target = DOCUMENT.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some(), "{reference}");
            assert!(value.get("default").is_none() || reference.contains("OnBound") || reference.contains("TagsMatch"));
        }
    });
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        assert!(schema.get("$ref").is_none(), "{name} is a mere reference: Rust and Go cannot compile it");
        assert!(name.chars().all(char::is_alphanumeric), "{name}");
        // `NewX(..)` is the constructor of `X` in Go.
        let constructed = name.strip_prefix("New").map(|of| DOCUMENT["components"]["schemas"].get(of));
        assert!(constructed.is_none_or(|of| of.is_none()), "{name}");
        let members = schema["properties"].as_object().into_iter().flatten();
        for (member, _) in members {
            let mut chars = member.strip_prefix("has").unwrap_or_default().chars();
            let Some(first) = chars.next() else { continue };
            // An optional member `x` has the method `HasX` in Go.
            let of = first.to_lowercase().chain(chars).collect::<String>();
            let is_required = schema["required"].as_array().unwrap().contains(&json!(of));
            assert!(is_required || schema["properties"].get(&of).is_none(), "{name}.{member} and {of}");
        }
    }
}

#[test]
fn pages_refer_to_their_items() {
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    let pages: Vec<&String> = schemas.keys().filter(|name| name.ends_with("Page")).collect();
    assert_eq!(
        pages,
        [
            "AuditEntryPage",
            "CounterPage",
            "GrantPage",
            "JobPage",
            "LedgerEntryPage",
            "LinkPage",
            "LockPage",
            "MemoryPage",
            "PaymentPage",
            "QueueStatusPage",
            "TokenPage"
        ]
    );
    for page in pages {
        let item = format!("#/components/schemas/{}", page.trim_end_matches("Page"));
        assert_eq!(schemas[page]["properties"]["items"]["items"], json!({"$ref": item}));
    }
}

#[test]
fn a_problem_declares_its_codes_and_its_members() {
    let schemas = &DOCUMENT["components"]["schemas"];
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.slug()).collect();
    assert_eq!(schemas["ProblemCode"]["enum"], json!(codes));
    for (name, example) in DOCUMENT["components"]["examples"].as_object().unwrap() {
        for member in example["value"].as_object().unwrap().keys() {
            assert!(schemas["Problem"]["properties"].get(member).is_some(), "{name}: {member}");
        }
    }
}

/// The rendered page sends the examples of parameters.
#[test]
fn no_parameter_has_an_example_that_makes_a_first_try_fail() {
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let resolved = |value: &'static Value| {
                    let reference = value["$ref"].as_str();
                    reference.map_or(value, |to| DOCUMENT.pointer(to.trim_start_matches('#')).unwrap())
                };
                let parameter = resolved(parameter);
                let schema = resolved(&parameter["schema"]);
                let example = parameter.get("example").or_else(|| schema.get("example"));
                let is_free = ["cursor", "slug", "Payerbase-Guard", "Payerbase-Act-For", "Idempotency-Key"]
                    .contains(&parameter["name"].as_str().unwrap());
                let of_ids = ["/v1/jobs/{id}", "/v1/tokens/{id}", "/v1/grants/{id}", "/v1/payments/{id}"];
                let is_free = is_free || of_ids.iter().any(|begin| path.starts_with(begin));
                assert!(!is_free || example.is_none(), "{path}: {parameter}");
                assert!(is_free || parameter["in"] != "path" || example.is_some(), "{path}: {parameter}");
            }
        }
    }
}

/// What the answers of earlier operations give to later ones.
#[derive(Default)]
struct Made {
    slug: String,
    /// Ids of a token and of a grant.
    token: String,
    grant: String,
    /// Ids and leases of running jobs.
    running: Vec<(String, String)>,
}

impl Made {
    fn learn(&mut self, answer: &Value) {
        if let Some(slug) = answer["slug"].as_str() {
            self.slug = slug.to_owned();
        }
        if answer["grantee"].is_string() {
            self.grant = answer["id"].as_str().unwrap().to_owned();
        } else if answer["createdBy"].is_string() {
            self.token = answer["id"].as_str().unwrap().to_owned();
        }
        for job in answer["jobs"].as_array().into_iter().flatten().chain([answer]) {
            if let (Some(id), Some(lease)) = (job["id"].as_str(), job["lease"].as_str()) {
                self.running.push((id.to_owned(), lease.to_owned()));
            }
        }
    }
}

/// Sends one example of an operation with the names of the document.
async fn try_out(
    caller: &Caller,
    verb: &str,
    path: &str,
    operation: &Value,
    example: &Value,
    made: &mut Made,
) -> Value {
    let name = operation["operationId"].as_str().unwrap();
    let mut body = example.clone();
    let mut at = path.replace("{slug}", &made.slug).replace("tokens/{id}", &format!("tokens/{}", made.token));
    at = at.replace("grants/{id}", &format!("grants/{}", made.grant));
    if path.contains("/jobs/{id}") {
        let (id, lease) = made.running.last().cloned().expect("a running job");
        if name != "extendJob" {
            made.running.pop();
        }
        at = at.replace("{id}", &id);
        if body.get("lease").is_some() {
            body["lease"] = lease.into();
        }
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if let (Some(name), Some(example)) = (parameter["name"].as_str(), parameter["example"].as_str()) {
            at = at.replace(&format!("{{{name}}}"), example);
        }
    }
    let answer = caller.send_json(Method::from_bytes(verb.to_uppercase().as_bytes()).unwrap(), &at, body.clone()).await;
    assert!(answer.status.is_success(), "{name} {body}: {answer:?}");
    let answer = answer.ok();
    made.learn(&answer);
    answer
}

/// What a newcomer does on the rendered page: each example in the order of the document, as a payer without data.
#[tokio::test]
async fn the_examples_of_the_document_follow_each_other() {
    let app = TestApp::spawn().await;
    for only_first in [true, false] {
        let (caller, mut made) = (app.caller().await, Made::default());
        for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
            for (verb, operation) in item.as_object().unwrap() {
                // Its signature is made by a wallet; it is about another payer, so that a newcomer erases nothing.
                if path == "/v1/auth/verify" || path == "/v1/me/erase" {
                    continue;
                }
                let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
                let examples = examples.as_object().into_iter().flatten().take(if only_first { 1 } else { 9 });
                for (name, example) in examples {
                    let answer = try_out(&caller, verb, path, operation, &example["value"], &mut made).await;
                    if operation["operationId"] == "searchMemories" && name == "question" {
                        assert_ne!(answer["results"], json!([]), "the search finds what was stored");
                    }
                }
            }
        }
        let jobs = caller.get("/v1/queues/mails").await.ok();
        assert!(jobs["total"].as_i64().unwrap() >= 4, "{jobs}");
    }
}

/// For an optional member, `null` means that it is absent, or clears the value; the document allows it, and the server
/// takes it.
#[tokio::test]
async fn every_optional_member_of_a_request_may_be_null() {
    let app = TestApp::spawn().await;
    let schemas = &DOCUMENT["components"]["schemas"];
    let mut sent = 0;
    for operation in operations() {
        let verb = operation.verb.as_str().to_lowercase();
        let body = &DOCUMENT["paths"][&operation.path][verb]["requestBody"]["content"]["application/json"]["schema"];
        let Some(name) = body["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) else { continue };
        let required = schemas[name]["required"].as_array().cloned().unwrap_or_default();
        for (member, schema) in schemas[name]["properties"].as_object().unwrap() {
            if required.contains(&json!(member)) {
                continue;
            }
            let of_null = json!({"type": "null"});
            let is_any = ["type", "oneOf", "$ref"].iter().all(|kind| schema.get(kind).is_none());
            let allows = schema["oneOf"].as_array().is_some_and(|kinds| kinds.contains(&of_null));
            let allows = allows || schema["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("null")));
            assert!(is_any || allows, "{name}.{member}: {schema}");
            let (caller, things) = owner(&app).await;
            let mut example = operation.examples[0].clone();
            example[member] = Value::Null;
            let answer = things.call(&caller, &operation, Some(&example)).await;
            // A model without its vector is refused, and so are a search without a query and a statement without values.
            let is_alone = ["embedding", "query", "params"].contains(&member.as_str());
            assert!(answer.status.is_success() || is_alone && answer.status == 422, "{name}.{member}: {answer:?}");
            sent += 1;
        }
    }
    assert!(sent >= 40, "{sent}");
    let caller = app.caller().await;
    let batch = json!({"memories": [{"id": null, "content": "a", "tags": null, "importance": null}]});
    caller.post("/v1/memories/batch", batch).await.ok();
    let jobs = json!({"jobs": [{"payload": null, "priority": null, "maxAttempts": null, "backoffMs": null}]});
    caller.post("/v1/queues/q/jobs/batch", jobs).await.ok();
    let call = json!({"method": "increment", "params": {"name": "a", "amount": null}, "as": null, "guard": null});
    let calls = json!({"calls": [call, {"method": "getCounter", "params": {"name": "a"}}]});
    assert_eq!(caller.post("/v1/transaction", calls).await.ok()["results"][1]["value"], 1);
}

/// A client that has the document does not get it again.
#[tokio::test]
async fn a_known_document_is_not_sent_again() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    let first = caller.get("/openapi.json").await;
    let tag = first.headers["etag"].to_str().unwrap();
    assert!(first.status == 200 && tag.starts_with("W/\""), "{tag}");
    let known = [(tag, 304), ("*", 304), (&format!("\"other\", {tag}"), 304), ("\"other\"", 200), ("?", 200)];
    for (known, status) in known {
        caller.headers.insert("if-none-match", known.parse().unwrap());
        let answer = caller.get("/openapi.json").await;
        assert_eq!((answer.status.as_u16(), answer.headers["etag"].to_str().unwrap()), (status, tag));
    }
}

/// Each method that a transaction may contain has a schema of its call.
#[test]
fn every_call_of_a_transaction_is_typed() {
    let schemas = &DOCUMENT["components"]["schemas"];
    let mapping = schemas["TransactedCall"]["discriminator"]["mapping"].as_object().unwrap();
    let methods = payerbase::methods();
    let named: Vec<&str> = methods
        .iter()
        .map(|method| method.spec)
        .filter(|spec| spec.can_be_transacted())
        .map(|spec| spec.name)
        .collect();
    let mut typed: Vec<&str> = mapping.keys().map(String::as_str).collect();
    typed.sort_unstable_by_key(|name| named.iter().position(|known| known == name));
    assert_eq!(typed, named);
    for (name, reference) in mapping {
        let call = DOCUMENT.pointer(reference.as_str().unwrap().trim_start_matches('#')).unwrap();
        assert_eq!(call["properties"]["method"]["enum"], json!([name]));
        let params = call["properties"]["params"]["$ref"].as_str().unwrap();
        let params = DOCUMENT.pointer(params.trim_start_matches('#')).unwrap();
        assert!(params["properties"].get("waitMs").is_none(), "{name}");
        let spec = methods.iter().map(|method| method.spec).find(|spec| spec.name == name).unwrap();
        for (member, _) in spec.refs {
            assert!(params["properties"].get(member).is_some(), "{name} has no {member}");
        }
    }
    let takes_reference = |schema: &Value| schema.to_string().contains("/ResultReference");
    let params = |name: &str| &schemas[name]["properties"];
    assert!(takes_reference(&params("IncrementParams")["amount"]) && takes_reference(&params("GetJobParams")["id"]));
    assert!(!takes_reference(&params("IncrementParams")["onBound"]), "the server takes no reference there");
}

/// What many operations answer stands once: that is half of the document.
#[test]
fn problems_are_declared_once() {
    let mut seen = 0;
    for item in DOCUMENT["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_problem = status.starts_with(['4', '5']);
                assert_eq!(response.get("$ref").is_some(), is_problem, "{status} of {}", operation["operationId"]);
                seen += usize::from(is_problem);
            }
        }
    }
    let declared = DOCUMENT["components"]["responses"].as_object().unwrap().len();
    assert!(seen > 700 && declared < 60, "{declared} of {seen}");
    assert!(DOCUMENT.to_string().len() < 340_000);
}

/// Generators of OpenAPI 3.0 stop at words of 3.1, and at an operation with two bodies of success.
#[test]
fn the_document_in_3_0_has_the_same_operations_in_older_words() {
    let older: Value = serde_json::from_str(&document().v3_0.json).unwrap();
    assert_eq!(older["openapi"], "3.0.3");
    visit(&older, &mut |value| {
        assert!(!value["type"].is_array() && value["type"] != "null", "{value}");
        let is_alone = value["$ref"].as_str().is_none_or(|_| value.as_object().unwrap().len() == 1);
        assert!(is_alone && value["nullable"].as_bool().is_none_or(|_| value["type"].is_string()), "{value}");
    });
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            let same = &older["paths"][path][verb];
            assert_eq!(same["operationId"], operation["operationId"]);
            let successes = same["responses"].as_object().unwrap().iter().filter(|(status, _)| status.starts_with('2'));
            let bodies: Vec<&Value> = successes.map(|(_, response)| &response["content"]).collect();
            assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{path}: {bodies:?}");
        }
    }
}
