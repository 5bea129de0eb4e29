//! Results of this slice.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Scope;
use crate::payer::Payer;
use crate::time::Time;

/// How much the payer has of everything.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Counters, counted up to 100,000.
    #[schema(example = 3)]
    pub counters: i64,
    /// Links, counted up to 100,000.
    #[schema(example = 1)]
    pub links: i64,
    /// Locks that are held, or were within the last hour or so, counted up to 100,000.
    #[schema(example = 1)]
    pub locks: i64,
    /// Jobs, finished ones that are still kept included, counted up to 100,000.
    #[schema(example = 12)]
    pub jobs: i64,
    /// Memories, ended ones that have not been swept yet included.
    #[schema(example = 40)]
    pub memories: i64,
}

/// The limits that hold for every payer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Bytes of a request's body; some routes take more, as the OpenAPI document says.
    #[schema(example = 1048576)]
    pub body_bytes_max: usize,
    /// Bytes of a name, in UTF-8.
    #[schema(example = 256)]
    pub name_bytes_max: usize,
    /// Milliseconds that a call may take before it is answered with 503, beside the time that its texts take to become
    /// vectors.
    #[schema(example = 5000)]
    pub call_ms_max: u128,
    /// Milliseconds that texts may take to become vectors before the call is answered with 503.
    #[schema(example = 60000)]
    pub embedding_ms_max: u128,
}

/// The caller.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// Who pays.
    pub payer: Payer,
    /// What the token may do: `<primitive>:read`, `<primitive>:write`, or `*` for everything.
    #[schema(value_type = Vec<String>, example = json!(["counters:read", "counters:write"]))]
    pub scopes: Vec<Scope>,
    /// The public half of the token: what it is listed and revoked by.
    #[schema(example = "0ahzrSBBqC2lZ0Nk")]
    pub token_id: String,
    /// What the operator called the token.
    #[schema(required, example = "web shop")]
    pub token_name: Option<String>,
    /// When the token ends.
    pub token_expires_at: Time,
    /// How much the payer has.
    pub usage: Usage,
    /// The limits.
    pub limits: Limits,
}
