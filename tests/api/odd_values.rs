//! Random values that JSON allows: no call answers with a server error, and the lists of the payer can still be read.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::support::model::run_cases;
use crate::support::world::{Operation, Things, operations};
use crate::support::{Answer, Caller, TestApp};
use crate::values::lists;

/// JSON texts at the edges of types, of PostgreSQL and of this API.
const ODD: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "\" \"",
    "0",
    "-0",
    "-0.0",
    "1.0",
    "1e3",
    "1.5",
    "-1",
    "1e400",
    "1e-400",
    "1e18",
    "1.7976931348623157e308",
    "-1.7976931348623157e308",
    "5e-324",
    "9007199254740993",
    "9007199254740993.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "31536000000",
    "315360000000",
    "32768",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\udfff\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\\uffff\\ufffe\"",
    "\"\\u0001\\u001f\\u007f\\u0085\"",
    "\"\\u202e\\u200d\\ufeff\"",
    "\"a\\u0301\\u0301\\u0301\"",
    "\"\\\\u0000\"",
    "\"%00\"",
    "\"..\"",
    "\"'; drop table x; --\"",
    "\"$1\"",
    "\"{a,b}\"",
    "\"infinity\"",
    "\"-infinity\"",
    "\"NaN\"",
    "\"now\"",
    "\"epoch\"",
    "\"2026-12-31T23:59:60Z\"",
    "\"2026-12-31T23:59:60.5Z\"",
    "\"9999-12-31T23:59:60Z\"",
    "\"9999-12-31T23:59:59.9999999Z\"",
    "\"9999-12-31T23:59:59-23:59\"",
    "\"0001-01-01T00:00:00+23:59\"",
    "\"0000-01-01T00:00:00Z\"",
    "\"10000-01-01T00:00:00Z\"",
    "\"2026-02-30T00:00:00Z\"",
    "\"2026-01-01 00:00:00z\"",
    "\"00000000-0000-0000-0000-000000000000\"",
    "\"{FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF}\"",
    "\"urn:uuid:00000000-0000-0000-0000-000000000000\"",
    "\"dmlzaXRz\"",
    "\"cnVubmluZy8wLzA\"",
    "\"AA\"",
    "{\"a\":1,\"a\":2}",
    "{\"\":null}",
    "{\"a\\u0000\":1}",
    "{\"$ref\":\"0\"}",
    "{\"$ref\":\"0.value\"}",
    "{\"$literal\":{\"$ref\":\"x\"}}",
    "{\"$gt\":1e308}",
    "{\"a\":{\"$contains\":\"\"}}",
    "{\"a\":{\"$in\":[-0.0,null]}}",
    "[1e300,1e-300,-1e300]",
    "[0.1,-0.5,1e-38]",
    "[1e-46]",
    "[\"a\",\"a\"]",
    "[null]",
    "[[[[[]]]]]",
    "\"https://a.example/\"",
    "\"http://[::1]/\"",
    "\"https://\\u00e4.example/\\u0085\"",
    "\"saturate\"",
    "\"reject\"",
    "\"pending\"",
    "\"text\"",
];

/// Times at the edges, for the members that take a time.
const TIMES: &[&str] = &[
    "\"2090-12-31T23:59:60Z\"",
    "\"2090-12-31T23:59:60.5Z\"",
    "\"2090-03-06T00:59:60.000001+01:00\"",
    "\"9999-12-31T23:59:60Z\"",
    "\"9999-12-31T22:59:60-01:00\"",
    "\"9999-12-31T23:59:59.9999999Z\"",
    "\"9999-12-31T23:59:59-00:01\"",
    "\"0001-01-01T00:00:00Z\"",
];

fn odd() -> impl Strategy<Value = String> {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let text = any::<String>().prop_map(|text| json!(text).to_string());
    let float =
        any::<f64>().prop_map(|number| if number.is_finite() { format!("{number:e}") } else { "1e999".to_owned() });
    let integer = any::<i64>().prop_map(|number| number.to_string());
    let long = (select(vec!["x", "\u{e9}", "\u{10ffff}", "\u{fdfa}", " "]), 1..9_000_usize);
    let long = long.prop_map(|(text, count)| json!(text.repeat(count)).to_string());
    let deep = select(vec![63, 64, 65, 126, 127, 128, 500]).prop_map(nested);
    let leaf = prop_oneof![8 => select(ODD).prop_map(str::to_owned), 2 => text, 2 => float, 1 => integer, 1 => long, 1 => deep];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        let member = (any::<String>(), inner).prop_map(|(name, value)| format!("{}:{value}", json!(name)));
        prop_oneof![list, prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")))]
    })
}

/// A call: an operation, odd values for some of its members, and whether it runs in a transaction.
#[derive(Clone, Debug)]
struct Call {
    operation: usize,
    example: usize,
    values: Vec<(usize, String)>,
    in_path: Option<String>,
    is_transacted: bool,
}

fn call(operations: usize) -> impl Strategy<Value = Call> {
    let values = prop::collection::vec((0..16_usize, odd()), 0..4);
    let in_path = prop::option::weighted(0.3, any::<String>());
    (0..operations, 0..2_usize, values, in_path, any::<bool>()).prop_map(
        |(operation, example, values, in_path, is_transacted)| Call {
            operation,
            example,
            values,
            in_path,
            is_transacted,
        },
    )
}

/// The members that the body or the query of an operation may have.
fn members(document: &Value, operation: &Operation) -> Vec<String> {
    let described = &document["paths"][&operation.path][operation.verb.as_str().to_lowercase()];
    let reference = described["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or("#");
    let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
    let in_body = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    let parameters = described["parameters"].as_array().into_iter().flatten();
    let in_query = parameters.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap().to_owned());
    in_body.chain(in_query).collect()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn send(
    caller: &Caller,
    things: &Things,
    document: &Value,
    operation: &Operation,
    call: &Call,
) -> (Answer, String) {
    let names = members(document, operation);
    let mut body: Vec<(String, String)> = Vec::new();
    if let Some(example) = operation.examples.get(call.example).or(operation.examples.first()) {
        let example = things.body(caller, example);
        body.extend(example.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.to_string())));
    }
    for (member, value) in &call.values {
        if let Some(name) = names.get(member % names.len().max(1)) {
            let fitting = name.ends_with("At") && !value.len().is_multiple_of(4);
            let value = if fitting { TIMES[value.len() % TIMES.len()] } else { value };
            body.retain(|(known, _)| known != name);
            body.push((name.clone(), value.to_owned()));
        }
    }
    let mut path_members = things.members(operation);
    if let (Some(odd), Some((_, last))) = (&call.in_path, path_members.last_mut()) {
        *last = odd.clone();
    }
    // A call must not wait.
    body.retain(|(name, _)| name != "waitMs");
    let object = |members: &[(String, String)]| {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        format!("{{{}}}", members.join(","))
    };
    if call.is_transacted {
        body.extend(path_members.iter().map(|(name, value)| ((*name).to_owned(), json!(value).to_string())));
        let params = object(&body);
        let first = r#"{"method":"increment","params":{"name":"a"}}"#;
        let text = format!(r#"{{"calls":[{first},{{"method":"{}","params":{params}}}]}}"#, operation.name);
        let sent = Some(("application/json", text.clone().into_bytes()));
        return (caller.send(reqwest::Method::POST, "/v1/transaction", sent).await, text);
    }
    let start = operation.path.clone();
    let path =
        path_members.iter().fold(start, |path, (name, value)| path.replace(&format!("{{{name}}}"), &encoded(value)));
    if operation.examples.is_empty() {
        // The head of a request has a limit.
        let text = |value: &str| serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
        let short = |value: &str| text(value).chars().take(500).collect::<String>();
        let pairs: Vec<String> =
            body.iter().map(|(name, value)| format!("{name}={}", encoded(&short(value)))).collect();
        let path = format!("{path}?{}", pairs.join("&"));
        return (caller.send(operation.verb.clone(), &path, None).await, path);
    }
    let text = object(&body);
    let sent = Some(("application/json", text.clone().into_bytes()));
    (caller.send(operation.verb.clone(), &path, sent).await, format!("{path} {text}"))
}

#[test]
fn no_value_causes_a_server_error_or_breaks_a_list() {
    let operations = operations();
    let document: Value = serde_json::from_str(&payerbase::app::document().v3_1.json).unwrap();
    let calls = prop::collection::vec(call(operations.len()), 1..24);
    run_cases(TestApp::spawn(), &calls, async |app, calls| {
        let caller = app.caller().await;
        let things = Things::of(&caller).await;
        for call in calls {
            let operation = &operations[call.operation];
            let (answer, sent) = send(&caller, &things, &document, operation, &call).await;
            let is_busy = answer.status == 503 && answer.json()["code"] != "outcome-unknown";
            prop_assert!(answer.status.as_u16() < 500 || is_busy, "{} {sent}: {answer:?}", operation.name);
            if answer.status.is_client_error() {
                prop_assert!(answer.json()["code"].is_string(), "{} {sent}: {answer:?}", operation.name);
            }
        }
        lists(&caller).await;
        for path in ["queues/theirs/jobs", "queues/theirs"] {
            caller.get(&format!("/v1/{path}")).await.ok();
        }
        Ok(())
    });
}
