//! What the stub facilitator answers to `POST /settle` and `POST /verify`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::super::evm::{self, Authorization, Domain};
use super::super::stacks::{self, Network, Transfer};
use super::chain::{Mining, StubChain};
use super::fault::Fault;
use super::ledger::{Revert, Transaction};

/// How long an authorization must still be valid, in seconds.
const VALID_SECONDS_MIN: u128 = 6;

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// A payment after the checks that need no chain.
struct Payment {
    network: String,
    payer: String,
    transaction: Transaction,
    /// Hash of a transaction on Stacks, which the payer made.
    hash: Option<String>,
    /// Code of what is wrong with a transaction on Stacks. Its facilitators look only after they have sent it.
    late_code: Option<&'static str>,
}

/// Why a payment is not settled.
enum Refused {
    /// The request can't be read, or the network is not served.
    Error(String),
    Code {
        status: u16,
        code: &'static str,
        payer: String,
    },
}

impl Refused {
    fn code(code: &'static str, payer: &str) -> Self {
        Self::Code { status: 200, code, payer: payer.to_owned() }
    }
}

/// A payment whose transaction is sent.
#[derive(Clone)]
struct Settlement {
    hash: String,
    network: String,
    payer: String,
    /// Status and code if the transaction does nothing.
    failed: (u16, &'static str),
    late_code: Option<&'static str>,
}

impl Settlement {
    fn answer(&self, outcome: Result<(), (u16, &str)>) -> Answer {
        let Self { hash, network, payer, .. } = self;
        match outcome {
            Ok(()) => {
                let body = json!({"success": true, "transaction": hash, "network": network, "payer": payer});
                Answer { status: 200, body }
            }
            Err((status, code)) => Answer { status, body: failure(code, hash, network, payer) },
        }
    }
}

/// What verifies and settles the payments of a facilitator.
pub struct Settler {
    pub chain: Arc<StubChain>,
    /// Address that pays the fees of its transactions.
    pub signer: String,
    /// Payments that it called pending, by their payloads. It answers the next settlement of such a payload by the
    /// transaction that it sent before, as the reference facilitator does.
    pending: Mutex<HashMap<String, Settlement>>,
}

impl Settler {
    pub fn new(chain: Arc<StubChain>, signer: String) -> Self {
        Self { chain, signer, pending: Mutex::default() }
    }

    /// Forgets which payments were pending, as the reference facilitator does when it is restarted.
    pub fn forget(&self) {
        self.pending.lock().unwrap().clear();
    }

    /// Checks a payment and its transaction, and sends nothing.
    pub fn verify(&self, request: &Value) -> Answer {
        let verified = check(&self.chain, request).and_then(|payment| {
            let code = match (self.chain.check(&payment.transaction), &payment.transaction) {
                (Ok(()), _) => return Ok(payment.payer),
                (Err(revert @ Revert::NoContract), transaction)
                | (Err(revert), transaction @ Transaction::Stacks(_)) => revert_code(revert, transaction).1,
                (Err(_revert), _) => "invalid_exact_evm_transaction_simulation_failed",
            };
            Err(Refused::code(code, &payment.payer))
        });
        match verified {
            Ok(payer) => Answer { status: 200, body: json!({"isValid": true, "payer": payer}) },
            Err(Refused::Error(error)) => Answer { status: 500, body: json!({"error": error}) },
            Err(Refused::Code { code, payer, .. }) => {
                Answer { status: 200, body: json!({"isValid": false, "invalidReason": code, "payer": payer}) }
            }
        }
    }

    /// Settles a payment and waits for its block, unless a fault says otherwise.
    pub async fn settle(&self, request: &Value, fault: Option<&Fault>) -> Answer {
        let payload = request["paymentPayload"]["payload"].to_string();
        let known = self.pending.lock().unwrap().remove(&payload);
        let sent = match known.map_or_else(|| self.send(request, fault), Ok) {
            Ok(sent) => sent,
            Err(Refused::Error(error)) => return Answer { status: 500, body: json!({"error": error}) },
            Err(Refused::Code { status, code, payer }) => {
                let network = request["paymentRequirements"]["network"].as_str().unwrap_or_default();
                return Answer { status, body: failure(code, "", network, &payer) };
            }
        };
        match fault {
            Some(Fault::Pending(delay)) => {
                if let Some(delay) = delay {
                    self.chain.mine_after(sent.hash.clone(), *delay);
                }
                let answer = sent.answer(Err((500, "settlement_pending")));
                self.pending.lock().unwrap().insert(payload, sent);
                answer
            }
            Some(Fault::SuccessBeforeBlock) => sent.answer(Ok(())),
            _ => {
                let executed = self.chain.executed(&sent.hash).await;
                let late = sent.late_code.map_or(Ok(()), |code| Err((200, code)));
                sent.answer(executed.map_err(|_revert| sent.failed).and(late))
            }
        }
    }

    fn send(&self, request: &Value, fault: Option<&Fault>) -> Result<Settlement, Refused> {
        let Payment { network, payer, transaction, hash, late_code } = check(&self.chain, request)?;
        let is_call = matches!(&transaction, Transaction::Stacks(transfer) if transfer.token.is_some());
        match self.chain.check(&transaction) {
            Ok(()) => {}
            // A node takes a call of a contract, and sees only in the block that it fails.
            Err(Revert::Funds) if is_call => {}
            Err(revert) => {
                let (status, code) = revert_code(revert, &transaction);
                return Err(Refused::Code { status, code, payer });
            }
        }
        let is_held = matches!(fault, Some(Fault::Pending(_) | Fault::SuccessBeforeBlock));
        let mining = if is_held { Mining::Held } else { Mining::Automatic };
        let failed = if matches!(transaction, Transaction::Stacks(_)) {
            (500, "invalid_transaction_state")
        } else {
            (200, "invalid_exact_evm_transaction_failed")
        };
        let hash = match hash {
            Some(hash) => self.chain.send_as(hash, transaction, &self.signer, mining),
            None => self.chain.send(transaction, &self.signer, mining),
        };
        Ok(Settlement { hash, network, payer, failed, late_code })
    }
}

fn failure(code: &str, transaction: &str, network: &str, payer: &str) -> Value {
    json!({
        "success": false,
        "errorReason": code,
        "errorMessage": format!("internals of the stub facilitator: {code}"),
        "transaction": transaction,
        "network": network,
        "payer": payer,
    })
}

/// What the reference facilitator calls a transaction that would do nothing.
fn revert_code(revert: Revert, transaction: &Transaction) -> (u16, &'static str) {
    match (revert, transaction) {
        (Revert::Funds, Transaction::Stacks(_)) => (200, "insufficient_funds"),
        (_, Transaction::Stacks(_)) => (500, "broadcast_failed"),
        (Revert::NoContract, _) => (200, "asset_not_deployed_contract"),
        (Revert::Early, _) => (200, "invalid_exact_evm_payload_authorization_valid_after"),
        (Revert::Expired, _) => (200, "invalid_exact_evm_payload_authorization_valid_before"),
        (Revert::NonceUsed, _) => (200, "invalid_exact_evm_nonce_already_used"),
        (Revert::Signature, _) => (200, "invalid_exact_evm_signature"),
        (Revert::Funds, _) => (200, "invalid_exact_evm_insufficient_balance"),
    }
}

fn check(chain: &StubChain, request: &Value) -> Result<Payment, Refused> {
    let (payment, requirements) = (&request["paymentPayload"], &request["paymentRequirements"]);
    let network = requirements["network"].as_str().unwrap_or_default();
    let is_known = [&request["x402Version"], &payment["x402Version"]].into_iter().all(|version| version == 2)
        && requirements["scheme"] == "exact"
        && payment["accepted"]["network"] == network;
    match Network::read(network) {
        Some(stacks) if is_known => check_stacks(stacks, network, &payment["payload"], requirements),
        None if is_known && network == chain.network() => check_evm(chain, &payment["payload"], requirements),
        _ => Err(Refused::Error(format!("No facilitator registered for scheme: exact and network: {network}"))),
    }
}

/// The checks of the reference facilitator, in its order.
fn check_evm(chain: &StubChain, payload: &Value, requirements: &Value) -> Result<Payment, Refused> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let read = || {
        Some((
            Authorization::read(&payload["authorization"])?,
            evm::bytes(payload["signature"].as_str()?)?,
            evm::bytes(requirements["asset"].as_str()?)?,
            evm::bytes(requirements["payTo"].as_str()?)?,
            requirements["amount"].as_str()?.parse::<u128>().ok()?,
        ))
    };
    let (authorization, signature, asset, pay_to, amount) =
        read().ok_or_else(|| Refused::Error("the payment can't be read".to_owned()))?;
    let payer = evm::checksummed(&authorization.from);
    let refused = |code| Err(Refused::code(code, &payer));
    let extra = &requirements["extra"];
    let (Some(name), Some(version)) = (text(&extra["name"]), text(&extra["version"])) else {
        return refused("invalid_exact_evm_missing_eip712_domain");
    };
    let domain = Domain { name, version, chain_id: chain.chain_id, contract: asset };
    if evm::signer(&authorization.hash(&domain), &signature) != Some(authorization.from) {
        return refused("invalid_exact_evm_signature");
    }
    if authorization.to != pay_to {
        return refused("invalid_exact_evm_recipient_mismatch");
    }
    let now = u128::from(chain.now());
    if authorization.valid_before < now + VALID_SECONDS_MIN {
        return refused("invalid_exact_evm_payload_authorization_valid_before");
    }
    if authorization.valid_after > now {
        return refused("invalid_exact_evm_payload_authorization_valid_after");
    }
    if authorization.value != amount {
        return refused("invalid_exact_evm_payload_authorization_value_mismatch");
    }
    let transaction = Transaction::Transfer { asset, authorization, signature };
    Ok(Payment { network: chain.network(), payer, transaction, hash: None, late_code: None })
}

/// The checks of facilitators for Stacks. They do not compare the asset, and accept more than the amount.
fn check_stacks(network: Network, id: &str, payload: &Value, requirements: &Value) -> Result<Payment, Refused> {
    let bytes = payload["transaction"].as_str().and_then(|text| hex::decode(text).ok());
    let transfer = bytes.as_ref().and_then(|bytes| Transfer::decode(bytes));
    let (Some(bytes), Some(transfer)) = (bytes, transfer.filter(|transfer| transfer.network == network)) else {
        return Err(Refused::Code { status: 500, code: "broadcast_failed", payer: String::new() });
    };
    let asked: Option<u128> = requirements["amount"].as_str().and_then(|amount| amount.parse().ok());
    let asked = asked.ok_or_else(|| Refused::Error("the amount can't be read".to_owned()))?;
    let late_code = if requirements["payTo"] != stacks::address(&transfer.recipient) {
        Some("recipient_mismatch")
    } else if transfer.amount < asked {
        Some("amount_insufficient")
    } else {
        None
    };
    let payer = stacks::address(&network.account(transfer.origin));
    let hash = Some(stacks::id(&bytes));
    Ok(Payment { network: id.to_owned(), payer, transaction: Transaction::Stacks(transfer), hash, late_code })
}
