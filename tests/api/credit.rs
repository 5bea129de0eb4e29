//! Prices: calls are paid from the credit of their payer, and what fails costs nothing.

use std::sync::Arc;

use futures_util::future::join_all;
use payerbase::pay::{AssetPrices, Gift, Prices, accounts, faults, give};
use payerbase::wallet::Network;
use payerbase::x402::{Asset, Domain};
use serde_json::{Value, json};

use crate::support::{Caller, TestApp, TestDatabase};

const READ: i64 = 1;
const WRITE: i64 = 10;
const AI: i64 = 100;

fn usdc() -> Asset {
    let domain = Domain { name: "USDC".to_owned(), version: "2".to_owned() };
    let id = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
    Asset::new(Network::Evm { chain_id: 84_532 }, id, Some(domain)).unwrap()
}

fn stx() -> Asset {
    Asset::new(Network::StacksTest, "STX", None).unwrap()
}

/// A server on which calls cost USDC, or three times as much STX.
fn priced(database: TestDatabase) -> TestApp {
    let usdc = AssetPrices { asset: usdc(), read: READ, write: WRITE, ai: AI };
    let stx = AssetPrices { asset: stx(), read: 3 * READ, write: 3 * WRITE, ai: 3 * AI };
    TestApp::set(database, |settings| settings.calls.prices = Arc::new(Prices::new(vec![usdc, stx])))
}

/// A caller with credit in an asset.
async fn rich(app: &TestApp, asset: &Asset, amount: i64) -> Caller {
    let caller = app.caller().await;
    add(app, &caller, asset, amount, "gift").await;
    caller
}

async fn add(app: &TestApp, caller: &Caller, asset: &Asset, amount: i64, reference: &str) -> bool {
    let given = give(&mut app.database.admin().await, &caller.payer, asset, amount, reference).await;
    given.unwrap() == Gift::Given
}

/// The balances that the caller sees, by asset.
async fn balances(caller: &Caller) -> Vec<(String, i64)> {
    let credit = caller.get("/v1/credit").await.ok();
    let of =
        |item: &Value| (item["asset"].as_str().unwrap().to_owned(), item["balance"].as_str().unwrap().parse().unwrap());
    credit["items"].as_array().unwrap().iter().map(of).collect()
}

async fn balance(caller: &Caller) -> i64 {
    balances(caller).await.iter().map(|(_, balance)| balance).sum()
}

/// Waits until reads are paid.
async fn until_balance(app: &TestApp, caller: &Caller, expected: i64) {
    app.until(async || balance(caller).await == expected).await;
}

/// The ledger and the credit of all payers agree, and each asset sums up to zero.
async fn assert_ledger_is_sound(app: &TestApp) {
    let mut admin = app.database.admin().await;
    assert_eq!(faults(&mut admin).await.unwrap(), []);
    let accounts = accounts(&mut admin).await.unwrap();
    for asset in [usdc(), stx()].map(|asset| format!("{}/{asset}", asset.network())) {
        let amounts = accounts.iter().filter(|account| account.asset == asset);
        assert_eq!(amounts.map(|account| account.amount.parse::<i128>().unwrap()).sum::<i128>(), 0, "{accounts:?}");
    }
}

#[tokio::test]
async fn a_write_is_paid_in_its_turn_and_refused_without_credit() {
    let app = priced(TestDatabase::own().await);
    let caller = rich(&app, &usdc(), 25).await;
    for left in [15, 5] {
        caller.increment("a", json!({})).await.ok();
        assert_eq!(balance(&caller).await, left);
    }
    caller.increment("a", json!({})).await.problem(402, "payment-required");
    assert_eq!(balance(&caller).await, 5);
    // A stranger has none.
    app.caller().await.increment("a", json!({})).await.problem(402, "payment-required");
    assert!(add(&app, &caller, &usdc(), 5, "more").await);
    assert_eq!(caller.increment("a", json!({})).await.ok()["value"], 3);
    assert!(!add(&app, &caller, &usdc(), 5, "more").await, "a gift is given once");
    assert_ledger_is_sound(&app).await;
}

#[tokio::test]
async fn calls_at_once_spend_no_more_than_there_is() {
    let app = priced(TestDatabase::own().await);
    let caller = rich(&app, &usdc(), 12 * WRITE + 3).await;
    let other = rich(&app, &usdc(), 1_000 * WRITE).await;
    let calls = (0..60).map(|at| {
        let caller = if at % 2 == 0 { &caller } else { &other };
        // Two methods, so that sets are among them.
        let path = if at % 3 == 0 { "/v1/counters/a/increment" } else { "/v1/counters/a/decrement" };
        caller.post(path, json!({}))
    });
    let statuses: Vec<u16> = join_all(calls).await.iter().map(|answer| answer.status.as_u16()).collect();
    let count = |status: u16| statuses.iter().filter(|known| **known == status).count();
    assert_eq!((count(200), count(402)), (42, 18), "{statuses:?}");
    assert_eq!((balance(&caller).await, balance(&other).await), (3, 970 * WRITE));
    assert_ledger_is_sound(&app).await;
}

#[tokio::test]
async fn what_fails_or_is_repeated_costs_nothing() {
    let app = priced(TestDatabase::own().await);
    let caller = rich(&app, &usdc(), WRITE + 5).await;
    caller
        .post("/v1/counters/a/increment", json!({"min": 0, "amount": -1, "onBound": "reject"}))
        .await
        .problem(409, "counter-out-of-bounds");
    caller.delete("/v1/counters/none").await.problem(404, "not-found");
    caller.post("/v1/queues/q/pop", json!({})).await.ok();
    assert_eq!(balance(&caller).await, WRITE + 5);
    let mut keyed = caller.clone();
    keyed.headers.insert("idempotency-key", "the same key".parse().unwrap());
    for _ in 0..3 {
        // Also when the credit is spent.
        assert_eq!(keyed.increment("a", json!({})).await.ok()["value"], 1);
        assert_eq!(balance(&caller).await, 5);
    }
    caller.increment("a", json!({})).await.problem(402, "payment-required");
    // A call that fails is run before anybody knows that it fails: it must be affordable.
    caller.delete("/v1/counters/none").await.problem(402, "payment-required");
    assert_ledger_is_sound(&app).await;
}

#[tokio::test]
async fn a_transaction_costs_as_much_as_its_calls() {
    let app = priced(TestDatabase::own().await);
    let caller = rich(&app, &usdc(), 3 * WRITE).await;
    let calls = json!({"calls": [
        {"method": "increment", "params": {"name": "a"}}, {"method": "increment", "params": {"name": "b"}},
        {"method": "getCounter", "params": {"name": "a"}}]});
    caller.post("/v1/transaction", calls.clone()).await.ok();
    assert_eq!(balance(&caller).await, WRITE - READ);
    caller.post("/v1/transaction", calls).await.problem(402, "payment-required");
    add(&app, &caller, &usdc(), WRITE, "more").await;
    let failing = json!({"calls": [
        {"method": "increment", "params": {"name": "a"}}, {"method": "deleteCounter", "params": {"name": "none"}}]});
    add(&app, &caller, &usdc(), WRITE, "again").await;
    caller.post("/v1/transaction", failing).await.problem(404, "not-found");
    assert_eq!(balance(&caller).await, 3 * WRITE - READ);
}

#[tokio::test]
async fn reads_are_metered() {
    let app = priced(TestDatabase::own().await);
    let caller = rich(&app, &usdc(), 1_000).await;
    caller.increment("a", json!({})).await.ok();
    let read = async || caller.get("/v1/counters/a").await;
    for answer in join_all((0..250).map(|_| read())).await {
        answer.ok();
    }
    caller.get("/v1/counters").await.ok();
    until_balance(&app, &caller, 1_000 - WRITE - 251 * READ).await;
    for answer in join_all((0..30).map(|_| caller.get("/v1/counters/none"))).await {
        answer.problem(404, "not-found");
    }
    read().await.ok();
    until_balance(&app, &caller, 1_000 - WRITE - 252 * READ).await;
    let poor = app.caller().await;
    poor.get("/v1/counters/a").await.problem(402, "payment-required");
    add(&app, &poor, &usdc(), 2 * READ, "gift").await;
    // For a moment, the server remembers that there was too little.
    app.until(async || poor.get("/v1/counters/a").await.status == 404).await;
    for _ in 0..2 {
        poor.get("/v1/counters/a").await.problem(404, "not-found");
    }
    poor.get("/v1/counters").await.ok();
    poor.get("/v1/counters").await.ok();
    poor.get("/v1/counters").await.problem(402, "payment-required");
    // The account is free.
    for path in ["/v1/me", "/v1/credit", "/v1/ledger", "/v1/tokens", "/v1/audit"] {
        poor.get(path).await.ok();
    }
    assert_ledger_is_sound(&app).await;
}

#[tokio::test]
async fn a_server_that_stops_takes_what_reads_have_cost() {
    let database = TestDatabase::own().await;
    let app = priced(database.clone());
    let caller = rich(&app, &usdc(), 100).await;
    for _ in 0..7 {
        caller.get("/v1/counters").await.ok();
    }
    app.stop().await;
    let app = priced(database);
    let caller = Caller { url: app.url.clone(), ..caller };
    assert_eq!(balance(&caller).await, 93);
}

#[tokio::test]
async fn a_call_is_paid_in_the_first_asset_of_which_there_is_enough() {
    let app = priced(TestDatabase::own().await);
    let caller = rich(&app, &stx(), 200).await;
    add(&app, &caller, &usdc(), WRITE, "usdc").await;
    let pays = async |expected: [i64; 2]| {
        let mut amounts: Vec<i64> = balances(&caller).await.into_iter().map(|(_, amount)| amount).collect();
        amounts.sort_unstable();
        assert_eq!(amounts, expected);
    };
    caller.increment("a", json!({})).await.ok();
    pays([0, 200]).await;
    caller.increment("a", json!({})).await.ok();
    caller.delete("/v1/counters/none").await.problem(404, "not-found");
    pays([0, 170]).await;
    caller.get("/v1/counters/a").await.ok();
    until_balance(&app, &caller, 167).await;
    assert_ledger_is_sound(&app).await;
}

#[tokio::test]
async fn usage_is_booked_and_the_ledger_lists_it() {
    let app = priced(TestDatabase::own().await);
    let caller = rich(&app, &usdc(), 100).await;
    caller.increment("a", json!({})).await.ok();
    let credit = caller.get("/v1/credit").await.ok();
    assert_eq!((&credit["items"][0]["balance"], &credit["items"][0]["unposted"]), (&json!("90"), &json!("10")));
    assert_eq!(credit["items"][0]["network"], "eip155:84532");
    let mut admin = app.database.admin().await;
    sqlx::query("update tenant.credit set posted_at = posted_at - interval '2 hours' where payer = $1")
        .bind(caller.payer.as_str())
        .execute(&mut admin)
        .await
        .unwrap();
    let ledger = async |query: &str| caller.get(&format!("/v1/ledger{query}")).await.ok();
    app.until(async || ledger("").await["items"].as_array().unwrap().len() == 2).await;
    let first = ledger("?limit=1").await;
    let usage = &first["items"][0];
    assert_eq!((&usage["kind"], &usage["amount"], &usage["reference"]), (&json!("usage"), &json!("-10"), &Value::Null));
    let second = ledger(&format!("?limit=1&cursor={}", first["nextCursor"].as_str().unwrap())).await;
    let gift = &second["items"][0];
    assert_eq!((&gift["kind"], &gift["amount"], &gift["reference"]), (&json!("gift"), &json!("100"), &json!("gift")));
    assert_eq!((&gift["asset"], &second["nextCursor"]), (&json!(usdc().to_string()), &Value::Null));
    let credit = caller.get("/v1/credit").await.ok();
    assert_eq!(credit["items"][0]["unposted"], "0");
    assert_ledger_is_sound(&app).await;
}

#[tokio::test]
async fn the_check_finds_what_somebody_changed() {
    let app = priced(TestDatabase::own().await);
    let caller = rich(&app, &usdc(), 100).await;
    let mut admin = app.database.admin().await;
    sqlx::query("update tenant.credit set posted = posted + 1").execute(&mut admin).await.unwrap();
    let found = faults(&mut admin).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].payer.as_str(), found[0].posted.as_deref()), (caller.payer.as_str(), Some("101")));
    let below_zero = sqlx::query("update tenant.credit set balance = -1").execute(&mut admin).await;
    assert!(below_zero.unwrap_err().to_string().contains("amount_is_not_negative"));
}
