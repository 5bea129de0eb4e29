//! A wallet that pays as the official clients do, and that a test can let sign something else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k256::ecdsa::SigningKey;
use serde_json::{Map, Value, json};

use super::evm::{self, Authorization, Domain, Word};
use super::stacks::{self, Network, Transfer};

/// Extension in which a caller names a payment.
const PAYMENT_IDENTIFIER: &str = "payment-identifier";
/// Fee of transactions on Stacks, in atomic STX.
const STACKS_FEE: u64 = 200;
/// How many bytes of a nonce the memo of a transaction on Stacks contains.
const MEMO_NONCE_BYTES: usize = 18;

/// What a payment says. [`Terms::default`] says what the offer asks, now, with a new nonce.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Time of signing, in seconds since 1970. `None` is the time of the machine.
    pub now: Option<u64>,
    /// Nonce of an authorization. On Stacks, its first 18 bytes are in the memo.
    pub nonce: Option<Word>,
    /// Nonce of the account on Stacks.
    pub stacks_nonce: Option<u64>,
    /// Start of the validity of an authorization, in seconds since 1970.
    pub valid_after: Option<u128>,
    /// End of the validity of an authorization, in seconds since 1970.
    pub valid_before: Option<u128>,
    /// Amount in atomic units.
    pub value: Option<u128>,
    /// Address of the recipient.
    pub to: Option<String>,
    /// Address of another payer. The wallet signs with its own key.
    pub from: Option<String>,
    /// Signs an authorization with a high s, which token contracts refuse.
    pub has_high_s: bool,
    /// Name of the payment, for the extension `payment-identifier`.
    pub payment_id: Option<String>,
}

/// A wallet with one key, for EVM chains and Stacks.
pub struct PayingWallet {
    key: SigningKey,
    /// How many payments were made. Each has a new nonce.
    payments: AtomicU64,
}

impl PayingWallet {
    /// The wallet of a seed. The same seed makes the same key and the same nonces.
    pub fn from_seed(seed: u64) -> Self {
        Self::from_key(&evm::keccak(&[b"paying wallet", &seed.to_be_bytes()]))
    }

    /// The wallet of a private key.
    pub fn from_key(key: &Word) -> Self {
        Self { key: SigningKey::from_slice(key).unwrap(), payments: AtomicU64::new(0) }
    }

    /// Address on EVM chains (EIP-55).
    pub fn address(&self) -> String {
        evm::checksummed(&evm::address_of(self.key.verifying_key()))
    }

    /// Address on Stacks.
    pub fn stacks_address(&self, network: Network) -> String {
        stacks::address(&network.account(stacks::key_hash(self.key.verifying_key())))
    }

    /// Signs a text (EIP-191).
    pub fn personal_sign(&self, text: &str) -> String {
        evm::prefixed(evm::sign(&self.key, &evm::text_hash(text)))
    }

    /// Signs a transaction of Stacks that a test has changed, as the origin of it. Returns its hex digits.
    pub fn sign_transaction(&self, mut transaction: Vec<u8>) -> String {
        stacks::sign(&mut transaction, &self.key);
        hex::encode(transaction)
    }

    /// PAYMENT-SIGNATURE for an entry of `accepts` in a PaymentRequired.
    pub fn pay(&self, required: &Value, accepted: &Value, terms: &Terms) -> String {
        to_header(&self.payment(required, accepted, terms))
    }

    /// PaymentPayload for an entry of `accepts` in a PaymentRequired. The order of its members is the official client's
    /// of the network.
    pub fn payment(&self, required: &Value, accepted: &Value, terms: &Terms) -> Value {
        let mut terms = terms.clone();
        let count = self.payments.fetch_add(1, Ordering::Relaxed);
        let new = || evm::keccak(&[b"nonce", &self.key.to_bytes(), &count.to_be_bytes()]);
        let nonce = *terms.nonce.get_or_insert_with(new);
        terms.stacks_nonce.get_or_insert(count);
        let mut extensions = required["extensions"].as_object().cloned().unwrap_or_default();
        if let Some(id) = &terms.payment_id {
            name(&mut extensions, id);
        }
        let mut payment = json!({"x402Version": 2});
        let resource = required["resource"].clone();
        if let Some(network) = accepted["network"].as_str().and_then(Network::read) {
            let transaction = self.transfer(network, accepted, &terms, &nonce).signed(&self.key);
            payment["resource"] = resource;
            payment["accepted"] = accepted.clone();
            payment["payload"] = json!({"transaction": hex::encode(transaction)});
            // The client of Stacks returns no extensions. A test that names a payment needs them.
            if terms.payment_id.is_some() {
                payment["extensions"] = extensions.into();
            }
        } else {
            payment["payload"] = self.authorized(accepted, &terms, nonce);
            if !extensions.is_empty() {
                payment["extensions"] = extensions.into();
            }
            payment["resource"] = resource;
            payment["accepted"] = accepted.clone();
        }
        payment
    }

    fn authorized(&self, accepted: &Value, terms: &Terms, nonce: Word) -> Value {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let address = |text: &str| evm::bytes(text).expect("an address");
        let timeout = accepted["maxTimeoutSeconds"].as_u64().unwrap();
        let authorization = Authorization {
            from: address(&terms.from.clone().unwrap_or_else(|| self.address())),
            to: address(&terms.to.clone().unwrap_or_else(|| text(&accepted["payTo"]))),
            value: terms.value.unwrap_or_else(|| text(&accepted["amount"]).parse().unwrap()),
            valid_after: terms.valid_after.unwrap_or(0),
            valid_before: terms
                .valid_before
                .unwrap_or_else(|| u128::from(terms.now.unwrap_or_else(machine_time)) + u128::from(timeout)),
            nonce,
        };
        let domain = Domain {
            name: text(&accepted["extra"]["name"]),
            version: text(&accepted["extra"]["version"]),
            chain_id: text(&accepted["network"]).strip_prefix("eip155:").unwrap().parse().unwrap(),
            contract: address(&text(&accepted["asset"])),
        };
        let mut signature = evm::sign(&self.key, &authorization.hash(&domain));
        if terms.has_high_s {
            signature = evm::high_s_twin(&signature);
        }
        let Authorization { from, to, value, valid_after, valid_before, nonce } = authorization;
        json!({
            "authorization": {
                "from": evm::checksummed(&from),
                "to": evm::checksummed(&to),
                "value": value.to_string(),
                "validAfter": valid_after.to_string(),
                "validBefore": valid_before.to_string(),
                "nonce": evm::prefixed(nonce),
            },
            "signature": evm::prefixed(signature),
        })
    }

    fn transfer(&self, network: Network, accepted: &Value, terms: &Terms, nonce: &Word) -> Transfer {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let account = |address: &str| stacks::account(address).expect("an address");
        let from = terms.from.clone().unwrap_or_else(|| self.stacks_address(network));
        let token = text(&accepted["asset"]);
        let token = token.split_once('.').map(|(address, name)| (account(address), name.to_owned()));
        Transfer {
            network,
            origin: account(&from)[1..].try_into().unwrap(),
            nonce: terms.stacks_nonce.unwrap(),
            fee: STACKS_FEE,
            token,
            amount: terms.value.unwrap_or_else(|| text(&accepted["amount"]).parse().unwrap()),
            recipient: account(&terms.to.clone().unwrap_or_else(|| text(&accepted["payTo"]))),
            memo: format!("x402:{}", BASE64_STANDARD.encode(&nonce[..MEMO_NONCE_BYTES])).into_bytes(),
        }
    }
}

/// The header of a JSON value.
pub fn to_header(json: &Value) -> String {
    BASE64_STANDARD.encode(json.to_string())
}

/// The JSON value of a header.
pub fn from_header(header: &str) -> Value {
    serde_json::from_slice(&BASE64_STANDARD.decode(header).unwrap()).unwrap()
}

/// Writes the name of a payment into its extension.
fn name(extensions: &mut Map<String, Value>, id: &str) {
    let extension = extensions.entry(PAYMENT_IDENTIFIER).or_insert_with(|| json!({"info": {}}));
    extension["info"]["id"] = id.into();
}

/// The time of the machine, in seconds since 1970.
pub fn machine_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
