//! The API of the stub chain for Stacks: transactions and nonces, as Hiro's API shows them.

use serde_json::{Value, json};

use super::super::stacks::{self, Account, Transfer};
use super::chain::{Sent, State, StubChain};
use super::ledger::{Revert, Transaction};

/// A transaction by its id, which begins with `0x`. `None` if nobody sent it.
pub fn transaction(chain: &StubChain, id: &str) -> Option<Value> {
    let hash = id.strip_prefix("0x")?;
    chain.read(|state| {
        if let Some(mined) = state.transaction(hash) {
            let mut json = shown(&mined.sent)?;
            json["block_height"] = mined.block.into();
            json["block_time"] = state.time_of(mined.block).into();
            json["canonical"] = true.into();
            json["tx_index"] = mined.place.into();
            let (status, result) = status(&mined.result.clone().map(drop));
            json["tx_status"] = status.into();
            json["tx_result"] = result;
            return Some(json);
        }
        let mut json = shown(state.waiting().iter().find(|sent| sent.hash == hash)?)?;
        json["tx_status"] = "pending".into();
        Some(json)
    })
}

fn status(result: &Result<(), Revert>) -> (&'static str, Value) {
    match result {
        Ok(()) => ("success", json!({"hex": "0x0703", "repr": "(ok true)"})),
        Err(_revert) => {
            ("abort_by_response", json!({"hex": "0x080100000000000000000000000000000001", "repr": "(err u1)"}))
        }
    }
}

/// What is known of a transaction before it has a block. `None` if it is not of Stacks.
fn shown(sent: &Sent) -> Option<Value> {
    let Transaction::Stacks(transfer) = &sent.transaction else { return None };
    let mut json = json!({
        "tx_id": format!("0x{}", sent.hash),
        "nonce": transfer.nonce,
        "fee_rate": transfer.fee.to_string(),
        "sender_address": stacks::address(&transfer.network.account(transfer.origin)),
        "sponsored": false,
        "post_condition_mode": if transfer.token.is_none() { "deny" } else { "allow" },
        "post_conditions": [],
        "anchor_mode": "any",
    });
    let memo = format!("0x{}", hex::encode(&transfer.memo));
    let recipient = stacks::address(&transfer.recipient);
    if transfer.token.is_some() {
        json["tx_type"] = "contract_call".into();
        json["contract_call"] = called(transfer, &recipient, &memo);
    } else {
        json["tx_type"] = "token_transfer".into();
        json["token_transfer"] =
            json!({"recipient_address": recipient, "amount": transfer.amount.to_string(), "memo": memo});
    }
    Some(json)
}

fn called(transfer: &Transfer, recipient: &str, memo: &str) -> Value {
    let sender = stacks::address(&transfer.network.account(transfer.origin));
    json!({
        "contract_id": transfer.asset(),
        "function_name": "transfer",
        "function_args": [
            {"name": "amount", "type": "uint", "repr": format!("u{}", transfer.amount)},
            {"name": "sender", "type": "principal", "repr": format!("'{sender}")},
            {"name": "recipient", "type": "principal", "repr": format!("'{recipient}")},
            {"name": "memo", "type": "(optional (buff 34))", "repr": format!("(some {memo})")},
        ],
    })
}

/// An account as a node shows it. `None` if the address is none.
pub fn account(chain: &StubChain, address: &str) -> Option<Value> {
    let account = stacks::account(address)?;
    let executed = chain.read(|state| state.ledger.last_stacks_nonce(&account));
    Some(json!({"nonce": executed.map_or(0, |nonce| nonce + 1), "balance": "0x00", "locked": "0x00"}))
}

/// The nonces of an account. `None` if the address is none.
pub fn nonces(chain: &StubChain, address: &str) -> Option<Value> {
    let account = stacks::account(address)?;
    Some(chain.read(|state| {
        let executed = state.ledger.last_stacks_nonce(&account);
        let waiting = last_waiting_nonce(state, &account);
        json!({
            "last_executed_tx_nonce": executed,
            "last_mempool_tx_nonce": waiting,
            "possible_next_nonce": executed.max(waiting).map_or(0, |nonce| nonce + 1),
            "detected_missing_nonces": [],
            "detected_mempool_nonces": [],
        })
    }))
}

fn last_waiting_nonce(state: &State, account: &Account) -> Option<u64> {
    let nonce = |sent: &Sent| {
        let Transaction::Stacks(transfer) = &sent.transaction else { return None };
        (transfer.network.account(transfer.origin) == *account).then_some(transfer.nonce)
    };
    state.waiting().iter().filter_map(nonce).max()
}
