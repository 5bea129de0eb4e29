//! The stub chain proves what became of an authorization, as a real chain does.

use serde_json::{Value, json};

use super::PAY_TO;
use super::payer::{Payer, USDC};
use crate::support::evm::{address_topic, prefixed, word};
use crate::support::{Fault, Terms};

const USED: &str = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5";
const CANCELED: &str = "0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81";
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

/// What became of a payment.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Settled,
    Canceled,
    Expired,
    /// It may still be settled.
    Open,
}

fn payer_topic(payment: &Value) -> String {
    address_topic(payment["payload"]["authorization"]["from"].as_str().unwrap())
}

fn nonce(payment: &Value) -> String {
    payment["payload"]["authorization"]["nonce"].as_str().unwrap().to_owned()
}

/// The logs of a payment's nonce, from a block.
async fn logs(payer: &Payer, payment: &Value, event: &str, from: &Value) -> Vec<Value> {
    let topics = json!([event, payer_topic(payment), nonce(payment)]);
    let filter = json!([{"address": USDC, "topics": topics, "fromBlock": from, "toBlock": "latest"}]);
    payer.rpc("eth_getLogs", filter).await["result"].as_array().unwrap().clone()
}

async fn is_used(payer: &Payer, payment: &Value) -> bool {
    let data = format!("0xe94a0102{}{}", &payer_topic(payment)[2..], &nonce(payment)[2..]);
    let state = payer.rpc("eth_call", json!([{"to": USDC, "data": data}, "latest"])).await["result"].clone();
    assert!([0, 1].iter().any(|bit| state == prefixed(word(&[*bit]))), "{state}");
    state == prefixed(word(&[1]))
}

/// Finds out what became of a payment that was sent after a block.
async fn fate(payer: &Payer, payment: &Value, from: &Value) -> Fate {
    let used = logs(payer, payment, USED, from).await;
    let canceled = logs(payer, payment, CANCELED, from).await;
    assert_eq!(is_used(payer, payment).await, !used.is_empty() || !canceled.is_empty());
    if let [log] = &used[..] {
        let receipt = payer.rpc("eth_getTransactionReceipt", json!([log["transactionHash"]])).await["result"].clone();
        assert_eq!((&receipt["status"], &receipt["logs"][0]), (&json!("0x1"), log));
        let transfer = &receipt["logs"][1];
        assert_eq!(transfer["topics"], json!([TRANSFER, payer_topic(payment), address_topic(PAY_TO)]));
        assert_eq!(transfer["data"], prefixed(word(&1_000_u64.to_be_bytes())));
        assert_eq!(transfer["address"], USDC.to_ascii_lowercase());
        return Fate::Settled;
    }
    if canceled.len() == 1 {
        return Fate::Canceled;
    }
    let block = payer.rpc("eth_getBlockByNumber", json!(["latest", false])).await["result"].clone();
    let end: u64 = payment["payload"]["authorization"]["validBefore"].as_str().unwrap().parse().unwrap();
    if number(&block["timestamp"]) > end { Fate::Expired } else { Fate::Open }
}

fn number(quantity: &Value) -> u64 {
    u64::from_str_radix(quantity.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

async fn head(payer: &Payer) -> Value {
    payer.rpc("eth_blockNumber", json!([])).await["result"].clone()
}

#[tokio::test]
async fn a_settled_payment_is_proved_by_its_logs() {
    let payer = Payer::new();
    let from = head(&payer).await;
    let payment = payer.payment(&Terms::default());
    assert_eq!(fate(&payer, &payment, &from).await, Fate::Open);
    let transaction = payer.settle(&payment).await.1["transaction"].clone();
    assert_eq!(fate(&payer, &payment, &from).await, Fate::Settled);
    let log = &logs(&payer, &payment, USED, &from).await[0];
    assert_eq!(log["transactionHash"], transaction);
    assert_eq!(fate(&payer, &payer.payment(&Terms::default()), &from).await, Fate::Open);
}

#[tokio::test]
async fn a_stranger_and_the_payer_can_use_an_authorization() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    let from = head(&payer).await;
    let [run_ahead, canceled] = [(); 2].map(|()| payer.payment(&Terms::default()));
    chain.settle_by_stranger(&run_ahead);
    chain.cancel_authorization(USDC, &payer.wallet.address(), &nonce(&canceled));
    for payment in [&run_ahead, &canceled] {
        assert_eq!(payer.settle_code(payment).await, "invalid_exact_evm_nonce_already_used");
    }
    assert_eq!(fate(&payer, &run_ahead, &from).await, Fate::Settled);
    assert_eq!(fate(&payer, &canceled, &from).await, Fate::Canceled);
    assert_eq!((payer.facilitator.settled(), chain.balance_of(PAY_TO, USDC)), (0, 1_000));
}

#[tokio::test]
async fn an_authorization_expires_with_the_time_of_the_blocks() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    let now = chain.now();
    chain.stop_clock(now);
    let from = head(&payer).await;
    let payment = payer.payment(&Terms { now: Some(now), ..Terms::default() });
    chain.stop_clock(now + 60);
    assert_eq!(fate(&payer, &payment, &from).await, Fate::Open);
    chain.set_automine(false);
    chain.stop_clock(now + 61);
    assert_eq!(fate(&payer, &payment, &from).await, Fate::Open, "no block has this time");
    chain.mine();
    assert_eq!(fate(&payer, &payment, &from).await, Fate::Expired);
    chain.set_automine(true);
    chain.set_clock_offset(-3_600);
    let block = payer.rpc("eth_getBlockByNumber", json!(["latest", false])).await["result"].clone();
    assert!(number(&block["timestamp"]) < now - 3_000);
    assert!(number(&block["number"]) > number(&from));
    let none = payer.rpc("eth_getBlockByNumber", json!(["0xffffffff", false])).await;
    assert_eq!(none, json!({"jsonrpc": "2.0", "id": 7, "result": null}));
}

#[tokio::test]
async fn a_transaction_without_a_block_proves_nothing() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    let from = head(&payer).await;
    chain.set_automine(false);
    let payment = payer.payment(&Terms::default());
    tokio::select! {
        code = payer.settle_code(&payment) => panic!("it answers: {code}"),
        () = chain.until_waiting(1) => {}
    }
    assert_eq!(fate(&payer, &payment, &from).await, Fate::Open);
    let late = chain.settle_by_stranger(&payment);
    chain.mine();
    assert_eq!(fate(&payer, &payment, &from).await, Fate::Settled);
    assert_eq!(payer.facilitator.settled(), 1);
    let receipt = payer.rpc("eth_getTransactionReceipt", json!([late])).await["result"].clone();
    assert_eq!((&receipt["status"], &receipt["logs"]), (&json!("0x0"), &json!([])));
    assert_eq!((&receipt["transactionIndex"], &receipt["blockNumber"]), (&json!("0x1"), &head(&payer).await));
    assert_eq!(payer.settle_code(&payment).await, "invalid_exact_evm_nonce_already_used");
}

#[tokio::test]
async fn the_token_checks_what_a_stranger_sends() {
    let payer = Payer::new();
    let chain = &payer.facilitator.chain;
    let now = chain.now();
    chain.stop_clock(now);
    let terms = [
        Terms { from: Some(PAY_TO.to_owned()), ..Terms::default() },
        Terms { has_high_s: true, ..Terms::default() },
        Terms { valid_before: Some(now.into()), ..Terms::default() },
        Terms { valid_after: Some(now.into()), ..Terms::default() },
        Terms { value: Some(5_000_001), ..Terms::default() },
    ];
    chain.mint(PAY_TO, USDC, 1_000);
    let mut elsewhere = payer.required();
    elsewhere["asset"] = PAY_TO.into();
    let mut payments = vec![payer.wallet.payment(&payer.offers, &elsewhere, &Terms::default())];
    payments.extend(terms.iter().map(|terms| payer.payment(terms)));
    for payment in payments {
        let hash = chain.settle_by_stranger(&payment);
        let receipt = payer.rpc("eth_getTransactionReceipt", json!([hash])).await["result"].clone();
        assert_eq!((&receipt["status"], &receipt["logs"]), (&json!("0x0"), &json!([])), "{payment}");
    }
    let last = Terms {
        valid_after: Some((now - 1).into()),
        valid_before: Some((now + 1).into()),
        value: Some(5_000_000),
        ..Terms::default()
    };
    chain.settle_by_stranger(&payer.payment(&last));
    assert_eq!((chain.balance_of(PAY_TO, USDC), chain.balance_of(&payer.wallet.address(), USDC)), (5_001_000, 0));
}

#[tokio::test]
async fn logs_are_found_by_address_topics_and_blocks() {
    let payer = Payer::new();
    // A block for each second would move the head.
    payer.facilitator.chain.stop_clock(payer.facilitator.chain.now());
    let from = head(&payer).await;
    payer.facilitator.fail_next(2, Fault::Pending(None));
    let payments = [(); 2].map(|()| payer.payment(&Terms::default()));
    for payment in &payments {
        payer.settle(payment).await;
    }
    payer.facilitator.chain.mine();
    let block = head(&payer).await;
    let found = async |filter: Value| {
        let answer = payer.rpc("eth_getLogs", json!([filter])).await;
        answer["result"].as_array().map_or_else(|| Err(answer["error"]["code"].clone()), |logs| Ok(logs.len()))
    };
    let own = payer_topic(&payments[0]);
    for (filter, count) in [
        (json!({"fromBlock": from}), 4),
        (json!({"fromBlock": block, "toBlock": block, "address": [USDC]}), 4),
        (json!({"fromBlock": from, "toBlock": from}), 0),
        (json!({"fromBlock": from, "address": PAY_TO}), 0),
        (json!({"fromBlock": from, "topics": [USED]}), 2),
        (json!({"fromBlock": from, "topics": [[USED, CANCELED], own, nonce(&payments[1])]}), 1),
        (json!({"fromBlock": from, "topics": [null, own]}), 4),
        (json!({"fromBlock": from, "topics": [null, null, address_topic(PAY_TO)]}), 2),
        (json!({"fromBlock": from, "topics": [null, null, null, null]}), 0),
    ] {
        assert_eq!(found(filter.clone()).await, Ok(count), "{filter}");
    }
    assert_eq!(found(json!({"fromBlock": "0x0"})).await, Err(json!(-32005)), "too many blocks");
    assert_eq!(found(json!({"fromBlock": "earliest"})).await, Err(json!(-32005)));
    assert_eq!(found(json!({"fromBlock": block, "toBlock": "0x1"})).await, Err(json!(-32602)));
    assert_eq!(found(json!({"fromBlock": 1, "topics": ["0x"]})).await, Err(json!(-32602)));
    assert_eq!(found(json!({"blockHash": prefixed([0; 32])})).await, Err(json!(-32602)));
    let all = payer.rpc("eth_getLogs", json!([{"fromBlock": from}])).await["result"].clone();
    let indices: Vec<_> = all.as_array().unwrap().iter().map(|log| log["logIndex"].clone()).collect();
    assert_eq!(indices, ["0x0", "0x1", "0x2", "0x3"]);
}

#[tokio::test]
async fn json_rpc_has_errors_and_outages() {
    let payer = Payer::new();
    assert_eq!(payer.rpc("eth_chainId", json!([])).await["result"], "0x14a34");
    assert_eq!(payer.rpc("eth_sendRawTransaction", json!(["0x"])).await["error"]["code"], -32601);
    assert_eq!(payer.rpc("eth_call", json!([{"to": PAY_TO, "data": "0xe94a0102"}])).await["result"], "0x");
    assert_eq!(payer.rpc("eth_call", json!([{"to": USDC, "data": "0xe94a0102"}])).await["error"]["code"], 3);
    assert_eq!(payer.rpc("eth_call", json!([{"data": "0x"}])).await["error"]["code"], -32602);
    let dirty = format!("0xe94a0102{}", "01".repeat(64));
    assert_eq!(payer.rpc("eth_call", json!([{"to": USDC, "input": dirty}])).await["error"]["code"], 3);
    let nothing = payer.rpc("eth_getTransactionReceipt", json!([prefixed([0; 32])])).await;
    assert_eq!(nothing["result"], Value::Null);
    let post = async |body: &'static str| {
        let answer = payer.client.post(payer.facilitator.rpc_url()).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert!(post("nonsense").await.1.contains("-32700"));
    payer.facilitator.chain.set_rpc_outage(true);
    assert_eq!(post("{}").await, (503, String::new()));
    assert_eq!(payer.settle_code(&payer.payment(&Terms::default())).await, "", "the facilitator has another node");
    payer.facilitator.chain.set_rpc_outage(false);
    assert_eq!(payer.rpc("eth_chainId", json!([])).await["result"], "0x14a34");
}
