//! The stub facilitator settles payments on Stacks, and its chain shows them.

use serde_json::{Value, json};

use super::payer::{Payer, read};
use crate::support::stacks::Network;
use crate::support::wallet::from_header;
use crate::support::{Fault, Terms, official};

const STX: &str = "STX";
const SBTC: &str = "SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4.sbtc-token";
const PAY_TO: &str = "SP120SBRBQJ00MCWS7TM5R8WJNTTKD5K0HFRC2CNE";
const OFFICIAL_PAYER: &str = "SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD";

/// A transaction by its id, as the API of Stacks shows it.
async fn transaction(payer: &Payer, id: &Value) -> (u16, Value) {
    let url = format!("{}/extended/v1/tx/0x{}", payer.facilitator.stacks_url(), id.as_str().unwrap());
    read(payer.client.get(url).send().await.unwrap()).await
}

async fn nonces(payer: &Payer, address: &str) -> Value {
    payer.get(&format!("/stacks/extended/v1/address/{address}/nonces")).await.1
}

/// A payment of an official offer, from the payer's own account.
fn payment(payer: &Payer, header: &str, terms: &Terms) -> Value {
    let official = from_header(header);
    payer.wallet.payment(&official, &official["accepted"], terms)
}

#[tokio::test]
async fn the_official_payments_settle_once() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    for (count, (header, address)) in
        (1..).zip([(official::STX, OFFICIAL_PAYER), (official::STX_TEST, "STAW66WC3G8WA5F28JVNG1NTRJ6H76E7EMHDBMBN")])
    {
        let payment = from_header(header);
        assert_eq!(payer.settle_code(&payment).await, "insufficient_funds");
        chain.mint(address, STX, 1_000);
        let (status, settled) = payer.settle(&payment).await;
        assert_eq!((status, &settled["success"], &settled["payer"]), (200, &json!(true), &json!(address)));
        let pay_to = payment["accepted"]["payTo"].as_str().unwrap();
        assert_eq!((chain.balance_of(address, STX), chain.balance_of(pay_to, STX)), (0, 1_000));
        let (status, shown) = transaction(&payer, &settled["transaction"]).await;
        assert_eq!((status, &shown["tx_status"], &shown["nonce"]), (200, &json!("success"), &json!(7)));
        assert_eq!((&shown["tx_type"], &shown["sender_address"]), (&json!("token_transfer"), &json!(address)));
        assert_eq!(shown["token_transfer"]["recipient_address"], pay_to);
        let (status, again) = payer.settle(&payment).await;
        assert_eq!((status, &again["errorReason"]), (500, &json!("broadcast_failed")));
        assert_eq!(payer.facilitator.settled(), count);
    }
}

#[tokio::test]
async fn a_token_moves_by_a_call_of_its_contract() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    let first = from_header(official::SBTC);
    let (status, answer) = payer.settle(&first).await;
    assert_eq!((status, &answer["errorReason"]), (500, &json!("invalid_transaction_state")));
    let shown = transaction(&payer, &answer["transaction"]).await.1;
    assert_eq!(shown["tx_status"], "abort_by_response");
    assert_eq!(nonces(&payer, OFFICIAL_PAYER).await["last_executed_tx_nonce"], 7, "its nonce is used");

    let address = payer.wallet.stacks_address(Network::Main);
    chain.mint(&address, SBTC, 1_000);
    let settled = payer.settle(&payment(&payer, official::SBTC, &Terms::default())).await.1;
    assert_eq!((&settled["success"], chain.balance_of(PAY_TO, SBTC)), (&json!(true), 1_000));
    let shown = transaction(&payer, &settled["transaction"]).await.1;
    assert_eq!((&shown["tx_type"], &shown["contract_call"]["contract_id"]), (&json!("contract_call"), &json!(SBTC)));
    assert_eq!(shown["contract_call"]["function_args"][0]["repr"], "u1000");
    assert_eq!(payer.facilitator.settled(), 1);
}

#[tokio::test]
async fn a_nonce_of_an_account_is_used_once() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    let address = payer.wallet.stacks_address(Network::Main);
    chain.mint(&address, STX, 5_000);
    let at = |nonce: u64| Terms { stacks_nonce: Some(nonce), ..Terms::default() };
    let [first, other] = [(); 2].map(|()| payment(&payer, official::STX, &at(3)));
    assert_eq!(nonces(&payer, &address).await["possible_next_nonce"], 0);
    assert_eq!(payer.settle_code(&first).await, "");
    assert_eq!(payer.settle_code(&other).await, "broadcast_failed");
    assert_eq!(payer.verify_code(&other).await, "broadcast_failed");
    payer.facilitator.fail_next(3, Fault::SuccessBeforeBlock);
    let [next, after_next] = [4, 5].map(|nonce| payment(&payer, official::STX, &at(nonce)));
    assert_eq!(payer.verify_code(&next).await, "");
    let id = payer.settle(&next).await.1["transaction"].clone();
    assert_eq!(payer.settle(&next).await.1["transaction"], id, "one transaction is sent once");
    assert_eq!(payer.settle_code(&after_next).await, "");
    assert_eq!(transaction(&payer, &id).await.1["tx_status"], "pending");
    let expected = json!({
        "last_executed_tx_nonce": 3,
        "last_mempool_tx_nonce": 5,
        "possible_next_nonce": 6,
        "detected_missing_nonces": [],
        "detected_mempool_nonces": [],
    });
    assert_eq!(nonces(&payer, &address).await, expected);
    chain.mine();
    assert_eq!(transaction(&payer, &id).await.1["tx_status"], "success");
    assert_eq!((payer.facilitator.settled(), chain.balance_of(PAY_TO, STX)), (3, 3_000));
}

#[tokio::test]
async fn a_facilitator_of_stacks_looks_after_it_has_sent() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    chain.mint(&payer.wallet.stacks_address(Network::Main), STX, 5_000);
    let elsewhere = Terms { to: Some(OFFICIAL_PAYER.to_owned()), ..Terms::default() };
    let less = Terms { value: Some(999), ..Terms::default() };
    let more = Terms { value: Some(1_001), ..Terms::default() };
    for (terms, code) in [(elsewhere, "recipient_mismatch"), (less, "amount_insufficient"), (more, "")] {
        assert_eq!(payer.settle_code(&payment(&payer, official::STX, &terms)).await, code);
    }
    assert_eq!((payer.facilitator.settled(), chain.balance_of(PAY_TO, STX)), (3, 2_000));
    assert_eq!(chain.balance_of(OFFICIAL_PAYER, STX), 1_000);
}

#[tokio::test]
async fn a_transaction_that_the_network_does_not_accept_is_not_sent() {
    let payer = Payer::new();
    payer.facilitator.chain.mint(OFFICIAL_PAYER, STX, 5_000);
    let forged = Terms { from: Some(OFFICIAL_PAYER.to_owned()), ..Terms::default() };
    let mut wrong = vec![payment(&payer, official::STX, &forged)];
    for place in [0_usize, 100, 230, 358] {
        let mut changed = from_header(official::STX);
        let digits = changed["payload"]["transaction"].as_str().unwrap().to_owned();
        let digit = if &digits[place..=place] == "1" { "2" } else { "1" };
        changed["payload"]["transaction"] = format!("{}{digit}{}", &digits[..place], &digits[place + 1..]).into();
        wrong.push(changed);
    }
    let own = payment(&payer, official::STX, &Terms::default());
    payer.facilitator.chain.mint(&payer.wallet.stacks_address(Network::Main), STX, 5_000);
    let mut transaction = hex::decode(own["payload"]["transaction"].as_str().unwrap()).unwrap();
    assert_eq!(payer.wallet.sign_transaction(transaction.clone()), own["payload"]["transaction"]);
    transaction.push(0);
    let mut longer = own.clone();
    longer["payload"]["transaction"] = payer.wallet.sign_transaction(transaction).into();
    let mut elsewhere = own;
    elsewhere["accepted"]["network"] = "stacks:2147483648".into();
    wrong.extend([longer, elsewhere]);
    for payment in wrong {
        let (status, answer) = payer.settle(&payment).await;
        assert_eq!((status, &answer["errorReason"]), (500, &json!("broadcast_failed")));
    }
    assert_eq!(payer.facilitator.settled(), 0);
}

#[tokio::test]
async fn what_the_chain_does_not_know_is_not_found() {
    let payer = Payer::new();
    assert_eq!(transaction(&payer, &json!("00".repeat(32))).await.0, 404);
    assert_eq!(payer.get("/stacks/extended/v1/address/nobody/nonces").await.0, 404);
    payer.facilitator.chain.set_rpc_outage(true);
    let url = format!("{}/extended/v1/tx/0x00", payer.facilitator.stacks_url());
    assert_eq!(payer.client.get(url).send().await.unwrap().status(), 503);
}
