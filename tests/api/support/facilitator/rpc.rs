//! JSON-RPC of the stub chain, as nodes of EVM chains speak it.

use serde_json::{Value, json};

use super::super::evm::{self, Address, Word};
use super::chain::{Mined, State, StubChain};
use super::ledger::{Log, Transaction};

/// The first bytes of a call of `authorizationState(address,bytes32)`.
const AUTHORIZATION_STATE: [u8; 4] = [0xe9, 0x4a, 0x01, 0x02];
/// How many blocks `eth_getLogs` searches at most. Public nodes have such limits.
const LOG_BLOCKS_MAX: u64 = 10_000;

/// An error: its code and its message.
type Error = (i32, &'static str);

const INVALID: Error = (-32602, "invalid params");

/// Answers a request.
pub fn answer(chain: &StubChain, request: &Value) -> Value {
    let params = &request["params"];
    let result = chain.read(|state| match request["method"].as_str() {
        Some("eth_chainId") => Ok(quantity(chain.chain_id)),
        Some("eth_blockNumber") => Ok(quantity(state.head())),
        Some("eth_getBlockByNumber") => block(state, &params[0]),
        Some("eth_call") => call(state, &params[0]),
        Some("eth_getCode") => Ok(code(state, &params[0])),
        Some("eth_getLogs") => logs(state, &params[0]),
        Some("eth_getTransactionReceipt") => receipt(state, &params[0]),
        _ => Err((-32601, "the method does not exist/is not available")),
    });
    let mut answer = json!({"jsonrpc": "2.0", "id": request["id"]});
    match result {
        Ok(result) => answer["result"] = result,
        Err((code, message)) => answer["error"] = json!({"code": code, "message": message}),
    }
    answer
}

/// The code of an account: none, or that it has delegated to a contract (EIP-7702).
fn code(state: &State, address: &Value) -> Value {
    let address = address.as_str().unwrap_or_default().to_lowercase();
    match state.has_delegated(&address) {
        true => format!("0xef0100{}", "ab".repeat(20)).into(),
        false => "0x".into(),
    }
}

fn quantity(number: u64) -> Value {
    format!("{number:#x}").into()
}

fn block_hash(number: u64) -> String {
    evm::prefixed(evm::keccak(&[b"stub block", &number.to_be_bytes()]))
}

/// The number of a block. No block is younger than the last one, even if it does not exist yet.
fn number(state: &State, tag: &Value) -> Result<u64, Error> {
    match tag.as_str() {
        None | Some("latest" | "pending" | "safe" | "finalized") => Ok(state.head()),
        Some("earliest") => Ok(0),
        Some(text) => {
            let digits = text.strip_prefix("0x").ok_or(INVALID)?;
            u64::from_str_radix(digits, 16).map_err(|_not_hex| INVALID)
        }
    }
}

fn block(state: &State, tag: &Value) -> Result<Value, Error> {
    let number = number(state, tag)?;
    let Some(time) = state.time_of(number) else { return Ok(Value::Null) };
    let transactions: Vec<_> =
        state.mined().iter().filter(|mined| mined.block == number).map(|mined| mined.sent.hash.as_str()).collect();
    Ok(json!({
        "number": quantity(number),
        "hash": block_hash(number),
        "parentHash": block_hash(number - 1),
        "timestamp": quantity(time),
        "gasLimit": "0x1c9c380",
        "gasUsed": "0x0",
        "baseFeePerGas": "0x1",
        "transactions": transactions,
        "uncles": [],
    }))
}

fn call(state: &State, call: &Value) -> Result<Value, Error> {
    let data = call["data"].as_str().or_else(|| call["input"].as_str());
    let (Some(contract), Some(data)) = (call["to"].as_str().and_then(evm::bytes), data) else { return Err(INVALID) };
    if !state.ledger.is_token(&contract) {
        return Ok("0x".into());
    }
    let data: [u8; 68] = evm::bytes(data).ok_or((3, "execution reverted"))?;
    let (selector, arguments) = data.split_at(4);
    let (payer, nonce) = arguments.split_at(32);
    if selector != AUTHORIZATION_STATE || payer[..12] != [0; 12] {
        return Err((3, "execution reverted"));
    }
    let is_used = state.ledger.is_used(&contract, &payer[12..].try_into().unwrap(), &nonce.try_into().unwrap());
    Ok(evm::prefixed(evm::word(&[is_used.into()])).into())
}

/// The values that a filter accepts in a place: a value, a list, or all values.
fn accepted<const N: usize>(filter: &Value) -> Result<Option<Vec<[u8; N]>>, Error> {
    let read = |value: &Value| value.as_str().and_then(evm::bytes).ok_or(INVALID);
    if filter.is_null() {
        return Ok(None);
    }
    let values = filter.as_array().map_or(std::slice::from_ref(filter), Vec::as_slice);
    values.iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn logs(state: &State, filter: &Value) -> Result<Value, Error> {
    if !filter["blockHash"].is_null() {
        return Err((-32602, "the stub finds logs by block numbers only"));
    }
    let (from, to) = (number(state, &filter["fromBlock"])?, number(state, &filter["toBlock"])?);
    if from > to {
        return Err((-32602, "invalid block range params"));
    }
    if to - from >= LOG_BLOCKS_MAX {
        return Err((-32005, "query exceeds max block range 10000"));
    }
    let addresses: Option<Vec<Address>> = accepted(&filter["address"])?;
    let topics = filter["topics"].as_array().map_or(&[][..], Vec::as_slice);
    let topics: Vec<Option<Vec<Word>>> = topics.iter().map(accepted).collect::<Result<_, _>>()?;
    let is_found = |log: &Log| {
        let has = |(place, topic): (usize, &Option<Vec<Word>>)| {
            let theirs = log.topics.get(place);
            theirs.is_some_and(|theirs| topic.as_ref().is_none_or(|accepted| accepted.contains(theirs)))
        };
        addresses.as_ref().is_none_or(|addresses| addresses.contains(&log.address))
            && topics.iter().enumerate().all(has)
    };
    let mined = state.mined().iter().filter(|mined| (from..=to).contains(&mined.block));
    Ok(mined.flat_map(|mined| numbered(state, mined)).filter(|(log, _)| is_found(log)).map(|(_, json)| json).collect())
}

/// The logs of a transaction, each with its JSON.
fn numbered<'a>(state: &State, mined: &'a Mined) -> Vec<(&'a Log, Value)> {
    let before = state.mined().iter().filter(|other| other.block == mined.block && other.place < mined.place);
    let before: usize = before.map(|other| other.result.as_ref().map_or(0, Vec::len)).sum();
    let logs = mined.result.as_deref().unwrap_or_default().iter();
    let json = |(place, log): (u64, &'a Log)| {
        let json = json!({
            "address": evm::prefixed(log.address),
            "topics": log.topics.iter().map(evm::prefixed).collect::<Vec<_>>(),
            "data": evm::prefixed(&log.data),
            "blockNumber": quantity(mined.block),
            "blockHash": block_hash(mined.block),
            "transactionHash": mined.sent.hash,
            "transactionIndex": quantity(mined.place),
            "logIndex": quantity(place),
            "removed": false,
        });
        (log, json)
    };
    (u64::try_from(before).unwrap()..).zip(logs).map(json).collect()
}

fn receipt(state: &State, hash: &Value) -> Result<Value, Error> {
    let Some(mined) = state.transaction(hash.as_str().ok_or(INVALID)?) else { return Ok(Value::Null) };
    let asset = match &mined.sent.transaction {
        Transaction::Transfer { asset, .. } | Transaction::Cancel { asset, .. } => evm::prefixed(asset),
        Transaction::Stacks(_) => return Ok(Value::Null),
    };
    let logs: Vec<_> = numbered(state, mined).into_iter().map(|(_, json)| json).collect();
    Ok(json!({
        "transactionHash": mined.sent.hash,
        "transactionIndex": quantity(mined.place),
        "blockNumber": quantity(mined.block),
        "blockHash": block_hash(mined.block),
        "from": mined.sent.sender,
        "to": asset,
        "contractAddress": null,
        "status": if mined.result.is_ok() { "0x1" } else { "0x0" },
        "type": "0x2",
        "gasUsed": "0x14f46",
        "cumulativeGasUsed": "0x14f46",
        "effectiveGasPrice": "0x1",
        "logsBloom": evm::prefixed([0; 256]),
        "logs": logs,
    }))
}
