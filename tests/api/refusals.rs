//! Refused calls in the log of their payer.

use payerbase::auth::Scope;
use payerbase::http::rate_limits::RateSettings;
use payerbase::rates::Rate;
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::{Caller, TestApp, TestDatabase};

/// The entries of refused calls, newest first.
async fn refusals(payer: &Caller) -> Vec<Value> {
    let mut log = payer.get("/v1/audit?limit=1000").await.ok();
    let entries = std::mem::take(log["items"].as_array_mut().unwrap());
    entries.into_iter().filter(|entry| entry["event"] == "calls-refused").collect()
}

/// The entry of calls that were refused with a problem, as soon as it is in the log.
async fn entry(app: &TestApp, payer: &Caller, code: &str) -> Value {
    let mut found = None;
    app.until(async || {
        found = refusals(payer).await.into_iter().find(|entry| entry["code"] == code);
        found.is_some()
    })
    .await;
    found.unwrap()
}

fn with_token(caller: &Caller, made: &Value) -> Caller {
    Caller { token: Some(made["token"].as_str().unwrap().into()), ..caller.clone() }
}

#[tokio::test]
async fn refused_calls_are_in_the_log_with_their_token_and_problem() {
    let app = TestApp::spawn().await;
    let (owner, stranger) = (app.caller().await, app.caller().await);
    let made = owner.post("/v1/tokens", json!({"scopes": ["counters:read"], "prefix": "a-"})).await.ok();
    let narrow = with_token(&owner, &made);
    narrow.increment("a-1", json!({})).await.problem(403, "missing-scope");
    let missing = entry(&app, &owner, "missing-scope").await;
    assert_eq!((&missing["tokenId"], &missing["calls"]), (&made["id"], &json!(1)), "{missing}");
    assert_eq!((&missing["byTokenId"], &missing["grantee"]), (&Value::Null, &Value::Null), "{missing}");
    narrow.get("/v1/counters/b").await.problem(403, "token-limited");
    assert_eq!(entry(&app, &owner, "token-limited").await["tokenId"], made["id"]);
    owner.delete(&format!("/v1/tokens/{}", made["id"].as_str().unwrap())).await.ok();
    app.until(async || narrow.get("/v1/counters/a-1").await.status == 401).await;
    assert_eq!(entry(&app, &owner, "token-revoked").await["tokenId"], made["id"]);
    let token = app.token(&owner.payer, &[Scope::Everything], Duration::from_millis(1)).await;
    app.until(async || Caller { token: Some(token.clone()), ..owner.clone() }.get("/v1/me").await.status == 401).await;
    entry(&app, &owner, "token-expired").await;
    assert_eq!(refusals(&stranger).await, [] as [Value; 0]);
}

#[tokio::test]
async fn refusals_of_a_grantee_are_in_its_log_and_in_that_of_the_payer_who_has_granted() {
    let app = TestApp::spawn().await;
    let (owner, agent, stranger) = (app.caller().await, app.caller().await, app.caller().await);
    let wish = json!({"grantee": agent.payer.as_str(), "scopes": ["counters:write"]});
    let grant = owner.post("/v1/grants", wish).await.ok();
    for caller in [&agent, &stranger] {
        let mut acting = caller.clone();
        acting.headers.insert("payerbase-act-for", owner.payer.as_str().parse().unwrap());
        acting.post("/v1/queues/q/jobs", json!({"payload": 1})).await.problem(403, "not-granted");
    }
    for caller in [&agent, &stranger] {
        let me = caller.get("/v1/me").await.ok();
        assert_eq!(entry(&app, caller, "not-granted").await["tokenId"], me["tokenId"]);
    }
    let of_owner = entry(&app, &owner, "not-granted").await;
    assert_eq!((&of_owner["tokenId"], &of_owner["grantee"]), (&grant["id"], &grant["grantee"]));
    // A stranger cannot fill the log of a payer.
    assert_eq!(refusals(&owner).await.len(), 1);
}

#[tokio::test]
async fn the_log_names_the_grant_that_allows_too_little_and_not_that_of_another_call() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    let grant = async |wish: Value| owner.post("/v1/grants", wish).await.ok();
    grant(json!({"grantee": agent.payer.as_str(), "scopes": ["queues:write"]})).await;
    let once =
        grant(json!({"grantee": agent.payer.as_str(), "scopes": ["counters:write"], "allowance": {"calls": 1}})).await;
    let mut acting = agent.clone();
    acting.headers.insert("payerbase-act-for", owner.payer.as_str().parse().unwrap());
    acting.increment("a", json!({})).await.ok();
    let problem = acting.increment("a", json!({})).await.problem(403, "allowance-exceeded");
    assert_eq!(problem["holder"], "grant", "{problem}");
    assert_eq!(entry(&app, &owner, "allowance-exceeded").await["tokenId"], once["id"]);
    entry(&app, &agent, "allowance-exceeded").await;

    // The allowance of the grantee's own token is no matter of the payer, although the grant has one too.
    let friend = app.caller().await;
    let many = json!({"calls": 100});
    grant(json!({"grantee": friend.payer.as_str(), "scopes": ["counters:write"], "allowance": many})).await;
    let made = friend.post("/v1/tokens", json!({"scopes": ["counters:write"], "allowance": {"calls": 1}})).await.ok();
    let mut acting = with_token(&friend, &made);
    acting.headers.insert("payerbase-act-for", owner.payer.as_str().parse().unwrap());
    acting.increment("a", json!({})).await.ok();
    let problem = acting.increment("a", json!({})).await.problem(403, "allowance-exceeded");
    assert_eq!(problem["holder"], "token", "{problem}");
    entry(&app, &friend, "allowance-exceeded").await;
    // A later entry of the owner.
    acting.post("/v1/queues/q/jobs", json!({"payload": 1})).await.problem(403, "missing-scope");
    let mut acting = friend.clone();
    acting.headers.insert("payerbase-act-for", owner.payer.as_str().parse().unwrap());
    acting.post("/v1/queues/q/jobs", json!({"payload": 1})).await.problem(403, "not-granted");
    entry(&app, &owner, "not-granted").await;
    let of_owner = refusals(&owner).await;
    assert!(
        of_owner.iter().all(|entry| entry["grantee"] != friend.payer.as_str() || entry["code"] == "not-granted"),
        "{of_owner:?}"
    );
}

#[tokio::test]
async fn many_refusals_of_a_kind_are_one_entry() {
    let app = TestApp::set(TestDatabase::shared().await, |settings| {
        let five = 5.try_into().unwrap();
        let payer = Some(Rate::new(five, Duration::from_hours(24), five).unwrap());
        settings.rates = RateSettings { address: None, payer };
    });
    let owner = app.caller().await;
    let free = TestApp::on(TestDatabase::shared().await);
    for _ in 0..5 {
        owner.increment("a", json!({})).await.ok();
    }
    for _ in 0..20 {
        owner.increment("a", json!({})).await.problem(429, "rate-limited");
    }
    let observer = Caller { url: free.url.clone(), ..owner.clone() };
    entry(&app, &observer, "rate-limited").await;
    // What came after the first entry is noted when the server stops, at the latest.
    app.stop().await;
    let entries = refusals(&observer).await;
    assert!(entries.len() <= 2, "{entries:?}");
    assert_eq!(entries.iter().map(|entry| entry["calls"].as_i64().unwrap()).sum::<i64>(), 20);
    assert!(entries.iter().all(|entry| entry["tokenId"].is_null()), "{entries:?}");
}
