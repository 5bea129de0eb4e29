//! Payers are kept apart: every operation of the OpenAPI document, by construction.

use payerbase::app::document;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp};

/// Every operation under `/v1`: its method, its path and its request body.
fn operations() -> Vec<(Method, String, Option<Value>)> {
    let document: Value = serde_json::from_str(&document().json).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            if path.starts_with("/v1/") {
                let body = operation.get("requestBody").map(|_| json!({}));
                operations.push((verb.to_uppercase().parse().unwrap(), path.clone(), body));
            }
        }
    }
    assert!(operations.len() >= 7, "the document lists the operations");
    operations
}

async fn call(caller: &Caller, method: &Method, path: &str, body: Option<&Value>) -> Answer {
    let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
    caller.send(method.clone(), path, body).await
}

#[tokio::test]
async fn every_operation_wants_to_know_who_pays() {
    let app = TestApp::spawn().await;
    let mut nobody = app.caller().await;
    nobody.token = None;
    for (method, path, body) in operations() {
        let answer = call(&nobody, &method, &path.replace("{name}", "a"), body.as_ref()).await;
        answer.problem(401, "token-missing");
    }
}

#[tokio::test]
async fn what_is_anothers_is_byte_for_byte_like_what_does_not_exist() {
    let app = TestApp::spawn().await;
    let (owner, mut stranger) = (app.caller().await, app.caller().await);
    stranger.headers.insert("x-request-id", "same".parse().unwrap());
    owner.increment("theirs", json!({"amount": 7, "min": 1, "max": 9})).await.ok();
    let before = owner.get("/v1/counters/theirs").await.text;
    for (method, path, body) in operations() {
        if !path.contains('{') {
            let listed = call(&stranger, &method, &path, body.as_ref()).await;
            assert!(
                !listed.text.contains("theirs") && !listed.text.contains(owner.payer.as_str()),
                "{path}: {listed:?}"
            );
            continue;
        }
        // A call that creates is followed by its undoing, so that each operation finds nothing.
        let undo = async |name: &str| drop(stranger.delete(&format!("/v1/counters/{name}")).await);
        let theirs = call(&stranger, &method, &path.replace("{name}", "theirs"), body.as_ref()).await;
        undo("theirs").await;
        let nobodys = call(&stranger, &method, &path.replace("{name}", "nobody"), body.as_ref()).await;
        undo("nobody").await;
        let alike = |answer: &Answer| (answer.status, without_times(&answer.text.replace("theirs", "nobody")));
        assert_eq!(alike(&theirs), alike(&nobodys), "{method} {path}");
        if method == Method::GET {
            assert_eq!(theirs.text, nobodys.text);
        }
    }
    assert_eq!(owner.get("/v1/counters/theirs").await.text, before, "and nothing of the owner's has changed");
}

fn without_times(text: &str) -> Value {
    let mut body: Value = serde_json::from_str(text).unwrap_or_default();
    for time in ["createdAt", "updatedAt"] {
        if let Some(members) = body.as_object_mut() {
            members.remove(time);
        }
    }
    body
}

#[tokio::test]
async fn many_payers_at_once_each_see_their_own() {
    let app = TestApp::spawn().await;
    let callers = futures_util::future::join_all((0..20).map(|_| app.caller())).await;
    let calls = (0..400).map(|n| {
        let caller = &callers[n % 20];
        async move { caller.increment("same", json!({"amount": n % 20 + 1})).await.ok() }
    });
    futures_util::future::join_all(calls).await;
    for (n, caller) in callers.iter().enumerate() {
        assert_eq!(caller.value("same").await, 20 * (n as i64 + 1));
    }
}
