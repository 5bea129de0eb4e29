//! Facilitators: services that settle payments on their network.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::payload::PaymentPayload;
use super::refusal::Malformed;
use super::strict::read;
use super::wire::{Requirements, SCHEME, SettlementResponse, VERSION};
use crate::wallet::Network;

/// Maximum length of the hash of a transaction. Those of EVM chains have 66 characters, those of Stacks 64.
const TRANSACTION_CHARS_MAX: usize = 128;

/// Body of `POST /settle` to a facilitator.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettleRequest<'a> {
    /// [`VERSION`]
    pub x402_version: u64,
    /// The payment.
    pub payment_payload: &'a PaymentPayload,
    /// The offer of this server, not what the payer says that it accepted.
    pub payment_requirements: Requirements,
}

/// Answer of a facilitator to `GET /supported`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Supported {
    /// The payments that it can settle.
    pub kinds: Vec<Kind>,
}

/// A kind of payments.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kind {
    /// The version of x402.
    pub x402_version: u64,
    /// Such as `exact`.
    pub scheme: String,
    /// Id of the network (CAIP-2).
    pub network: String,
}

impl Supported {
    /// Whether the facilitator settles exact payments on a network.
    #[must_use]
    pub fn has(&self, network: Network) -> bool {
        let network = network.to_string();
        let is_it = |kind: &Kind| kind.x402_version == VERSION && kind.scheme == SCHEME && kind.network == network;
        self.kinds.iter().any(is_it)
    }
}

/// Reads the body of an answer.
///
/// # Errors
/// The error of the reader as a text.
pub fn read_answer<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    read(str::from_utf8(body).map_err(|error| Malformed::new(error.to_string()))?)
}

/// What an answer to `POST /settle` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money has arrived.
    Settled {
        /// Hash of the transaction.
        transaction: String,
        /// The payer, as the facilitator writes the address.
        payer: Option<String>,
    },
    /// No money has moved. It is final if no earlier settlement of this payment ended as [`Self::Unknown`].
    Rejected(Reason),
    /// The transaction is sent, and not yet in a block.
    Pending {
        /// Hash of the transaction.
        transaction: String,
    },
    /// The money may have arrived, now or by an earlier settlement. Only the chain knows.
    Unknown,
    /// The facilitator does not serve this server. No money has moved.
    Refused {
        /// 401, 403 or 429.
        status: u16,
    },
}

/// Why a payment was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The payer has too little of the asset.
    InsufficientFunds,
    /// The payment is no longer valid, or not yet.
    Expired,
    /// The facilitator finds a fault that this server would have found: their configurations differ.
    FacilitatorMismatch,
    /// The chain would not execute the transaction.
    Invalid,
}

/// What an answer to `POST /settle` says, by its status and its body.
#[must_use]
pub fn outcome(status: u16, body: &[u8]) -> Outcome {
    match (read_answer(body), status) {
        (Ok(answer), _) => answered(status, answer),
        (Err(_), 401 | 403 | 429) => Outcome::Refused { status },
        (Err(_), _) => Outcome::Unknown,
    }
}

fn answered(status: u16, answer: SettlementResponse) -> Outcome {
    let SettlementResponse { success, error_reason, transaction, payer, .. } = answer;
    let code = error_reason.unwrap_or_default();
    let is_sent = is_hash(&transaction);
    match success {
        true if is_sent && (200..300).contains(&status) => Outcome::Settled { transaction, payer },
        true => Outcome::Unknown,
        false if code == "settlement_pending" && is_sent => Outcome::Pending { transaction },
        false => reason(&code).map_or(Outcome::Unknown, Outcome::Rejected),
    }
}

fn is_hash(text: &str) -> bool {
    (1..=TRANSACTION_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The meaning of a code after which no money has moved. Other codes say that it may have, or are not known.
fn reason(code: &str) -> Option<Reason> {
    Some(match code {
        "insufficient_funds" | "invalid_exact_evm_insufficient_balance" | "client_insufficient_funds" => {
            Reason::InsufficientFunds
        }
        "invalid_exact_evm_payload_authorization_valid_before"
        | "invalid_exact_evm_payload_authorization_valid_after"
        | "invalid_payment_expired"
        | "invalid_payment_early"
        | "client_bad_nonce" => Reason::Expired,
        "invalid_exact_evm_signature"
        | "invalid_exact_evm_payload_signature"
        | "invalid_signature"
        | "invalid_exact_evm_payload_authorization_value_mismatch"
        | "invalid_exact_evm_recipient_mismatch"
        | "invalid_exact_evm_payload_recipient_mismatch"
        | "recipient_mismatch"
        | "asset_mismatch"
        | "amount_insufficient"
        | "sender_mismatch"
        | "invalid_exact_evm_token_name_mismatch"
        | "invalid_exact_evm_token_version_mismatch"
        | "invalid_exact_evm_missing_eip712_domain"
        | "asset_not_deployed_contract"
        | "invalid_exact_evm_eip3009_not_supported" => Reason::FacilitatorMismatch,
        "invalid_exact_evm_transaction_simulation_failed" | "transaction_simulation" => Reason::Invalid,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0xabababababababababababababababababababababababababababababababab";

    fn failed(status: u16, code: &str, transaction: &str) -> Outcome {
        let body =
            format!(r#"{{"success":false,"errorReason":"{code}","transaction":"{transaction}","network":"eip155:1"}}"#);
        let spelled = body.replace("errorReason", "error_reason");
        assert_eq!(outcome(status, body.as_bytes()), outcome(status, spelled.as_bytes()));
        outcome(status, body.as_bytes())
    }

    #[test]
    fn a_code_says_what_happened() {
        let rejected = [
            (
                Reason::InsufficientFunds,
                "insufficient_funds invalid_exact_evm_insufficient_balance client_insufficient_funds",
            ),
            (
                Reason::Expired,
                "invalid_exact_evm_payload_authorization_valid_before invalid_exact_evm_payload_authorization_valid_after \
                 invalid_payment_expired invalid_payment_early client_bad_nonce",
            ),
            (
                Reason::FacilitatorMismatch,
                "invalid_exact_evm_signature invalid_exact_evm_payload_signature invalid_signature \
                 invalid_exact_evm_payload_authorization_value_mismatch invalid_exact_evm_recipient_mismatch \
                 invalid_exact_evm_payload_recipient_mismatch recipient_mismatch asset_mismatch amount_insufficient \
                 sender_mismatch invalid_exact_evm_token_name_mismatch invalid_exact_evm_token_version_mismatch \
                 invalid_exact_evm_missing_eip712_domain asset_not_deployed_contract \
                 invalid_exact_evm_eip3009_not_supported",
            ),
            (Reason::Invalid, "invalid_exact_evm_transaction_simulation_failed transaction_simulation"),
        ];
        for status in [200, 400, 402, 429, 500] {
            for (reason, codes) in rejected {
                for code in codes.split_whitespace() {
                    assert_eq!(failed(status, code, ""), Outcome::Rejected(reason), "{code}");
                }
            }
            let unknown = "invalid_exact_evm_nonce_already_used conflicting_nonce duplicate_payment \
                invalid_exact_evm_transaction_failed invalid_transaction_state unexpected_settle_error broadcast_failed \
                transaction_pending transaction_held smart_wallet_deployment_failed settle_failed INSUFFICIENT_FUNDS";
            for code in unknown.split_whitespace().chain([""]) {
                assert_eq!(failed(status, code, HASH), Outcome::Unknown, "{code}");
            }
            assert_eq!(failed(status, "settlement_pending", HASH), Outcome::Pending { transaction: HASH.to_owned() });
            assert_eq!(failed(status, "settlement_pending", ""), Outcome::Unknown);
        }
    }

    #[test]
    fn a_success_needs_its_status_and_its_transaction() {
        let body = format!(r#"{{"success":true,"transaction":"{HASH}","network":"eip155:84532","payer":"0xf39F"}}"#);
        let settled = Outcome::Settled { transaction: HASH.to_owned(), payer: Some("0xf39F".to_owned()) };
        assert_eq!(outcome(200, body.as_bytes()), settled);
        for status in [302, 400, 401, 429, 500, 503] {
            assert_eq!(outcome(status, body.as_bytes()), Outcome::Unknown, "{status}");
        }
        let wrong_hashes = ["", "0x\\u0000", "a b", &"a".repeat(TRANSACTION_CHARS_MAX + 1)];
        let wrong = wrong_hashes.into_iter().map(|hash| body.replace(HASH, hash)).chain([
            body.replace(&format!("\"{HASH}\""), "null"),
            body.replace("true", "\"true\""),
            body.replace("\"payer\"", "\"Success\""),
            body.replace('}', ""),
            format!("{body}{body}"),
        ]);
        for body in wrong {
            assert_eq!(outcome(200, body.as_bytes()), Outcome::Unknown, "{body}");
        }
    }

    #[test]
    fn without_a_settlement_the_status_decides() {
        for body in ["", "<html>", "{}", r#"{"error":"No facilitator registered"}"#, r#"{"errorType":"unauthorized"}"#]
        {
            for status in [401, 403, 429] {
                assert_eq!(outcome(status, body.as_bytes()), Outcome::Refused { status });
            }
            for status in [200, 204, 301, 400, 402, 404, 408, 500, 502, 503, 504] {
                assert_eq!(outcome(status, body.as_bytes()), Outcome::Unknown, "{status} {body}");
            }
        }
        assert_eq!(outcome(200, b"\xff"), Outcome::Unknown);
    }

    #[test]
    fn supported_networks_are_read() {
        let body = br#"{"kinds":[{"x402Version":1,"scheme":"exact","network":"eip155:8453"},
            {"x402Version":2,"scheme":"exact","network":"eip155:84532","extra":{"a":1}},
            {"x402Version":2,"scheme":"upto","network":"eip155:1"}],"extensions":[],"signers":{"eip155:*":["0x00"]}}"#;
        let supported: Supported = read_answer(body).unwrap();
        let has = [8_453, 84_532, 1].map(|chain_id| supported.has(Network::Evm { chain_id }));
        assert_eq!(has, [false, true, false]);
        assert!(read_answer::<Supported>(b"{}").is_err());
    }
}
