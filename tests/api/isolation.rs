//! Isolation of payers, for every operation of the OpenAPI document.

use std::time::Duration;

use payerbase::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::{Things, operations, owner, without_drawn};
use crate::support::{Answer, TestApp};

#[tokio::test]
async fn every_operation_wants_to_know_who_pays() {
    let app = TestApp::spawn().await;
    let mut nobody = app.caller().await;
    nobody.token = None;
    for operation in operations() {
        let answer = Things::of_nobody().call(&nobody, &operation, operation.examples.first()).await;
        answer.problem(401, "token-missing");
    }
}

#[tokio::test]
async fn every_operation_wants_its_scope_and_no_other() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    for operation in operations().iter().filter(|operation| operation.name != "getMe") {
        // A transaction has no scope of its own: this is the scope that its example needs.
        let needed: Scope = operation.scope.as_deref().unwrap_or("counters:write").parse().unwrap();
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| !scope.allows(needed)).collect();
        caller.token = Some(app.token(&caller.payer, &others, Duration::from_secs(60)).await);
        let call = async |caller: &_| Things::of_nobody().call(caller, operation, operation.examples.first()).await;
        call(&caller).await.problem(403, "missing-scope");
        caller.token = Some(app.token(&caller.payer, &[needed], Duration::from_secs(60)).await);
        assert_ne!(call(&caller).await.status, 403, "{}", operation.name);
    }
}

#[tokio::test]
async fn what_is_anothers_is_byte_for_byte_like_what_does_not_exist() {
    let app = TestApp::spawn().await;
    let (owner, theirs) = owner(&app).await;
    let everything = async || -> Vec<String> {
        let mut seen = Vec::new();
        for operation in operations().iter().filter(|operation| operation.verb == Method::GET) {
            seen.push(theirs.call(&owner, operation, None).await.text);
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
            let nobodys = Things::of_nobody();
            let about_theirs = theirs.call(&one, &operation, example).await;
            let about_nobodys = nobodys.call(&other, &operation, example).await;
            let text = theirs.renamed(&about_theirs.text, &nobodys);
            let said = |text: &str| without_drawn(&serde_json::from_str(text).unwrap_or_default());
            let what = &operation.name;
            assert_eq!(about_theirs.status, about_nobodys.status, "{what}: {about_theirs:?}");
            assert_eq!(said(&text), said(&about_nobodys.text), "{what}");
            if operation.verb == Method::GET && what != "getMe" {
                assert_eq!(text, about_nobodys.text, "{what}");
            }
            assert!(!about_theirs.text.contains(owner.payer.as_str()), "{what}: {about_theirs:?}");
        }
    }
    assert_eq!(everything().await, before, "and nothing of the owner's has changed");
}

#[tokio::test]
async fn a_slug_of_another_cannot_be_taken_nor_lost() {
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
    assert!(!answer.to_string().contains(owner.payer.as_str()), "for some minutes it stays its payer's");
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
