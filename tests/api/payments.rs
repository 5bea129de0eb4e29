//! Payments with x402, through a stub facilitator on a stub chain: each moves money once, and buys one effect.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::shop::{MINIMUM, PAY_TO, Shop, USDC, WRITE, came, paid_app, pay, receipt, required, stacks, with};
use crate::support::stacks::Network;
use crate::support::wallet::{machine_time, to_header};
use crate::support::{Caller, Fault, PayingWallet, StubFacilitator, Terms, TestDatabase};

const INCREMENT: &str = "/v1/counters/a/increment";

#[tokio::test]
async fn a_wallet_pays_for_a_call_without_asking_anybody() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let unpaid = stranger.post(INCREMENT, json!({})).await;
    let offer = required(&unpaid);
    unpaid.problem(402, "payment-required");
    assert_eq!(offer["resource"]["url"], format!("{}{INCREMENT}", stranger.url));
    assert_eq!((&offer["x402Version"], &offer["accepts"][0]["amount"]), (&json!(2), &json!("1000")));
    assert_eq!(offer["accepts"][0]["extra"], json!({"name": "USDC", "version": "2", "paymentFlow": "upfront"}));
    let (_, paid) = pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({"amount": 3})).await;
    let settlement = receipt(&paid);
    assert_eq!((&settlement["success"], &settlement["network"]), (&json!(true), &json!("eip155:84532")));
    assert_eq!((&settlement["payer"], paid.ok()["value"].as_i64()), (&json!(wallet.address()), Some(3)));
    assert_eq!(shop.stub.chain.balance_of(PAY_TO, USDC), 1_000);
    // What is left is credit, which a token spends.
    let owner = shop.signed_in(&wallet).await;
    let credit = owner.get("/v1/credit").await.ok();
    assert_eq!(credit["items"][0]["balance"], json!((MINIMUM - WRITE).to_string()));
    owner.post(INCREMENT, json!({})).await.ok();
    let payments = owner.get("/v1/payments").await.ok();
    let payment = &payments["items"][0];
    assert_eq!((&payment["state"], &payment["method"]), (&json!("settled"), &json!("increment")));
    assert_eq!(payment["transaction"], settlement["transaction"]);
    let path = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
    assert_eq!(owner.get(&path).await.ok(), *payment);
    shop.app.caller().await.get(&path).await.problem(404, "not-found");
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn the_402_comes_before_the_body_and_a_head_never_pays() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let broken = stranger.send(Method::POST, INCREMENT, Some(("text/plain", b"{".to_vec()))).await;
    broken.problem(402, "payment-required");
    let unpaid = stranger.get("/v1/counters/a").await;
    let header = wallet.pay(&required(&unpaid), &required(&unpaid)["accepts"][0], &Terms::default());
    let payer = with(&stranger, &header);
    for caller in [&stranger, &payer] {
        let head = caller.send(Method::HEAD, "/v1/counters/a", None).await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (402, ""));
        let (head, unpaid) = (required(&head), required(&unpaid));
        assert_eq!((&head["accepts"], &head["resource"]), (&unpaid["accepts"], &unpaid["resource"]));
        // The nonce of its sign-in is new.
        assert_ne!(head["extensions"], unpaid["extensions"]);
    }
    assert_eq!(shop.stub.asked().len(), 0);
    // A payment is settled only for a request that is valid.
    payer.get("/v1/counters/a?x=1").await.problem(400, "invalid-query");
    payer.get("/v1/counters/%FF").await.problem(400, "invalid-path");
    assert_eq!(shop.stub.asked().len(), 0);
    payer.get("/v1/counters/a").await.problem(404, "not-found");
    assert_eq!(shop.stub.settled(), 1);
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn one_payment_sent_many_times_at_once_to_two_servers_is_one_charge_and_one_effect() {
    let shop = Shop::open().await;
    let other = shop.another();
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    let header = wallet.pay(&offer, &offer["accepts"][0], &Terms::default());
    shop.stub.fail_next(1, Fault::DelayBeforeSettling(Duration::from_millis(300)));
    let payer = with(&stranger, &header);
    let elsewhere = Caller { url: other.url.clone(), ..payer.clone() };
    let calls = (0..100).map(|at| (if at % 2 == 0 { &payer } else { &elsewhere }).post(INCREMENT, json!({})));
    for answer in join_all(calls).await {
        assert_eq!(receipt(&answer)["success"], true);
        assert_eq!(answer.ok()["value"], 1);
    }
    assert_eq!((shop.stub.asked().len(), shop.stub.settled()), (1, 1));
    let owner = shop.signed_in(&wallet).await;
    let log = owner.get("/v1/audit").await.ok();
    let entries: Vec<_> = log["items"].as_array().unwrap().iter().map(|entry| &entry["event"]).collect();
    assert_eq!(entries, ["token-created", "payment-settled"]);
    let payment = owner.get("/v1/payments").await.ok()["items"][0]["id"].clone();
    let entry = &log["items"][1];
    assert_eq!((&entry["paymentId"], &entry["network"]), (&payment, &json!("eip155:84532")));
    assert_eq!((&entry["tokenId"], &log["items"][0]["paymentId"]), (&Value::Null, &Value::Null));
    let credit = owner.get("/v1/credit").await.ok();
    assert_eq!(credit["items"][0]["balance"], json!((MINIMUM - WRITE).to_string()));
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn whatever_the_facilitator_answers_the_chain_decides() {
    let shop = Shop::open().await;
    let stranger = shop.stranger().await;
    let is_served = [
        (Fault::HangAfterSettling, true),
        (Fault::BadGatewayAfterSettling, true),
        (Fault::CutJsonAfterSettling, true),
        (Fault::DropAfterSettling, true),
        (Fault::DropAfterSuccess, true),
        (Fault::OtherPayer, true),
        (Fault::Pending(Some(Duration::from_millis(300))), true),
        // Not settled: it is settled again, because the authorization is unused.
        (Fault::BadGatewayBeforeSettling, true),
        (Fault::UnavailableWithSuccess, true),
        (Fault::Redirect, true),
        (Fault::Unauthorized, false),
        (Fault::TooManyRequests(1), false),
    ];
    let mut settled = 0;
    for (fault, is_served) in is_served {
        let wallet = shop.wallet();
        let said = format!("{fault:?}");
        let hangs = matches!(fault, Fault::HangAfterSettling);
        shop.stub.fail_next(1, fault);
        let releasing = async {
            if hangs {
                shop.stub.until_settled(settled + 1).await;
                shop.stub.release();
            }
        };
        let terms = Terms::default();
        let ((header, answer), ()) = tokio::join!(pay(&stranger, &wallet, &terms, INCREMENT, json!({})), releasing);
        let answer = match is_served {
            true => answer,
            false => {
                answer.problem(503, "facilitator-unavailable");
                with(&stranger, &header).post(INCREMENT, json!({})).await
            }
        };
        settled += 1;
        assert_eq!(receipt(&answer)["success"], true, "{said}");
        answer.ok();
        assert_eq!(shop.stub.settled(), settled, "{said}");
        assert_eq!(shop.stub.followed(), 0);
    }
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn a_payment_that_its_payer_cancels_or_cannot_pay_is_rejected() {
    let shop = Shop::open().await;
    let stranger = shop.stranger().await;
    let poor = PayingWallet::from_seed(rand::random());
    let (_, answer) = pay(&stranger, &poor, &Terms::default(), INCREMENT, json!({})).await;
    assert_eq!((&receipt(&answer)["success"], &receipt(&answer)["transaction"]), (&json!(false), &json!("")));
    assert!(answer.headers.contains_key("payment-required"));
    answer.problem(402, "insufficient-funds");
    // While we settle, the payer cancels it, or a stranger sends it: then the money has arrived.
    let wallet = shop.wallet();
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    for is_canceled in [true, false] {
        let payment = wallet.payment(&offer, &offer["accepts"][0], &Terms::default());
        let nonce = payment["payload"]["authorization"]["nonce"].as_str().unwrap().to_owned();
        let asked = shop.stub.asked().len();
        shop.stub.fail_next(1, Fault::HangBeforeSettling);
        let payer = with(&stranger, &to_header(&payment));
        let meanwhile = async {
            shop.stub.until_asked(asked + 1).await;
            match is_canceled {
                true => shop.stub.chain.cancel_authorization(USDC, &wallet.address(), &nonce),
                false => shop.stub.chain.settle_by_stranger(&payment),
            };
            shop.stub.release();
        };
        let (answer, ()) = tokio::join!(payer.post(INCREMENT, json!({})), meanwhile);
        assert_eq!(receipt(&answer)["success"], !is_canceled);
        match is_canceled {
            true => drop(answer.problem(402, "payment-invalid")),
            false => drop(answer.ok()),
        }
        // It was used before it came: a stranger could send what is public on the chain.
        let payment = wallet.payment(&offer, &offer["accepts"][0], &Terms::default());
        let nonce = payment["payload"]["authorization"]["nonce"].as_str().unwrap().to_owned();
        let (status, code) = match is_canceled {
            true => {
                shop.stub.chain.cancel_authorization(USDC, &wallet.address(), &nonce);
                (402, "payment-invalid")
            }
            false => {
                shop.stub.chain.settle_by_stranger(&payment);
                (409, "payment-used")
            }
        };
        with(&stranger, &to_header(&payment)).post(INCREMENT, json!({})).await.problem(status, code);
    }
    assert_eq!(shop.stub.settled(), 0);
    // One transfer by a stranger was for a payment that came, one for none.
    let received = shop.stub.chain.balance_of(PAY_TO, USDC);
    assert_eq!(came(&shop.app).await, received - u128::try_from(MINIMUM).unwrap());
}

#[tokio::test]
async fn a_client_that_hangs_up_has_its_credit_and_the_sweeper_finishes_what_a_server_began() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    shop.stub.fail_next(1, Fault::HangBeforeSettling);
    let impatient = Caller {
        client: reqwest::Client::builder().timeout(Duration::from_millis(700)).build().unwrap(),
        ..stranger.clone()
    };
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    let header = wallet.pay(&offer, &offer["accepts"][0], &Terms::default());
    let body = Some(("application/json", b"{}".to_vec()));
    assert!(with(&impatient, &header).try_send(Method::POST, INCREMENT, body).await.is_err());
    shop.stub.release();
    let owner = shop.signed_in(&wallet).await;
    let balance = async || owner.get("/v1/credit").await.ok()["items"][0]["balance"].clone();
    shop.app.until(async || balance().await == json!(MINIMUM.to_string())).await;
    // The same request gets its effect.
    with(&stranger, &header).post(INCREMENT, json!({})).await.ok();
    assert_eq!(balance().await, json!((MINIMUM - WRITE).to_string()));
    // A server that was killed in the middle: its lease ends, and the chain decides.
    let payment = wallet.payment(&offer, &offer["accepts"][0], &Terms::default());
    shop.stub.fail_next(1, Fault::HangAfterSettling);
    let header = to_header(&payment);
    let body = Some(("application/json", b"{}".to_vec()));
    assert!(with(&impatient, &header).try_send(Method::POST, INCREMENT, body).await.is_err());
    let mut admin = shop.app.database.admin().await;
    let end_lease = "update tenant.payments set leased_until = now(), due_at = now() where state = 'settling'";
    sqlx::query(end_lease).execute(&mut admin).await.unwrap();
    shop.app.until(async || balance().await == json!((2 * MINIMUM - WRITE).to_string())).await;
    shop.stub.release();
    // It was killed before the facilitator moved the money: the payment is settled again.
    let header = wallet.pay(&offer, &offer["accepts"][0], &Terms::default());
    shop.stub.fail_next(1, Fault::HangBeforeSettling);
    let body = Some(("application/json", b"{}".to_vec()));
    assert!(with(&impatient, &header).try_send(Method::POST, INCREMENT, body).await.is_err());
    sqlx::query(end_lease).execute(&mut admin).await.unwrap();
    shop.app.until(async || balance().await == json!((3 * MINIMUM - WRITE).to_string())).await;
    shop.stub.release();
    assert_eq!(shop.stub.settled(), 3);
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn a_payment_has_a_name_and_credit_is_topped_up() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let terms = |id: &str| Terms { payment_id: Some(id.to_owned()), ..Terms::default() };
    let (header, paid) = pay(&stranger, &wallet, &terms("the-first-payment"), INCREMENT, json!({})).await;
    paid.ok();
    with(&stranger, &header).post(INCREMENT, json!({})).await.ok();
    let (_, again) = pay(&stranger, &wallet, &terms("the-first-payment"), INCREMENT, json!({})).await;
    again.problem(409, "payment-used");
    assert_eq!(shop.stub.settled(), 1);
    let (_, topped) = pay(&stranger, &wallet, &Terms::default(), "/v1/credit/50000", json!({})).await;
    assert_eq!(receipt(&topped)["success"], true);
    assert_eq!(topped.ok()["items"][0]["balance"], json!((50_000 + MINIMUM - WRITE).to_string()));
    let owner = shop.signed_in(&wallet).await;
    let unpaid = owner.post("/v1/credit/70000", json!({})).await;
    assert_eq!(required(&unpaid)["accepts"][0]["amount"], "70000");
    unpaid.problem(402, "payment-required");
    let least = stranger.post("/v1/credit/1", json!({})).await;
    assert_eq!(required(&least)["accepts"][0]["amount"], "1000");
    let ledger = owner.get("/v1/ledger").await.ok();
    let kinds: Vec<&Value> = ledger["items"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, [&json!("payment"), &json!("payment")]);
    let routes: Value = reqwest::get(format!("{}/x402.json", shop.app.url)).await.unwrap().json().await.unwrap();
    let routes = routes["items"].as_array().unwrap();
    let increment = routes.iter().find(|route| route["operationId"] == "increment").unwrap();
    assert_eq!((&increment["tier"], &increment["accepts"][0]["amount"]), (&json!("write"), &json!("1000")));
    let price = json!([{"network": "eip155:84532", "asset": USDC, "amount": WRITE.to_string()}]);
    assert_eq!(increment["prices"], price);
    assert!(!routes.iter().any(|route| route["operationId"] == "getMe"));
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn a_transaction_is_offered_at_its_price() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let call = json!({"method": "increment", "params": {"name": "a"}});
    let calls = json!({"calls": vec![call; 20]});
    let (_, cheap) = pay(&stranger, &wallet, &Terms::default(), "/v1/transaction", calls.clone()).await;
    let offer = required(&cheap);
    assert_eq!(offer["accepts"][0]["amount"], json!((20 * WRITE).to_string()));
    cheap.problem(402, "payment-required");
    assert_eq!(shop.stub.asked().len(), 0);
    let header = wallet.pay(&offer, &offer["accepts"][0], &Terms::default());
    let answer = with(&stranger, &header).post("/v1/transaction", calls).await;
    assert_eq!(answer.ok()["results"][19]["value"], 20);
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn a_wallet_of_stacks_pays_when_its_network_has_executed_the_transaction() {
    let stub = StubFacilitator::start();
    let app = paid_app(TestDatabase::own().await, vec![stacks(&stub.url, &stub.stacks_url())]);
    let stranger = Caller { token: None, ..app.caller().await };
    let wallet = PayingWallet::from_seed(rand::random());
    stub.chain.mint(&wallet.stacks_address(Network::Test), "STX", 10_000);
    let (header, paid) = pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await;
    assert_eq!(receipt(&paid)["payer"], wallet.stacks_address(Network::Test));
    paid.ok();
    with(&stranger, &header).post(INCREMENT, json!({})).await.ok();
    assert_eq!((stub.asked().len(), came(&app).await), (1, u128::try_from(MINIMUM).unwrap()));
    let state = async || -> String {
        let mut admin = app.database.admin().await;
        let newest = "select state::text from tenant.payments order by received_at desc limit 1";
        sqlx::query_scalar(newest).fetch_one(&mut admin).await.unwrap()
    };
    assert_eq!(state().await, "settled");
    // A transaction that the facilitator has sent is not money.
    stub.fail_next(1, Fault::SuccessBeforeBlock);
    let terms = Terms::default();
    let paying = pay(&stranger, &wallet, &terms, INCREMENT, json!({}));
    let meanwhile = async {
        app.until(async || state().await == "settled-unconfirmed").await;
        assert_eq!(came(&app).await, u128::try_from(MINIMUM).unwrap());
        stub.chain.mine();
    };
    let ((_, paid), ()) = tokio::join!(paying, meanwhile);
    paid.ok();
    assert_eq!((state().await, came(&app).await), ("settled".to_owned(), 2 * u128::try_from(MINIMUM).unwrap()));
    // Another amount, recipient, network or signer is refused before it is sent.
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    for terms in [
        Terms { value: Some(999), ..Terms::default() },
        Terms { to: Some(wallet.stacks_address(Network::Test)), ..Terms::default() },
        Terms { from: Some(PayingWallet::from_seed(1).stacks_address(Network::Test)), ..Terms::default() },
    ] {
        let header = wallet.pay(&offer, &offer["accepts"][0], &terms);
        with(&stranger, &header).post(INCREMENT, json!({})).await.problem(402, "payment-invalid");
    }
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test]
async fn a_lost_answer_of_a_read_costs_nothing_and_an_expired_payment_says_what_became_of_it() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let owner = shop.signed_in(&wallet).await;
    let (_, paid) = pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await;
    paid.ok();
    let offer = required(&stranger.get("/v1/counters/a").await);
    // In ten seconds it has expired: the last six seconds are for its settlement.
    let end = u128::from(machine_time()) + 16;
    let header = wallet.pay(&offer, &offer["accepts"][0], &Terms { valid_before: Some(end), ..Terms::default() });
    let payer = with(&stranger, &header);
    for _ in 0..4 {
        assert_eq!(payer.get("/v1/counters/a").await.ok()["value"], 1);
    }
    let balance = json!((2 * MINIMUM - WRITE - 100).to_string());
    shop.app.until(async || owner.get("/v1/credit").await.ok()["items"][0]["balance"] == balance).await;
    shop.app.until(async || u128::from(machine_time()) + 6 > end).await;
    let late = payer.get("/v1/counters/a").await;
    let problem = late.problem(409, "payment-used");
    assert!(problem["detail"].as_str().unwrap().contains("is credit of its payer"), "{problem}");
    assert!(problem["payment"].is_string());
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn without_its_network_no_payment_is_taken() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    shop.stub.chain.set_rpc_outage(true);
    let (header, answer) = pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await;
    answer.problem(503, "facilitator-unavailable");
    assert_eq!(shop.stub.asked().len(), 0);
    shop.stub.chain.set_rpc_outage(false);
    with(&stranger, &header).post(INCREMENT, json!({})).await.ok();
    shop.assert_ledger_is_sound().await;
}
