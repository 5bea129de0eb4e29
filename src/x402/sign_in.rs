//! The extension `sign-in-with-x`: a wallet signs in for one request.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::refusal::Malformed;
use super::strict::read;
use super::wire::json_of_header;
use crate::wallet::Network;

/// The extension with which a wallet signs in for a request.
pub const SIGN_IN_WITH_X: &str = "sign-in-with-x";

/// What a wallet signs, but for its address and network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignInInfo {
    /// Host and port of the server.
    pub domain: String,
    /// URL of the request.
    pub uri: String,
    /// `1`, the version of EIP-4361.
    pub version: &'static str,
    /// Identifies the sign-in.
    pub nonce: String,
    /// When the server made it.
    pub issued_at: String,
    /// Until then, it can be used.
    pub expiration_time: String,
    /// What the wallet signs for.
    pub statement: String,
}

/// SIGN-IN-WITH-X: who signed. Its other members repeat what the server has sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignInHeader {
    /// Address of the wallet.
    pub address: String,
    /// Id of its network (CAIP-2).
    pub chain_id: String,
    /// The nonce of the offer.
    pub nonce: String,
    /// Signature of the message.
    pub signature: String,
}

impl SignInInfo {
    /// The extension of an offer, for wallets of these networks.
    #[must_use]
    pub fn to_extension(&self, networks: &[Network]) -> Value {
        let chain = |network: &Network| {
            let kind = match network {
                Network::Evm { .. } => "eip191",
                Network::Stacks | Network::StacksTest => "stacks:secp256k1",
            };
            json!({"chainId": network.to_string(), "type": kind})
        };
        let text = || json!({"type": "string"});
        let time = || json!({"type": "string", "format": "date-time"});
        json!({
            "info": self,
            "supportedChains": networks.iter().map(chain).collect::<Vec<_>>(),
            "schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {
                    "domain": text(), "address": text(), "statement": text(),
                    "uri": {"type": "string", "format": "uri"},
                    "version": text(), "chainId": text(), "type": text(), "nonce": text(),
                    "issuedAt": time(), "expirationTime": time(), "signature": text(),
                },
                "required": [
                    "domain", "address", "uri", "version", "chainId", "type", "nonce", "issuedAt", "signature",
                ]
            }
        })
    }
}

impl SignInHeader {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn from_header(header: &str) -> Result<Self, Malformed> {
        read(&json_of_header(header)?)
    }
}
