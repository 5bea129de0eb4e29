//! Allowances: what a token may do in all, in calls and in assets.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use payerbase::auth::Scope;
use payerbase::pay::{AssetPrices, Prices, give};
use payerbase::wallet::Network;
use payerbase::x402::{Asset, Domain};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::shop::{MINIMUM, WRITE, base, paid_app, required, stacks, with};
use crate::support::{Caller, PayingWallet, StubFacilitator, Terms, TestApp, TestDatabase};

const USDC: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";

/// A caller with a token that another one made.
async fn agent(maker: &Caller, wish: Value) -> Caller {
    let made = maker.post("/v1/tokens", wish).await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    Caller { token: Some(made.json()["token"].as_str().unwrap().into()), ..maker.clone() }
}

async fn left(caller: &Caller) -> Value {
    caller.get("/v1/me").await.ok()["tokenAllowance"].clone()
}

fn id(caller: &Caller) -> &str {
    &caller.token.as_ref().unwrap().expose_secret()[8..24]
}

fn usdc() -> Asset {
    let domain = Domain { name: "USDC".to_owned(), version: "2".to_owned() };
    Asset::new(Network::Evm { chain_id: 84_532 }, USDC, Some(domain)).unwrap()
}

fn stx() -> Asset {
    Asset::new(Network::StacksTest, "STX", None).unwrap()
}

/// A server on which calls cost USDC, or three times as much STX.
fn priced() -> impl FnOnce(TestDatabase) -> TestApp {
    let prices = |asset, times| AssetPrices { asset, read: times, write: 10 * times, ai: 100 * times };
    let prices = Arc::new(Prices::new(vec![prices(usdc(), 1), prices(stx(), 3)]));
    move |database| TestApp::set(database, |settings| settings.calls.prices = prices)
}

async fn credit(app: &TestApp, caller: &Caller, amount: i64) {
    for asset in [stx(), usdc()] {
        give(&mut app.database.admin().await, &caller.payer, &asset, amount, &asset.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn what_succeeds_counts_in_the_turn_of_the_call() {
    let app = TestApp::spawn().await;
    let owner = app.caller().await;
    let agent = agent(&owner, json!({"allowance": {"calls": 6}})).await;
    assert_eq!(left(&agent).await, json!({"calls": {"total": 6, "remaining": 6}, "spend": null}));
    agent.increment("a", json!({})).await.ok();
    // What fails, finds no job, or was answered before, does not count.
    let below = json!({"min": 1, "onBound": "reject"});
    agent.post("/v1/counters/a/decrement", below).await.problem(409, "counter-out-of-bounds");
    assert_eq!(agent.post("/v1/queues/none/pop", json!({})).await.status, StatusCode::NO_CONTENT);
    let mut keyed = agent.clone();
    keyed.headers.insert("idempotency-key", "a key of mine".parse().unwrap());
    keyed.increment("a", json!({})).await.ok();
    keyed.increment("a", json!({})).await.ok();
    assert_eq!(left(&agent).await["calls"]["remaining"], 4);
    // A transaction counts as its calls, and one that is too long does nothing.
    let increment = json!({"method": "increment", "params": {"name": "a"}});
    let transact = async |calls: usize| agent.post("/v1/transaction", json!({"calls": vec![&increment; calls]})).await;
    let problem = transact(5).await.problem(403, "allowance-exceeded");
    assert!(problem["detail"].as_str().unwrap().contains("4 calls left"), "{problem}");
    transact(2).await.ok();
    // A read counts before it runs.
    agent.get("/v1/counters/a").await.ok();
    agent.get("/v1/counters/none").await.problem(404, "not-found");
    agent.get("/v1/counters/a").await.problem(403, "allowance-exceeded");
    agent.increment("a", json!({})).await.problem(403, "allowance-exceeded");
    // What was answered under its key is repeated.
    assert_eq!(keyed.increment("a", json!({})).await.ok()["value"], 2);
    assert_eq!(owner.value("a").await, 4);
    // It can still ask who it is, and end itself.
    assert_eq!(left(&agent).await["calls"]["remaining"], 0);
    assert_eq!(agent.delete(&format!("/v1/tokens/{}", id(&agent))).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn calls_at_once_on_two_servers_are_not_more_than_the_allowance() {
    let database = TestDatabase::own().await;
    let (app, other) = (TestApp::on(database.clone()), TestApp::on(database));
    let owner = app.caller().await;
    let agent = agent(&owner, json!({"allowance": {"calls": 20}})).await;
    let there = Caller { url: other.url.clone(), ..agent.clone() };
    let calls = (0..60).map(|place| {
        let (caller, name) = (if place % 2 == 0 { &agent } else { &there }, format!("c{}", place % 5));
        async move {
            match place % 3 {
                0 => caller.get("/v1/queues").await.status,
                _ => caller.increment(&name, json!({})).await.status,
            }
        }
    });
    let statuses = join_all(calls).await;
    assert_eq!(statuses.iter().filter(|status| status.is_success()).count(), 20, "{statuses:?}");
    assert_eq!(left(&agent).await["calls"]["remaining"], 0);
}

#[tokio::test]
async fn a_token_spends_only_the_assets_of_its_allowance() {
    let app = priced()(TestDatabase::own().await);
    let owner = app.caller().await;
    credit(&app, &owner, 1_000).await;
    let spend = json!([{"network": "stacks:2147483648", "asset": "STX", "amount": "65"}]);
    let agent = agent(&owner, json!({"allowance": {"spend": spend}})).await;
    // The payer has USDC, in which calls are paid first, but this token may not spend it.
    agent.increment("a", json!({})).await.ok();
    agent.get("/v1/counters/a").await.ok();
    let shown = json!([{"network": "stacks:2147483648", "asset": "STX", "total": "65", "remaining": "32"}]);
    assert_eq!(left(&agent).await, json!({"calls": null, "spend": shown}));
    agent.increment("a", json!({})).await.ok();
    let problem = agent.increment("a", json!({})).await.problem(403, "allowance-exceeded");
    assert!(problem["detail"].as_str().unwrap().contains("2 of stacks:2147483648/STX left"), "{problem}");
    agent.get("/v1/counters/a").await.problem(403, "allowance-exceeded");
    let balances = owner.get("/v1/credit").await.ok();
    let of = |at: usize| balances["items"][at]["balance"].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!((of(0).max(of(1)), of(0).min(of(1)) <= 940), (1_000, true), "{balances}");
    owner.increment("a", json!({})).await.ok();
    assert_eq!(owner.value("a").await, 3);
}

#[tokio::test]
async fn tokens_share_the_allowance_of_their_maker() {
    let app = TestApp::spawn().await;
    let owner = app.caller().await;
    let parent = agent(&owner, json!({"allowance": {"calls": 5}})).await;
    let child = agent(&parent, json!({"scopes": ["*"]})).await;
    child.increment("a", json!({})).await.ok();
    assert_eq!(left(&parent).await["calls"]["remaining"], 3);
    let problem = child.post("/v1/tokens", json!({"allowance": {"calls": 1_000}})).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/allowance");
    let replaced = child.post(&format!("/v1/tokens/{}/rotate", id(&child)), json!({})).await.json();
    assert_eq!(replaced["allowance"]["calls"], json!({"total": 5, "remaining": 3}));
    let replaced = Caller { token: Some(replaced["token"].as_str().unwrap().into()), ..child.clone() };
    replaced.increment("a", json!({})).await.ok();
    // It ends those that it made, and no others.
    let sibling = agent(&owner, json!({})).await;
    for other in [&sibling, &owner, &parent] {
        replaced.delete(&format!("/v1/tokens/{}", id(other))).await.problem(404, "not-found");
    }
    let grandchild = agent(&replaced, json!({})).await;
    assert_eq!(replaced.delete(&format!("/v1/tokens/{}", id(&grandchild))).await.status, StatusCode::NO_CONTENT);
    assert_eq!(left(&parent).await["calls"]["remaining"], 0);
    let listed = owner.get("/v1/tokens").await.ok();
    let shares = listed["items"].as_array().unwrap().iter().filter(|token| !token["allowance"].is_null());
    assert!(shares.map(|token| &token["allowance"]["calls"]["remaining"]).all(|left| left == 0), "{listed}");
}

#[tokio::test]
async fn an_allowance_is_checked_before_it_is_stored() {
    let app = priced()(TestDatabase::own().await);
    let owner = app.caller().await;
    let spend = |network: &str, asset: &str, amount: &str| json!({"spend": [{"network": network, "asset": asset, "amount": amount}]});
    let base = "eip155:84532";
    for (allowance, pointer) in [
        (json!({}), "/allowance"),
        (json!({"calls": 0}), "/allowance/calls"),
        (json!({"calls": 1_000_000_001}), "/allowance/calls"),
        (json!({"spend": []}), "/allowance/spend"),
        (spend("eip155:1", USDC, "1"), "/allowance/spend/0/asset"),
        (spend(base, "STX", "1"), "/allowance/spend/0/asset"),
        (spend(base, USDC, "0"), "/allowance/spend/0/amount"),
        (spend(base, USDC, "01"), "/allowance/spend/0/amount"),
        (spend(base, USDC, "-1"), "/allowance/spend/0/amount"),
        (spend(base, USDC, "9223372036854775808"), "/allowance/spend/0/amount"),
    ] {
        let problem = owner.post("/v1/tokens", json!({"allowance": allowance})).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{allowance}");
    }
    let twice = json!({"spend": [
        {"network": base, "asset": USDC, "amount": "1"}, {"network": base, "asset": USDC.to_lowercase(), "amount": "1"}]});
    owner.post("/v1/tokens", json!({"allowance": twice})).await.problem(422, "invalid-value");
    // The spelling of an address does not matter.
    let made = owner.post("/v1/tokens", json!({"allowance": spend(base, &USDC.to_lowercase(), "7")})).await.json();
    assert_eq!(made["allowance"]["spend"][0]["asset"], USDC);
}

#[tokio::test]
async fn earlier_servers_do_not_know_tokens_with_an_allowance_and_old_ones_are_deleted() {
    let app = TestApp::on(TestDatabase::own().await);
    let owner = app.caller().await;
    let agent = agent(&owner, json!({"allowance": {"calls": 5}})).await;
    let mut admin = app.database.admin().await;
    for (function, known) in [("tokens_by_id", 0), ("tokens_with_limits", 0), ("tokens_with_allowances", 1)] {
        let count = format!("select count(*) from auth.{function}(array[$1])");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).bind(id(&agent));
        assert_eq!(count.fetch_one(&mut admin).await.ok(), Some(known as i64), "{function}");
    }
    let counted = "select count(*) from auth.allowances";
    let count = async |admin: &mut sqlx::PgConnection| -> i64 {
        let mut transaction = sqlx::Connection::begin(admin).await.unwrap();
        sqlx::query("set local role payerbase_auth").execute(&mut *transaction).await.unwrap();
        sqlx::query_scalar(counted).fetch_one(&mut *transaction).await.unwrap()
    };
    assert_eq!(count(&mut admin).await, 1);
    let mut transaction = sqlx::Connection::begin(&mut admin).await.unwrap();
    sqlx::query("set local role payerbase_auth").execute(&mut *transaction).await.unwrap();
    sqlx::query("update auth.tokens set expires_at = now() - interval '1 year' where id = $1")
        .bind(id(&agent))
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    owner.post("/v1/tokens", json!({})).await;
    assert_eq!(count(&mut admin).await, 0);
}

#[tokio::test]
async fn a_payment_pays_for_its_call_in_its_own_asset() {
    let stub = StubFacilitator::start();
    let networks = vec![base(&stub.url, &stub.rpc_url()), stacks(&stub.url, &stub.stacks_url())];
    let app = paid_app(TestDatabase::own().await, networks);
    let wallet = PayingWallet::from_seed(rand::random());
    let address = wallet.stacks_address(crate::support::stacks::Network::Test);
    stub.chain.mint(&address, "STX", 10_000);
    let payer = address.parse().unwrap();
    let token = app.token(&payer, &[Scope::Everything], Duration::from_secs(600)).await;
    let owner = Caller { payer, token: Some(token), ..app.caller().await };
    give(&mut app.database.admin().await, &owner.payer, &usdc(), 5_000, "gift").await.unwrap();
    let pay = async |caller: &Caller| {
        let required = required(&app.caller().await.post("/v1/counters/a/increment", json!({})).await);
        let stx = required["accepts"].as_array().unwrap().iter().find(|offer| offer["asset"] == "STX").unwrap();
        let header = wallet.pay(&required, stx, &Terms::default());
        with(caller, &header).increment("a", json!({})).await
    };
    let spend = |network: &str, asset: &str| json!({"allowance": {"spend": [{"network": network, "asset": asset, "amount": "300"}]}});
    // The payer has USDC, which is the first asset, but the payment is of STX.
    let in_stx = agent(&owner, spend("stacks:2147483648", "STX")).await;
    pay(&in_stx).await.ok();
    assert_eq!(left(&in_stx).await["spend"][0]["remaining"], "100");
    let in_usdc = agent(&owner, spend("eip155:84532", USDC)).await;
    in_usdc.increment("a", json!({})).await.ok();
    in_usdc.increment("a", json!({})).await.problem(403, "allowance-exceeded");
    // New money of the caller may be of any asset.
    pay(&in_usdc).await.ok();
    assert_eq!(left(&in_usdc).await["spend"][0]["remaining"], "100");
    // What the allowance does not cover moves no money.
    pay(&in_stx).await.problem(403, "allowance-exceeded");
    let credit = owner.get("/v1/credit").await.ok();
    let balances: Vec<&str> =
        credit["items"].as_array().unwrap().iter().map(|item| item["balance"].as_str().unwrap()).collect();
    let (usdc, stx) = ((5_000 - WRITE).to_string(), (2 * (MINIMUM - WRITE)).to_string());
    assert!(balances.contains(&usdc.as_str()) && balances.contains(&stx.as_str()), "{credit}");
}
