//! Grants: a payer lets another one call for it.

use futures_util::future::join_all;
use payerbase::auth::Scope;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::raw::hang_up;
use crate::support::shop::{MINIMUM, Shop, WRITE, pay, with};
use crate::support::world::{Things, operations};
use crate::support::{Answer, Caller, Terms, TestApp, TestDatabase};

async fn grant(owner: &Caller, grantee: &Caller, wish: Value) -> Value {
    let mut wish = wish;
    wish["grantee"] = grantee.payer.as_str().into();
    let made = owner.post("/v1/grants", wish).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    made.json()
}

/// The caller, who acts for a payer.
fn acting(caller: &Caller, payer: &Caller) -> Caller {
    let mut caller = caller.clone();
    caller.headers.insert("payerbase-act-for", payer.payer.as_str().parse().unwrap());
    caller
}

async fn push(caller: &Caller, queue: &str) -> Answer {
    caller.post(&format!("/v1/queues/{queue}/jobs"), json!({"payload": "theirs"})).await
}

#[tokio::test]
async fn a_grantee_does_what_is_granted_and_nothing_else() {
    let app = TestApp::spawn().await;
    let (owner, agent, stranger) = (app.caller().await, app.caller().await, app.caller().await);
    owner.increment("jobs-1", json!({})).await.ok();
    let wish = json!({"scopes": ["queues:write"], "methods": ["pushJob", "getMe"], "prefix": "jobs-"});
    let made = grant(&owner, &agent, wish).await;
    assert_eq!(
        (&made["pays"], &made["prefix"], &made["revokedAt"]),
        (&json!("grantee"), &json!("jobs-"), &Value::Null)
    );
    let acts = acting(&agent, &owner);
    assert_eq!(push(&acts, "jobs-mail").await.status, StatusCode::CREATED);
    let status = owner.get("/v1/queues/jobs-mail").await.ok();
    assert_eq!(status["pending"], 1, "{status}");
    for queue in ["jobs_mail", "mail", "jobs"] {
        push(&acts, queue).await.problem(403, "not-granted");
    }
    let increment = json!({"method": "increment", "params": {"name": "jobs-1"}});
    let push_job = |queue: Value| json!({"method": "pushJob", "params": {"queue": queue, "payload": "jobs-x"}});
    let transact = async |calls: Value| acts.post("/v1/transaction", json!({"calls": calls})).await;
    let problem = transact(json!([push_job(json!("jobs-a")), increment])).await.problem(403, "not-granted");
    assert_eq!(problem["index"], 1, "{problem}");
    let by_reference = json!([push_job(json!("jobs-a")), push_job(json!({"$ref": "0.payload"}))]);
    assert!(transact(by_reference).await.status.is_client_error());
    transact(json!([push_job(json!("jobs-a"))])).await.ok();
    acts.get("/v1/counters/jobs-1").await.problem(403, "not-granted");
    acts.get("/v1/me").await.problem(403, "not-granted");
    acts.post("/v1/grants", json!({"grantee": stranger.payer.as_str(), "scopes": ["queues:write"]}))
        .await
        .problem(403, "not-granted");
    // The rights of its own token are needed too.
    let mut weak = acts.clone();
    weak.token = Some(app.token(&agent.payer, &[Scope::CountersRead], Duration::from_secs(60)).await);
    push(&weak, "jobs-mail").await.problem(403, "missing-scope");
    // Its own data is where it was, and that of others is not reached.
    assert_eq!(push(&agent, "mine").await.status, StatusCode::CREATED);
    push(&acting(&stranger, &owner), "jobs-mail").await.problem(403, "not-granted");
    push(&acting(&owner, &agent), "jobs-mail").await.problem(403, "not-granted");
    assert_eq!(push(&acting(&owner, &owner), "any").await.status, StatusCode::CREATED);
    for odd in ["", "0x12", "somebody", "0x0000000000000000000000000000000000000000, 0x00"] {
        let mut odd_caller = agent.clone();
        odd_caller.headers.insert("payerbase-act-for", odd.parse().unwrap());
        push(&odd_caller, "jobs-mail").await.problem(400, "invalid-header");
    }
}

#[tokio::test]
async fn the_sql_database_of_a_payer_can_be_granted() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    let sql = async |caller: &Caller, call: &str, sql: &str| {
        caller.post(&format!("/v1/sql/{call}"), json!({"sql": sql})).await
    };
    sql(&owner, "execute", "create table customers (name text)").await.ok();
    grant(&owner, &agent, json!({"scopes": ["sql:read"]})).await;
    let acts = acting(&agent, &owner);
    let count = "select count(*) from customers";
    assert_eq!(sql(&acts, "query", count).await.ok()["rows"], json!([[0]]));
    sql(&acts, "execute", "insert into customers values ('eve')").await.problem(403, "not-granted");
    sql(&agent, "query", count).await.problem(422, "sql-error");
}

#[tokio::test]
async fn no_operation_of_an_account_is_granted() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    let things = Things::of(&owner).await;
    let scopes: Vec<&str> =
        Scope::ALL.iter().filter(|scope| !scope.is_of_account()).map(|scope| scope.as_str()).collect();
    grant(&owner, &agent, json!({"scopes": scopes})).await;
    let before = owner.get("/v1/tokens").await.ok();
    for operation in operations() {
        let answer = things.call(&acting(&agent, &owner), &operation, operation.examples.first()).await;
        let is_of_account =
            operation.scope.as_deref().is_some_and(|scope| scope.parse::<Scope>().unwrap().is_of_account());
        if is_of_account || ["getMe", "topUp"].contains(&operation.name.as_str()) {
            answer.problem(403, "not-granted");
        } else {
            assert!(answer.status != 403, "{}: {answer:?}", operation.name);
        }
    }
    assert_eq!(owner.get("/v1/tokens").await.ok(), before);
    // A narrow one reaches nothing but what it names.
    let narrow = app.caller().await;
    grant(&owner, &narrow, json!({"scopes": ["counters:read"], "methods": ["getCounter"]})).await;
    for operation in operations().iter().filter(|operation| operation.name != "getCounter") {
        let answer = things.call(&acting(&narrow, &owner), operation, operation.examples.first()).await;
        answer.problem(403, "not-granted");
    }
}

#[tokio::test]
async fn a_grant_is_not_wider_than_its_maker() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    let grantee = agent.payer.as_str();
    for (wish, pointer) in [
        (json!({"grantee": owner.payer.as_str(), "scopes": ["queues:write"]}), "/grantee"),
        (json!({"grantee": grantee, "scopes": ["*"]}), "/scopes/0"),
        (json!({"grantee": grantee, "scopes": ["queues:read", "tokens:write"]}), "/scopes/1"),
        (json!({"grantee": grantee, "scopes": []}), "/scopes"),
        (json!({"grantee": grantee, "scopes": ["queues:write"], "methods": ["pushjob"]}), "/methods/0"),
        (json!({"grantee": "0x12", "scopes": ["queues:write"]}), "/grantee"),
        (json!({"grantee": grantee, "scopes": ["queues:write"], "allowance": {"spend": []}}), "/allowance/spend"),
        (json!({"grantee": grantee, "scopes": ["queues:write"], "lifetimeMs": 31_622_400_000_i64}), "/lifetimeMs"),
    ] {
        let problem = owner.post("/v1/grants", wish.clone()).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{wish}");
    }
    let token = owner.post("/v1/tokens", json!({"prefix": "a-", "scopes": ["tokens:write", "counters:write"]})).await;
    let narrow = Caller { token: Some(token.json()["token"].as_str().unwrap().into()), ..owner.clone() };
    let post = async |wish: Value| narrow.post("/v1/grants", wish).await;
    post(json!({"grantee": grantee, "scopes": ["queues:write"]})).await.problem(403, "missing-scope");
    post(json!({"grantee": grantee, "scopes": ["counters:write"], "prefix": "b-"})).await.problem(422, "invalid-value");
    let made = post(json!({"grantee": grantee, "scopes": ["counters:write"]})).await.json();
    assert_eq!(made["prefix"], "a-");
    let acts = acting(&agent, &owner);
    acts.increment("a-1", json!({})).await.ok();
    acts.increment("b-1", json!({})).await.problem(403, "not-granted");
    // It ends with the token that made it, and is no token.
    owner.delete(&format!("/v1/tokens/{}", made["id"].as_str().unwrap())).await.problem(404, "not-found");
    let listed = owner.get("/v1/tokens").await.ok();
    assert!(listed["items"].as_array().unwrap().iter().all(|token| token["id"] != made["id"]), "{listed}");
    owner.delete(&format!("/v1/tokens/{}", made["createdBy"].as_str().unwrap())).await;
    acts.increment("a-1", json!({})).await.problem(403, "not-granted");
    let listed = owner.get("/v1/grants").await.ok();
    assert!(listed["items"][0]["revokedAt"].is_string(), "{listed}");
}

#[tokio::test]
async fn no_write_takes_effect_after_a_grant_was_revoked() {
    let database = TestDatabase::own().await;
    let (app, other) = (TestApp::on(database.clone()), TestApp::on(database));
    let (owner, agent) = (app.caller().await, app.caller().await);
    let made = grant(&owner, &agent, json!({"scopes": ["counters:write"]})).await;
    let acts = Caller { url: other.url.clone(), ..acting(&agent, &owner) };
    acts.increment("a", json!({})).await.ok();
    // The other server still has it in memory.
    let running = join_all((0..50).map(|_| acts.increment("a", json!({}))));
    let path = format!("/v1/grants/{}", made["id"].as_str().unwrap());
    let revoke = async {
        assert_eq!(owner.delete(&path).await.status, StatusCode::NO_CONTENT);
        owner.value("a").await
    };
    let (answers, at_the_end) = tokio::join!(running, revoke);
    // Not what a server remembers, but the turn refuses it.
    let problem = acts.increment("a", json!({})).await.problem(403, "not-granted");
    assert!(problem["detail"].as_str().unwrap().contains("has ended"), "{problem}");
    let done = answers.into_iter().filter(|answer| answer.status.is_success()).count();
    assert_eq!(owner.value("a").await, at_the_end);
    assert_eq!(at_the_end, 1 + done as i64);
    owner.delete(&path).await.ok();
    let log = owner.get("/v1/audit").await.ok();
    let events: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(events.iter().filter(|event| **event == "grant-revoked").count(), 1, "{log}");
    let created = log["items"].as_array().unwrap().iter().find(|entry| entry["event"] == "grant-created").unwrap();
    assert_eq!((&created["tokenId"], &created["grantee"]), (&made["id"], &made["grantee"]));
}

#[tokio::test]
async fn answers_under_keys_and_tokens_of_locks_are_those_of_each_caller() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    let scopes = json!({"scopes": ["locks:write", "queues:write", "counters:write"]});
    grant(&owner, &agent, scopes).await;
    let keyed = |caller: &Caller, key: &str| {
        let mut caller = caller.clone();
        caller.headers.insert("idempotency-key", key.parse().unwrap());
        caller
    };
    let (acts, owner_keyed) = (keyed(&acting(&agent, &owner), "order-0001"), keyed(&owner, "order-0001"));
    push(&owner, "mail").await;
    let popped = owner_keyed.post("/v1/queues/mail/pop", json!({})).await.ok();
    assert_eq!(acts.post("/v1/queues/mail/pop", json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(owner_keyed.post("/v1/queues/mail/pop", json!({})).await.ok()["lease"], popped["lease"]);
    let (acts, owner_keyed) = (keyed(&acts, "order-0002"), keyed(&owner, "order-0002"));
    let acquire = json!({"ttlMs": 60_000});
    let lock = owner.post("/v1/locks/nightly/acquire", acquire.clone()).await.ok();
    acts.post("/v1/locks/nightly/acquire", acquire.clone()).await.problem(409, "lock-held");
    owner.post("/v1/locks/nightly/release", json!({"token": lock["token"]})).await;
    let first = owner_keyed.post("/v1/locks/nightly/acquire", acquire.clone()).await.ok();
    owner.post("/v1/locks/nightly/release", json!({"token": first["token"]})).await;
    let second = acts.post("/v1/locks/nightly/acquire", acquire.clone()).await.ok();
    assert_ne!(first["token"], second["token"]);
    // A guard needs the right to read locks.
    let mut guarded = acting(&agent, &owner);
    guarded.headers.insert("payerbase-guard", format!("nightly; fence={}", second["fence"]).parse().unwrap());
    let problem = guarded.increment("a", json!({})).await.problem(403, "not-granted");
    assert!(problem["detail"].as_str().unwrap().contains("locks:read"), "{problem}");
    grant(&owner, &agent, json!({"scopes": ["counters:write", "locks:read"]})).await;
    app.until(async || guarded.increment("a", json!({})).await.status.is_success()).await;
}

#[tokio::test]
async fn the_grantee_or_the_payer_pays_and_never_both() {
    let shop = Shop::open().await;
    let (payer_wallet, agent_wallet) = (shop.wallet(), shop.wallet());
    let (owner, agent) = (shop.signed_in(&payer_wallet).await, shop.signed_in(&agent_wallet).await);
    let terms = Terms::default();
    let credit = async |caller: &Caller| -> i64 {
        let credit = caller.get("/v1/credit").await.ok();
        credit["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["balance"].as_str().unwrap().parse::<i64>().unwrap())
            .sum()
    };
    for (caller, wallet) in [(&owner, &payer_wallet), (&agent, &agent_wallet)] {
        pay(caller, wallet, &terms, "/v1/credit/10000", json!({})).await.1.ok();
    }
    grant(&owner, &agent, json!({"scopes": ["counters:write"], "prefix": "mine-"})).await;
    let spend = json!({"spend": [{"network": "eip155:84532", "asset": crate::support::shop::USDC, "amount": "500"}]});
    grant(
        &owner,
        &agent,
        json!({"scopes": ["counters:write"], "prefix": "yours-", "pays": "payer", "allowance": spend}),
    )
    .await;
    let acts = acting(&agent, &owner);
    acts.increment("mine-1", json!({})).await.ok();
    assert_eq!((credit(&agent).await, credit(&owner).await), (10_000 - WRITE, 10_000));
    // What fails, or was answered before, costs nothing.
    acts.post("/v1/counters/mine-1/increment", json!({"max": 1, "onBound": "reject"}))
        .await
        .problem(409, "counter-out-of-bounds");
    let mut keyed = acts.clone();
    keyed.headers.insert("idempotency-key", "a key of mine".parse().unwrap());
    for _ in 0..3 {
        keyed.increment("mine-2", json!({})).await.ok();
    }
    assert_eq!(credit(&agent).await, 10_000 - 2 * WRITE);
    acts.increment("yours-1", json!({})).await.ok();
    acts.increment("yours-1", json!({})).await.ok();
    acts.increment("yours-1", json!({})).await.problem(403, "allowance-exceeded");
    assert_eq!((credit(&owner).await, credit(&agent).await), (10_000 - 2 * WRITE, 10_000 - 2 * WRITE));
    // Who has no credit is asked to pay; nobody is asked to pay for another one.
    let poor_wallet = shop.wallet();
    let poor = shop.signed_in(&poor_wallet).await;
    grant(&owner, &poor, json!({"scopes": ["counters:write"]})).await;
    grant(&poor, &agent, json!({"scopes": ["counters:write"], "pays": "payer"})).await;
    acting(&poor, &owner).increment("a", json!({})).await.problem(402, "payment-required");
    let problem = acting(&agent, &poor).increment("a", json!({})).await.problem(403, "allowance-exceeded");
    assert!(problem["detail"].as_str().unwrap().contains("too little credit"), "{problem}");
    // A payment for one call, without a token, acts for another payer too.
    let stranger = Caller { payer: poor.payer.clone(), ..shop.stranger().await };
    let (_, answer) =
        pay(&acting(&stranger, &owner), &poor_wallet, &terms, "/v1/counters/paid/increment", json!({})).await;
    answer.ok();
    // One payment is for one payer.
    let (header, answer) =
        pay(&acting(&stranger, &owner), &poor_wallet, &terms, "/v1/counters/paid/increment", json!({})).await;
    answer.ok();
    with(&stranger, &header).increment("paid", json!({})).await.problem(409, "payment-used");
    with(&acting(&stranger, &owner), &header).increment("paid", json!({})).await.ok();
    assert_eq!(credit(&owner).await, 10_000 - 2 * WRITE);
    assert_eq!(owner.value("paid").await, 2);
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn an_allowance_of_a_grant_and_that_of_the_token_both_count() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    grant(&owner, &agent, json!({"scopes": ["counters:write", "counters:read"], "allowance": {"calls": 4}})).await;
    let token = agent.post("/v1/tokens", json!({"allowance": {"calls": 3}})).await.json();
    let limited = Caller { token: Some(token["token"].as_str().unwrap().into()), ..acting(&agent, &owner) };
    limited.increment("a", json!({})).await.ok();
    limited.get("/v1/counters/a").await.ok();
    limited.increment("a", json!({})).await.ok();
    limited.increment("a", json!({})).await.problem(403, "allowance-exceeded");
    limited.get("/v1/counters/a").await.problem(403, "allowance-exceeded");
    let acts = acting(&agent, &owner);
    acts.get("/v1/counters/a").await.ok();
    acts.get("/v1/counters/a").await.problem(403, "allowance-exceeded");
    acts.increment("a", json!({})).await.problem(403, "allowance-exceeded");
    assert_eq!(owner.value("a").await, 2);
    let listed = owner.get("/v1/grants").await.ok();
    assert_eq!(listed["items"][0]["allowance"]["calls"], json!({"total": 4, "remaining": 0}));
}

#[tokio::test]
async fn a_payer_has_a_limited_number_of_grants_for_a_grantee() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    for _ in 0..16 {
        grant(&owner, &agent, json!({"scopes": ["counters:read"], "prefix": "no-"})).await;
    }
    let wish = json!({"grantee": agent.payer.as_str(), "scopes": ["counters:read"]});
    let problem = owner.post("/v1/grants", wish.clone()).await.problem(403, "quota-exceeded");
    assert_eq!(problem["limit"], 16);
    let last = owner.get("/v1/grants?limit=1").await.ok();
    owner.delete(&format!("/v1/grants/{}", last["items"][0]["id"].as_str().unwrap())).await.ok();
    assert_eq!(owner.post("/v1/grants", wish).await.status, StatusCode::CREATED);
    let seen = owner.get("/v1/grants?limit=10").await.ok();
    let cursor = seen["nextCursor"].as_str().unwrap();
    let rest = owner.get(&format!("/v1/grants?limit=10&cursor={cursor}")).await.ok();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["nextCursor"]), (7, &Value::Null));
    let verb = acting(&agent, &owner).send_json(Method::GET, "/v1/counters/none", Value::Null).await;
    assert_eq!(verb.status, StatusCode::NOT_FOUND, "the newest allows every name: {verb:?}");
}

#[tokio::test]
async fn a_grantee_pays_for_each_effect_although_it_hangs_up_and_spends_elsewhere() {
    let shop = Shop::open().await;
    let (wallet, payer) = (shop.wallet(), shop.app.caller().await);
    let agent = shop.signed_in(&wallet).await;
    pay(&agent, &wallet, &Terms::default(), "/v1/credit/10000", json!({})).await.1.ok();
    grant(&payer, &agent, json!({"scopes": ["counters:write"], "prefix": "a"})).await;
    let acts = acting(&agent, &payer);
    acts.increment("a", json!({})).await.ok();
    let hanging = acts.clone();
    let rude =
        tokio::task::spawn_blocking(move || (0..60).for_each(|_| hang_up(&hanging, "/v1/counters/a/increment", "{}")));
    let own = join_all((0..40).map(|_| agent.increment("own", json!({}))));
    let (rude, own) = tokio::join!(rude, own);
    rude.unwrap();
    // All that it can pay for, at another server too.
    let other = shop.another();
    let there = Caller { url: other.url.clone(), ..acts.clone() };
    let more = (0..60).map(|place| if place % 2 == 0 { &acts } else { &there }.increment("a", json!({})));
    let more = join_all(more).await;
    assert!(more.iter().any(|answer| answer.status == 402), "the credit is used up");
    let mut admin = shop.app.database.admin().await;
    let effects = "select coalesce(sum(value), 0)::bigint from tenant.counters where payer in ($1, $2)";
    let mut transaction = sqlx::Connection::begin(&mut admin).await.unwrap();
    sqlx::query("set local role payerbase_backup").execute(&mut *transaction).await.unwrap();
    let effects: i64 = sqlx::query_scalar(effects)
        .bind(payer.payer.as_str())
        .bind(agent.payer.as_str())
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    let credit = agent.get("/v1/credit").await.ok();
    let balance: i64 = credit["items"][0]["balance"].as_str().unwrap().parse().unwrap();
    assert_eq!(effects * WRITE + balance, 10_000);
    assert!(effects > 1 + own.iter().filter(|answer| answer.status.is_success()).count() as i64);
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn nobody_pays_for_a_call_that_is_not_allowed() {
    let shop = Shop::open().await;
    let wallet = shop.wallet();
    let payer = shop.signed_in(&wallet).await;
    pay(&payer, &wallet, &Terms::default(), "/v1/credit/1000", json!({})).await.1.ok();
    let token = payer.post("/v1/tokens", json!({"allowance": {"calls": 1}})).await.json();
    let limited = Caller { token: Some(token["token"].as_str().unwrap().into()), ..payer.clone() };
    limited.increment("a", json!({})).await.ok();
    for _ in 0..4 {
        payer.increment("a", json!({})).await.ok();
    }
    // The credit is used up, and so is the allowance.
    limited.increment("a", json!({})).await.problem(403, "allowance-exceeded");
    let required = crate::support::shop::required(&payer.increment("a", json!({})).await);
    let header = wallet.pay(&required, &required["accepts"][0], &Terms::default());
    with(&limited, &header).increment("a", json!({})).await.problem(403, "allowance-exceeded");
    let before = shop.stub.chain.balance_of(crate::support::shop::PAY_TO, crate::support::shop::USDC);
    assert_eq!(before, 1_000);
    with(&payer, &header).increment("a", json!({})).await.ok();
    assert_eq!(payer.value("a").await, 6);
    assert_eq!(
        shop.stub.chain.balance_of(crate::support::shop::PAY_TO, crate::support::shop::USDC),
        1_000 + MINIMUM as u128
    );
}

#[tokio::test]
async fn waiting_calls_of_a_grantee_take_its_own_places() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    grant(&owner, &agent, json!({"scopes": ["queues:write"], "prefix": "g-"})).await;
    let acts = acting(&agent, &owner);
    let waiting: Vec<_> = (0..1_100)
        .map(|_| {
            let acts = acts.clone();
            tokio::spawn(async move { acts.post("/v1/queues/g-1/pop", json!({"waitMs": 20_000})).await.status })
        })
        .collect();
    app.until(async || app.metric("payerbase_waiting").await >= 1_000).await;
    let popped = owner.post("/v1/queues/own/pop", json!({"waitMs": 50})).await;
    assert_eq!(popped.status, StatusCode::NO_CONTENT, "{popped:?}");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_grant_that_has_expired_allows_nothing() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    let made = grant(&owner, &agent, json!({"scopes": ["counters:write"], "lifetimeMs": 60_000})).await;
    let acts = acting(&agent, &owner);
    acts.increment("a", json!({})).await.ok();
    let mut admin = app.database.admin().await;
    let end = "update auth.tokens set expires_at = clock_timestamp() where id = $1";
    sqlx::query(end).bind(made["id"].as_str().unwrap()).execute(&mut admin).await.unwrap();
    // The server has it in memory.
    acts.increment("a", json!({})).await.problem(403, "not-granted");
    assert_eq!(owner.value("a").await, 1);
    app.until(async || acts.get("/v1/counters/a").await.status == StatusCode::FORBIDDEN).await;
}

#[tokio::test]
async fn a_call_acts_for_one_payer_whose_address_it_names() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    grant(&owner, &agent, json!({"scopes": ["counters:write"]})).await;
    for addresses in [&["", ""][..], &["me"], &["*"], &[owner.payer.as_str(), agent.payer.as_str()], &["0x12"]] {
        let mut acts = agent.clone();
        for address in addresses {
            acts.headers.append("payerbase-act-for", address.parse().unwrap());
        }
        let problem = acts.increment("a", json!({})).await.problem(400, "invalid-header");
        assert_eq!(problem["header"], "payerbase-act-for");
    }
    // The payer itself needs no grant.
    acting(&owner, &owner).increment("own", json!({})).await.ok();
    for caller in [&owner, &agent] {
        caller.get("/v1/counters/a").await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn the_log_shows_what_a_grant_allows() {
    let app = TestApp::spawn().await;
    let (owner, agent) = (app.caller().await, app.caller().await);
    let wish =
        json!({"scopes": ["queues:write"], "methods": ["pushJob"], "prefix": "jobs-", "allowance": {"calls": 5}});
    let made = grant(&owner, &agent, wish).await;
    let log = owner.get("/v1/audit?limit=1").await.ok();
    let entry = &log["items"][0];
    for (member, value) in [
        ("event", json!("grant-created")),
        ("tokenId", made["id"].clone()),
        ("scopes", json!(["queues:write"])),
        ("methods", json!(["pushJob"])),
        ("prefix", json!("jobs-")),
        ("grantee", made["grantee"].clone()),
        ("code", Value::Null),
    ] {
        assert_eq!(entry[member], value, "{member}: {entry}");
    }
}
