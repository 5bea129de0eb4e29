//! The stub facilitator of the tests answers as the reference facilitator does.

mod chain;
mod faults;
mod payer;
mod stacks;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::wallet::from_header;
use crate::support::{PayingWallet, StubChain, StubFacilitator, Terms, evm, official};
use payer::{Payer, USDC};

/// The payer of the official payments.
const OFFICIAL_PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// The recipient of the official payments.
const PAY_TO: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

#[tokio::test]
async fn the_official_payment_settles_once() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    chain.stop_clock(1_764_000_000);
    chain.mint(OFFICIAL_PAYER, USDC, 1_500);
    let payment = from_header(official::SIGNATURE);
    let (status, settled) = payer.settle(&payment).await;
    let expected = json!({
        "success": true,
        "transaction": settled["transaction"],
        "network": "eip155:84532",
        "payer": OFFICIAL_PAYER,
    });
    assert_eq!((status, &settled), (200, &expected));
    assert!(evm::bytes::<32>(settled["transaction"].as_str().unwrap()).is_some());
    assert_eq!((chain.balance_of(OFFICIAL_PAYER, USDC), chain.balance_of(PAY_TO, USDC)), (500, 1_000));

    let (status, again) = payer.settle(&payment).await;
    assert_eq!((status, &again["success"], &again["transaction"]), (200, &json!(false), &json!("")));
    assert_eq!(again["errorReason"], "invalid_exact_evm_nonce_already_used");
    assert_eq!((chain.balance_of(OFFICIAL_PAYER, USDC), chain.balance_of(PAY_TO, USDC)), (500, 1_000));
    assert_eq!((payer.facilitator.asked().len(), payer.facilitator.settled()), (2, 1));
    let asked: Value = serde_json::from_str(&payer.facilitator.asked()[0]).unwrap();
    assert_eq!(asked["paymentPayload"], payment);
}

#[tokio::test]
async fn a_wrong_payment_has_its_code() {
    let payer = Payer::new();
    let now = payer.facilitator.chain.now();
    payer.facilitator.chain.stop_clock(now);
    let stranger = PayingWallet::from_seed(2).address();
    let terms = |change: fn(&mut Terms)| {
        let mut terms = Terms { now: Some(now), ..Terms::default() };
        change(&mut terms);
        terms
    };
    let ends = |seconds: u64| Terms { valid_before: Some((now + seconds).into()), ..Terms::default() };
    let simulation = "invalid_exact_evm_transaction_simulation_failed";
    let signature = "invalid_exact_evm_signature";
    let before = "invalid_exact_evm_payload_authorization_valid_before";
    let cases = [
        (Terms { from: Some(stranger.clone()), ..Terms::default() }, signature, signature),
        (terms(|terms| terms.has_high_s = true), signature, simulation),
        (
            Terms { to: Some(stranger), ..Terms::default() },
            "invalid_exact_evm_recipient_mismatch",
            "invalid_exact_evm_recipient_mismatch",
        ),
        (
            terms(|terms| terms.value = Some(999)),
            "invalid_exact_evm_payload_authorization_value_mismatch",
            "invalid_exact_evm_payload_authorization_value_mismatch",
        ),
        (terms(|terms| terms.valid_before = Some(1)), before, before),
        (ends(5), before, before),
        (
            Terms { valid_after: Some((now + 1).into()), ..Terms::default() },
            "invalid_exact_evm_payload_authorization_valid_after",
            "invalid_exact_evm_payload_authorization_valid_after",
        ),
    ];
    for (terms, settled, verified) in cases {
        let payment = payer.payment(&terms);
        assert_eq!(payer.settle_code(&payment).await, settled, "{terms:?}");
        assert_eq!(payer.verify_code(&payment).await, verified, "{terms:?}");
    }
    let mut payment = payer.payment(&Terms::default());
    let digits = payment["payload"]["signature"].as_str().unwrap()[..130].to_owned();
    for (v, verified) in [("00", [simulation, signature]), ("01", [simulation, signature]), ("02", [signature; 2])] {
        payment["payload"]["signature"] = format!("{digits}{v}").into();
        assert_eq!(payer.settle_code(&payment).await, signature);
        assert!(verified.contains(&payer.verify_code(&payment).await.as_str()));
    }
    assert_eq!(payer.facilitator.settled(), 0);
    assert_eq!(payer.settle_code(&payer.payment(&ends(6))).await, "");
}

#[tokio::test]
async fn a_changed_payment_has_another_signer() {
    let payer = Payer::new();
    for member in ["value", "validAfter", "validBefore", "nonce", "to"] {
        let mut payment = payer.payment(&Terms::default());
        let changed = &mut payment["payload"]["authorization"][member];
        let last = changed.as_str().unwrap().len() - 1;
        let (start, end) = changed.as_str().unwrap().split_at(last);
        *changed = format!("{start}{}", if end == "1" { "2" } else { "1" }).into();
        assert_eq!(payer.settle_code(&payment).await, "invalid_exact_evm_signature", "{member}");
    }
    let (mut renamed, mut unnamed, mut elsewhere) = (payer.required(), payer.required(), payer.required());
    let payment = payer.payment(&Terms::default());
    renamed["extra"]["name"] = "USD Coin".into();
    assert_eq!(payer.settle_as(&payment, &renamed).await.1["errorReason"], "invalid_exact_evm_signature");
    unnamed["extra"] = json!({});
    assert_eq!(payer.settle_as(&payment, &unnamed).await.1["errorReason"], "invalid_exact_evm_missing_eip712_domain");
    elsewhere["asset"] = PAY_TO.into();
    assert_eq!(payer.settle_as(&payment, &elsewhere).await.1["errorReason"], "invalid_exact_evm_signature");
    let payment = payer.wallet.payment(&payer.offers, &elsewhere, &Terms::default());
    assert_eq!(payer.settle_code(&payment).await, "asset_not_deployed_contract");
    assert_eq!(payer.verify_code(&payment).await, "asset_not_deployed_contract");
    assert_eq!(payer.facilitator.settled(), 0);
}

#[tokio::test]
async fn a_payer_without_money_does_not_pay() {
    let payer = Payer::new();
    let broke = PayingWallet::from_seed(3);
    let payment = broke.payment(&payer.offers, &payer.required(), &Terms::default());
    assert_eq!(payer.settle_code(&payment).await, "invalid_exact_evm_insufficient_balance");
    assert_eq!(payer.verify_code(&payment).await, "invalid_exact_evm_transaction_simulation_failed");
    payer.facilitator.chain.mint(&broke.address(), USDC, 1_000);
    assert_eq!(payer.verify_code(&payment).await, "");
    assert_eq!(payer.settle_code(&payment).await, "");
    assert_eq!(payer.verify_code(&payment).await, "invalid_exact_evm_transaction_simulation_failed");
    assert_eq!(payer.facilitator.verified(), 3);
}

#[tokio::test]
async fn one_payment_at_once_settles_once() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    chain.set_automine(false);
    let payment = payer.payment(&Terms::default());
    let settling = join_all([(); 3].map(|()| payer.settle_code(&payment)));
    let (mut codes, ()) = tokio::join!(settling, async {
        chain.until_waiting(3).await;
        assert_eq!(payer.facilitator.settled(), 0);
        chain.mine();
    });
    codes.sort();
    let failed = "invalid_exact_evm_transaction_failed";
    assert_eq!(codes, ["", failed, failed]);
    assert_eq!((payer.facilitator.settled(), chain.balance_of(PAY_TO, USDC)), (1, 1_000));
    assert_eq!(payer.settle_code(&payment).await, "invalid_exact_evm_nonce_already_used");
}

#[tokio::test]
async fn what_is_not_served_is_an_error_of_the_server() {
    let payer = Payer::new();
    let payment = payer.payment(&Terms::default());
    for (member, value) in [("network", "eip155:1"), ("scheme", "upto"), ("network", "solana:1")] {
        let mut required = payer.required();
        required[member] = value.into();
        let (status, answer) = payer.settle_as(&payment, &required).await;
        assert_eq!(status, 500);
        assert!(answer["error"].as_str().unwrap().starts_with("No facilitator registered for "), "{answer}");
        assert_eq!(answer["success"], Value::Null);
    }
    let [mut old, mut elsewhere] = [payment.clone(), payment];
    old["x402Version"] = 1.into();
    assert_eq!(payer.settle(&old).await.0, 500);
    elsewhere["accepted"]["network"] = "eip155:8453".into();
    assert_eq!(payer.settle_as(&elsewhere, &payer.required()).await.0, 500);
    let settle = payer.client.post(format!("{}/settle", payer.facilitator.url)).body("nonsense");
    assert_eq!(settle.send().await.unwrap().status(), 500);
    assert_eq!(payer.facilitator.asked()[5], "nonsense");
}

#[tokio::test]
async fn the_networks_are_listed() {
    let payer = Payer::new();
    let supported = payer.get("/supported").await.1;
    let kinds: Vec<&Value> = supported["kinds"].as_array().unwrap().iter().map(|kind| &kind["network"]).collect();
    assert_eq!(kinds, ["eip155:84532", "stacks:1", "stacks:2147483648"]);
    assert_eq!(supported["kinds"][0], json!({"x402Version": 2, "scheme": "exact", "network": "eip155:84532"}));
}

#[tokio::test]
async fn a_facilitator_may_know_its_callers() {
    let header = Some(("authorization", "Bearer of the stub"));
    let mut payer = Payer::at(StubFacilitator::on(StubChain::new(84_532), header));
    let payment = payer.payment(&Terms::default());
    assert_eq!(payer.settle(&payment).await.0, 401);
    assert_eq!(payer.verify(&payment).await.0, 401);
    assert_eq!(payer.get("/supported").await.0, 401);
    payer.authorization = Some("Bearer of another");
    assert_eq!(payer.settle(&payment).await.0, 401);
    payer.authorization = Some("Bearer of the stub");
    assert_eq!(payer.get("/supported").await.0, 200);
    assert_eq!(payer.settle_code(&payment).await, "");
    assert_eq!((payer.facilitator.asked().len(), payer.facilitator.settled()), (3, 1));
}

#[tokio::test]
async fn two_facilitators_settle_on_one_chain() {
    let payer = Payer::new();
    let mut other = StubFacilitator::on(payer.facilitator.chain.clone(), None);
    let payment = payer.payment(&Terms::default());
    assert_eq!(payer.settle_code(&payment).await, "");
    other.stop().await;
    assert_eq!((payer.facilitator.settled(), other.settled()), (1, 0));
    assert_eq!(payer.settle_code(&payment).await, "invalid_exact_evm_nonce_already_used");
}
