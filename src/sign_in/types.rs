//! Requests and answers of signing in.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::{Scope, TokenId, TokenMs, scopes};
use crate::call::{Operation, Spec};
use crate::payer::Payer;
use crate::time::Time;
use crate::wallet::Network;

/// One day.
const TOKEN_MS_DEFAULT: i64 = 86_400_000;

/// The wallet that wants to sign in, and the token that it wants.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct CreateChallenge {
    /// Address of the wallet. Only a signature by the key of the address counts: contract wallets (ERC-1271) and addresses of
    /// several keys cannot sign in.
    pub address: Payer,
    /// Network of the wallet, by its CAIP-2 id. The server must serve it.
    #[schema(value_type = String, example = "eip155:8453")]
    pub chain: Network,
    /// Scopes of the token. Default: `*`, all rights.
    #[serde(default, deserialize_with = "scopes")]
    #[schema(value_type = Option<Vec<Scope>>, min_items = 1, example = json!(["counters:read", "counters:write"]))]
    pub scopes: Option<Vec<Scope>>,
    /// Lifetime of the token, in milliseconds, 60,000 to 31,622,400,000 (366 days). Fractions of a second are cut off. Default:
    /// 86,400,000 (one day).
    #[serde(default = "TokenMs::of::<TOKEN_MS_DEFAULT>", deserialize_with = "TokenMs::or::<TOKEN_MS_DEFAULT, _>")]
    #[schema(value_type = Option<i64>, minimum = 60000, maximum = 31622400000_i64, example = 3600000)]
    pub lifetime_ms: TokenMs,
}

/// The message that the wallet signs.
#[derive(Clone, Debug, serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// The message to sign as it is: with `personal_sign` (EIP-191), or as a message of Stacks. Its layout is that of EIP-4361.
    pub message: String,
    /// Nonce of the message, for `verifyChallenge`.
    #[schema(example = "6f0c…")]
    pub nonce: String,
    /// Time at which the challenge expires, five minutes after it was made.
    pub expires_at: Time,
}

/// A signed challenge.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct VerifyChallenge {
    /// Nonce of the challenge.
    #[schema(example = "6f0c…")]
    pub nonce: String,
    /// Signature of the message. EVM: `0x` and 130 hexadecimal digits (r, s, v), v being 27 or 28. Stacks: 130 hexadecimal digits (r, s,
    /// recovery id).
    pub signature: String,
}

/// The token of a wallet that signed in.
#[derive(Clone, Debug, serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// The token, for `Authorization: Bearer <token>`. It cannot be shown again.
    #[schema(example = "pb_live_0ahzrSBBqC2lZ0Nk_…")]
    pub token: String,
    /// Public id of the token, for listing and revoking it.
    #[schema(example = "0ahzrSBBqC2lZ0Nk")]
    pub token_id: TokenId,
    /// Payer of the token: the wallet.
    pub payer: Payer,
    /// Scopes of the token.
    #[schema(value_type = Vec<String>, example = json!(["*"]))]
    pub scopes: Vec<Scope>,
    /// Time at which the token expires.
    pub expires_at: Time,
}

/// A body of more bytes is refused: its sender has no token.
const BODY_BYTES_MAX: usize = 4 << 10;

impl Operation for CreateChallenge {
    const SPEC: Spec = Spec::read("createChallenge").body_bytes_max(BODY_BYTES_MAX);
}

impl Operation for VerifyChallenge {
    const SPEC: Spec = Spec::read("verifyChallenge").body_bytes_max(BODY_BYTES_MAX);
}
