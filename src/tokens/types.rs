//! Results of tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{AllowanceLeft, TokenId, TokenLimits};
use crate::name::Name;
use crate::payer::Payer;
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
    /// Remaining allowance, which the tokens that it made share; `null` if it has none.
    #[serde(default)]
    #[schema(required)]
    pub allowance: Option<AllowanceLeft>,
}

/// Who pays for the calls of a grantee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pays {
    /// The payer who has given the grant, from its credit.
    Payer,
    /// The grantee, from its credit or with a payment.
    #[default]
    Grantee,
}

/// Rights that a payer has given to another one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Id of the grant.
    pub id: TokenId,
    /// The payer who has the rights.
    pub grantee: Payer,
    /// Who pays for the calls of the grantee.
    pub pays: Pays,
    /// Name of the grant; `null` if it has none.
    #[schema(required, example = "mail agent")]
    pub name: Option<Name>,
    /// Scopes of the grant.
    #[schema(example = json!(["queues:write"]))]
    pub scopes: Vec<String>,
    /// Time at which the grant was made.
    pub created_at: Time,
    /// Time at which the grant expires.
    pub expires_at: Time,
    /// Time at which the grant was revoked; `null` if it was not.
    #[schema(required, example = json!(null))]
    pub revoked_at: Option<Time>,
    /// Id of the token that made it.
    pub created_by: TokenId,
    /// Its limits beside the scopes.
    #[serde(flatten)]
    pub limits: TokenLimits,
    /// Remaining allowance; `null` if it has none.
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
