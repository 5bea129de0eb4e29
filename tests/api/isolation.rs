//! Isolation of payers, for every operation of the OpenAPI document.

use std::time::Duration;

use payerbase::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::{Things, operations, owner, without_generated};
use crate::support::{Answer, TestApp};

/// Longer than the token of an example is valid.
const HOUR_AND_MORE: Duration = Duration::from_secs(3_700);

#[tokio::test]
async fn every_operation_needs_a_token() {
    let app = TestApp::spawn().await;
    let mut anonymous = app.caller().await;
    anonymous.token = None;
    for operation in operations() {
        let answer = Things::missing().call(&anonymous, &operation, operation.examples.first()).await;
        answer.problem(401, "token-missing");
    }
}

#[tokio::test]
async fn every_operation_needs_exactly_its_scope() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    for operation in operations().iter().filter(|operation| !["getMe", "topUp"].contains(&operation.name.as_str())) {
        // A transaction has no scope of its own: this is the scope that its example needs.
        let needed: Scope = operation.scope.as_deref().unwrap_or("counters:write").parse().unwrap();
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| !scope.allows(needed)).collect();
        caller.token = Some(app.token(&caller.payer, &others, Duration::from_secs(60)).await);
        let call = async |caller: &_| Things::missing().call(caller, operation, operation.examples.first()).await;
        call(&caller).await.problem(403, "missing-scope");
        // The token of the example reads counters, so its maker must too.
        let of_example = match operation.name.as_str() {
            "createToken" => Some(Scope::CountersRead),
            "createGrant" => Some(Scope::QueuesWrite),
            _ => None,
        };
        let scopes: Vec<Scope> = of_example.into_iter().chain([needed]).collect();
        caller.token = Some(app.token(&caller.payer, &scopes, HOUR_AND_MORE).await);
        assert_ne!(call(&caller).await.status, 403, "{}", operation.name);
    }
}

#[tokio::test]
async fn a_row_of_another_payer_looks_like_a_missing_row() {
    let app = TestApp::spawn().await;
    let (owner, theirs) = owner(&app).await;
    let everything = async || -> Vec<String> {
        let mut seen = Vec::new();
        for operation in operations().iter().filter(|operation| operation.verb == Method::GET) {
            let answer = theirs.call(&owner, operation, None).await;
            // A problem has an id of its own.
            seen.push(if answer.status.is_success() { answer.text } else { answer.status.to_string() });
        }
        seen
    };
    let before = everything().await;
    for operation in operations() {
        for example in operation.examples.iter().map(Some).chain(operation.examples.is_empty().then_some(None)) {
            // New payers for each example, so that no call finds what an earlier call created.
            let (mut one, mut other) = (app.caller().await, app.caller().await);
            one.headers.insert("x-request-id", "same".parse().unwrap());
            other.headers.clone_from(&one.headers);
            let missing = Things::missing();
            let answer_for_theirs = theirs.call(&one, &operation, example).await;
            let answer_for_missing = missing.call(&other, &operation, example).await;
            let text = theirs.renamed(&answer_for_theirs.text, &missing);
            let parsed = |text: &str| without_generated(&serde_json::from_str(text).unwrap_or_default());
            let what = &operation.name;
            assert_eq!(answer_for_theirs.status, answer_for_missing.status, "{what}: {answer_for_theirs:?}");
            assert_eq!(parsed(&text), parsed(&answer_for_missing.text), "{what}");
            // These show tokens of the caller.
            let shows_tokens = ["getMe", "listTokens", "listGrants", "listAudit"].contains(&what.as_str());
            if operation.verb == Method::GET && !shows_tokens {
                assert_eq!(text, answer_for_missing.text, "{what}");
            }
            assert!(!answer_for_theirs.text.contains(owner.payer.as_str()), "{what}: {answer_for_theirs:?}");
        }
    }
    assert_eq!(everything().await, before, "the owner's resources are unchanged");
}

#[tokio::test]
async fn a_slug_of_another_payer_cannot_be_taken_or_deleted() {
    let app = TestApp::spawn().await;
    let (owner, theirs) = owner(&app).await;
    let stranger = app.caller().await;
    let take = json!({"url": "https://stranger.example/", "slug": theirs.slug});
    stranger.post("/v1/links", take.clone()).await.problem(409, "slug-taken");
    let both =
        json!({"calls": [{"method": "increment", "params": {"name": "a"}}, {"method": "createLink", "params": take}]});
    let problem = stranger.post("/v1/transaction", both).await.problem(409, "slug-taken");
    assert_eq!((&problem["index"], &problem["method"]), (&json!(1), &json!("createLink")));
    stranger.get("/v1/counters/a").await.problem(404, "not-found");
    stranger.delete(&format!("/v1/links/{}", theirs.slug)).await.problem(404, "not-found");
    let follow = async || -> Answer { stranger.get(&format!("/l/{}", theirs.slug)).await };
    assert_eq!(follow().await.headers["location"], "https://theirs.example/");
    owner.delete(&format!("/v1/links/{}", theirs.slug)).await.ok();
    follow().await.problem(404, "not-found");
    let answer: Value = stranger.post("/v1/links", take).await.problem(409, "slug-taken");
    assert!(
        !answer.to_string().contains(owner.payer.as_str()),
        "the slug stays reserved for some minutes, without naming its payer"
    );
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
