//! Attacks on payments: none buys another request, another amount or an account.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::shop::{PAY_TO, Shop, USDC, base, pay, required, set_paid_app, with};
use crate::support::wallet::machine_time;
use crate::support::{Caller, Fault, PayingWallet, StubFacilitator, Terms, TestDatabase};

const INCREMENT: &str = "/v1/counters/a/increment";

#[tokio::test]
async fn a_payment_is_for_its_request_alone() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let (header, paid) = pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await;
    paid.ok();
    let payer = with(&stranger, &header);
    for (path, body) in [
        ("/v1/counters/b/increment", json!({})),
        ("/v1/counters/a/decrement", json!({})),
        (INCREMENT, json!({"amount": 2})),
        ("/v1/counters/%61/reset", json!({})),
    ] {
        let refused = payer.post(path, body).await;
        assert!(refused.headers.contains_key("payment-response"), "{refused:?}");
        let problem = refused.problem(409, "payment-used");
        assert!(problem["payment"].is_string(), "{problem}");
    }
    payer.get("/v1/counters/a").await.problem(409, "payment-used");
    // The account needs a token.
    for path in ["/v1/me", "/v1/credit", "/v1/tokens", "/v1/audit", "/v1/payments"] {
        payer.get(path).await.problem(401, "token-missing");
    }
    // A token is of its own payer.
    let (token, other) = (shop.app.caller().await.token, shop.wallet());
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    let header = other.pay(&offer, &offer["accepts"][0], &Terms::default());
    let both = with(&Caller { token, ..stranger.clone() }, &header);
    both.post(INCREMENT, json!({})).await.problem(402, "payment-invalid");
    assert_eq!(shop.stub.settled(), 1);
    let dear = "/v1/memories/a";
    let cheap = required(&stranger.post(INCREMENT, json!({})).await);
    let header = wallet.pay(&cheap, &cheap["accepts"][0], &Terms::default());
    let dearer = with(&stranger, &header).send_json(Method::PATCH, dear, json!({"content": "x"})).await;
    assert_eq!(required(&dearer)["accepts"][0]["amount"], "5000");
    dearer.problem(402, "payment-not-offered");
    shop.assert_ledger_is_sound().await;
}

/// An index of services reads in a payment what its route does.
#[tokio::test]
async fn a_payer_cannot_describe_the_route() {
    let stub = StubFacilitator::start();
    let networks = vec![base(&stub.url, &stub.rpc_url())];
    let app = set_paid_app(TestDatabase::own().await, networks, |settings| settings.payments.has_bazaar = true);
    let shop = Shop { app, stub };
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let mut offer = required(&stranger.post(INCREMENT, json!({})).await);
    assert_eq!(offer["extensions"]["bazaar"]["routeTemplate"], "/v1/counters/:name/increment");
    let pay = async |offer: &Value| {
        let header = wallet.pay(offer, &offer["accepts"][0], &Terms::default());
        with(&stranger, &header).post(INCREMENT, json!({})).await
    };
    pay(&offer).await.ok();
    offer["extensions"]["bazaar"]["info"]["input"]["method"] = "GET".into();
    pay(&offer).await.problem(402, "payment-invalid");
    assert_eq!(shop.stub.settled(), 1);
}

#[tokio::test]
async fn what_is_not_as_offered_is_refused_before_money_moves() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    let accepted = &offer["accepts"][0];
    let refused = async |accepted: &Value, terms: Terms, status: u16, code: &str| {
        let header = wallet.pay(&offer, accepted, &terms);
        let answer = with(&stranger, &header).post(INCREMENT, json!({})).await;
        assert_eq!(answer.headers.contains_key("payment-required"), status == 402);
        answer.problem(status, code);
    };
    let changed = |member: &str, value: &str| {
        let mut accepted = accepted.clone();
        accepted[member] = value.into();
        accepted
    };
    let now = machine_time();
    let stranger_address = PayingWallet::from_seed(1).address();
    refused(&changed("amount", "999"), Terms::default(), 402, "payment-not-offered").await;
    refused(&changed("payTo", &stranger_address), Terms::default(), 402, "payment-not-offered").await;
    refused(&changed("asset", &stranger_address), Terms::default(), 402, "payment-not-offered").await;
    refused(&changed("network", "eip155:8453"), Terms::default(), 402, "payment-not-offered").await;
    refused(&changed("scheme", "upto"), Terms::default(), 402, "payment-not-offered").await;
    let terms = |change: fn(&mut Terms)| {
        let mut terms = Terms::default();
        change(&mut terms);
        terms
    };
    refused(accepted, terms(|terms| terms.value = Some(999)), 402, "payment-invalid").await;
    refused(accepted, terms(|terms| terms.has_high_s = true), 402, "payment-invalid").await;
    refused(accepted, Terms { to: Some(stranger_address.clone()), ..Terms::default() }, 402, "payment-invalid").await;
    refused(accepted, Terms { from: Some(stranger_address), ..Terms::default() }, 402, "payment-invalid").await;
    let early = Terms { valid_after: Some(u128::from(now) + 100), ..Terms::default() };
    refused(accepted, early, 402, "payment-expired").await;
    let late = Terms { valid_before: Some(u128::from(now)), ..Terms::default() };
    refused(accepted, late, 402, "payment-expired").await;
    for header in ["", "!", "e30=", &"A".repeat(17 << 10)] {
        let answer = with(&stranger, header).post(INCREMENT, json!({})).await;
        // The HTTP parser refuses a head over 16 KiB.
        assert!([400, 431].contains(&answer.status.as_u16()), "{answer:?}");
    }
    assert_eq!(shop.stub.asked().len(), 0);
    // More than the least amount is credit.
    let header = wallet.pay(&offer, &changed("amount", "5000"), &Terms::default());
    with(&stranger, &header).post(INCREMENT, json!({})).await.ok();
    let credit = shop.signed_in(&wallet).await.get("/v1/credit").await.ok();
    assert_eq!(credit["items"][0]["balance"], "4800");
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn a_payment_is_credited_with_the_amount_that_was_sent() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    let mut dear = offer["accepts"][0].clone();
    dear["amount"] = json!("5000000");
    let terms = Terms { nonce: Some([7; 32]), ..Terms::default() };
    // The facilitator refuses the first one, and the second one has the same nonce.
    shop.stub.fail_next(1, Fault::Unauthorized);
    let first = wallet.pay(&offer, &dear, &terms);
    with(&stranger, &first).post(INCREMENT, json!({})).await.problem(503, "facilitator-unavailable");
    let second = wallet.pay(&offer, &offer["accepts"][0], &terms);
    with(&stranger, &second).post(INCREMENT, json!({})).await.problem(409, "payment-used");
    with(&stranger, &first).post(INCREMENT, json!({})).await.ok();
    assert_eq!(shop.stub.chain.balance_of(PAY_TO, USDC), 5_000_000);
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn a_payment_opens_no_account_and_is_the_only_one() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    for call in [json!({"method": "getCredit"}), json!({"method": "revokeToken", "params": {"id": "0ahzrSBBqC2lZ0Nk"}})]
    {
        let calls = json!({"calls": [{"method": "increment", "params": {"name": "a"}}, call]});
        let (_, answer) = pay(&stranger, &wallet, &Terms::default(), "/v1/transaction", calls).await;
        answer.problem(403, "missing-scope");
    }
    let owner = shop.signed_in(&wallet).await;
    let top_up = json!({"calls": [{"method": "topUp", "params": {"amount": 1_000}}]});
    let problem = owner.post("/v1/transaction", top_up).await;
    assert!([402, 422].contains(&problem.status.as_u16()), "{problem:?}");
    // An account with code signs by rules of its own.
    let delegated = shop.wallet();
    shop.stub.chain.delegate(&delegated.address());
    let (_, answer) = pay(&stranger, &delegated, &Terms::default(), INCREMENT, json!({})).await;
    let problem = answer.problem(402, "payment-invalid");
    assert!(problem["detail"].as_str().unwrap().contains("EIP-7702"), "{problem}");
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    let mut twice = with(&stranger, &wallet.pay(&offer, &offer["accepts"][0], &Terms::default()));
    let other = wallet.pay(&offer, &offer["accepts"][0], &Terms::default());
    twice.headers.append("payment-signature", other.parse().unwrap());
    twice.post(INCREMENT, json!({})).await.problem(400, "payment-malformed");
    assert_eq!(shop.stub.asked().len(), 0);
    // Another Idempotency-Key is another request.
    let (header, paid) = pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await;
    paid.ok();
    let mut keyed = with(&stranger, &header);
    keyed.headers.insert("idempotency-key", "another request".parse().unwrap());
    keyed.post(INCREMENT, json!({})).await.problem(409, "payment-used");
    shop.assert_ledger_is_sound().await;
}
