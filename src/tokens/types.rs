//! Results of tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{AllowanceLeft, TokenId, TokenLimits};
use crate::name::Name;
use crate::time::Time;

/// A token, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
pub struct ListedToken {
    /// Public id of the token: the 16 characters after `pb_live_`.
    pub id: TokenId,
    /// Name of the token; `null` if it has none.
    #[schema(required, example = "web shop")]
    pub name: Option<Name>,
    /// Scopes of the token.
    #[schema(example = json!(["counters:read", "counters:write"]))]
    pub scopes: Vec<String>,
    /// Time at which the token was made.
    pub created_at: Time,
    /// Time at which the token expires.
    pub expires_at: Time,
    /// Time at which the token was revoked; `null` if it was not.
    #[schema(required, example = json!(null))]
    pub revoked_at: Option<Time>,
    /// Id of the token that made this one; `null` if a wallet signed in, or the operator made it.
    #[schema(required)]
    pub created_by: Option<TokenId>,
    /// Its limits beside the scopes.
    #[serde(flatten)]
    pub limits: TokenLimits,
    /// What is left of its allowance, which the tokens that it has made share; `null` if it has none.
    #[serde(default)]
    #[schema(required)]
    pub allowance: Option<AllowanceLeft>,
}

/// A new token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedToken {
    /// The token, without its secret.
    #[serde(flatten)]
    pub listed: ListedToken,
    /// The token with its secret, for `Authorization: Bearer <token>`. It cannot be shown again.
    #[serde(default)]
    #[schema(required, example = "pb_live_0ahzrSBBqC2lZ0Nk_…")]
    pub token: String,
}
