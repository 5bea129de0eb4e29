//! Nodes for tests.

use std::sync::{Arc, Mutex};

use chrono::DateTime;
use serde_json::{Value, json};

use super::question::Question;
use super::{Chain, ChainError, Verdict};
use crate::endpoint::testing::{Reply, Server};
use crate::wallet::Network;
use crate::x402::PaymentKey;

pub(super) const BASE: Network = Network::Evm { chain_id: 84_532 };
pub(super) const TOKEN: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
pub(super) const PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
pub(super) const PAY_TO: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
pub(super) const NONCE: &str = "0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
pub(super) const HASH: &str = "0xabababababababababababababababababababababababababababababababab";
/// When the authorization expires.
pub(super) const VALID_BEFORE: u64 = 1_764_000_060;

pub(super) const USED: &str = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5";
pub(super) const CANCELED: &str = "0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81";
pub(super) const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

/// A node with a JSON-RPC interface.
pub(super) struct Fake {
    server: Server,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Fake {
    /// A node that answers calls with these results.
    pub(super) async fn start(result: impl Fn(&str, &Value) -> Value + Send + Sync + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        let server = Server::start(move |request| {
            let call: Value = serde_json::from_str(&request.body).unwrap();
            let (method, params) = (call["method"].as_str().unwrap().to_owned(), call["params"].clone());
            let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": result(&method, &params)});
            seen.lock().unwrap().push((method, params));
            Reply::text(200, &answer.to_string())
        })
        .await;
        Self { server, calls }
    }

    pub(super) fn chain(&self, confirmations: u64) -> Chain {
        Chain::new(BASE, self.server.url().clone(), confirmations).unwrap()
    }

    /// The calls that came: methods and parameters.
    pub(super) fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().unwrap().clone()
    }

    /// The parameters of all calls of a method.
    pub(super) fn params(&self, method: &str) -> Vec<Value> {
        self.calls().into_iter().filter(|(called, _)| called == method).map(|(_, params)| params).collect()
    }
}

/// A payment of 1,000, received at block 0x300.
pub(super) fn question() -> Question {
    let key = PaymentKey {
        network: BASE,
        asset: TOKEN.to_lowercase(),
        payer: PAYER.parse().unwrap(),
        nonce: NONCE.to_owned(),
    };
    let valid_before = DateTime::from_timestamp(VALID_BEFORE.try_into().unwrap(), 0);
    Question {
        key,
        pay_to: PAY_TO.parse().unwrap(),
        amount: 1_000,
        transaction: None,
        valid_before,
        from_block: Some(0x300),
    }
}

/// The words of numbers and addresses.
pub(super) fn word(hex: &str) -> String {
    format!("0x{:0>64}", hex.trim_start_matches("0x").to_lowercase())
}

/// A log of the token in block 0x310.
pub(super) fn log(index: u64, topics: &[&str], data: &str) -> Value {
    json!({
        "address": TOKEN.to_lowercase(), "topics": topics.iter().map(|topic| word(topic)).collect::<Vec<_>>(),
        "data": data, "blockNumber": "0x310", "blockHash": HASH, "transactionHash": HASH, "transactionIndex": "0x0",
        "logIndex": format!("{index:#x}"), "removed": false
    })
}

pub(super) fn used() -> Value {
    log(4, &[USED, PAYER, NONCE], "0x")
}

pub(super) fn canceled() -> Value {
    log(4, &[CANCELED, PAYER, NONCE], "0x")
}

pub(super) fn paid() -> Value {
    log(5, &[TRANSFER, PAYER, PAY_TO], &word("3e8"))
}

/// The answers of a node about an authorization. Its latest block is 0x400.
#[derive(Clone)]
pub(super) struct World {
    pub state: Value,
    pub timestamp: Value,
    pub logs: Value,
    pub receipt: Value,
}

impl World {
    /// The authorization is neither used nor canceled.
    pub(super) fn open() -> Self {
        let timestamp = json!(format!("{:#x}", VALID_BEFORE - 10));
        Self { state: json!(word("0")), timestamp, logs: json!([]), receipt: json!(null) }
    }

    /// The authorization was used, or canceled: the logs of one transaction, the first of which says so.
    pub(super) fn spent(logs: &[Value]) -> Self {
        let receipt = json!({
            "transactionHash": HASH, "blockNumber": "0x310", "blockHash": HASH, "status": "0x1", "logs": logs,
            "gasUsed": "0x1"
        });
        Self { state: json!(word("1")), logs: json!([logs[0]]), receipt, ..Self::open() }
    }

    pub(super) fn result(&self, method: &str, params: &Value) -> Value {
        match method {
            "eth_getBlockByNumber" => {
                let number = if params[0] == "latest" { json!("0x400") } else { params[0].clone() };
                json!({"number": number, "hash": HASH, "timestamp": self.timestamp, "transactions": []})
            }
            "eth_call" => self.state.clone(),
            "eth_getLogs" => self.logs.clone(),
            "eth_getTransactionReceipt" => self.receipt.clone(),
            other => panic!("{other}"),
        }
    }

    /// What the network says about the payment.
    pub(super) async fn verdict(&self, confirmations: u64) -> Result<Verdict, ChainError> {
        let world = self.clone();
        let fake = Fake::start(move |method, params| world.result(method, params)).await;
        fake.chain(confirmations).verdict(&question()).await
    }
}
