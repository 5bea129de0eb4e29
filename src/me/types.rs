//! Results of the account.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Scope;
use crate::payer::Payer;
use crate::time::Time;

/// Usage of the payer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Number of counters; 100,000 means 100,000 or more.
    #[schema(example = 3)]
    pub counters: i64,
    /// Number of links; 100,000 means 100,000 or more.
    #[schema(example = 1)]
    pub links: i64,
    /// Number of locks that are held or were held within about the last hour; 100,000 means 100,000 or more.
    #[schema(example = 1)]
    pub locks: i64,
    /// Number of jobs, including finished jobs that are still stored; 100,000 means 100,000 or more.
    #[schema(example = 12)]
    pub jobs: i64,
    /// Number of memories, including expired ones that are not deleted yet.
    #[schema(example = 40)]
    pub memories: i64,
}

/// Limits for every payer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Size limit of a request body, in bytes. Some routes have a higher limit, stated in the OpenAPI document.
    #[schema(example = 1048576)]
    pub body_bytes_max: usize,
    /// Size limit of a name in UTF-8, in bytes.
    #[schema(example = 256)]
    pub name_bytes_max: usize,
    /// Time limit of a call, in milliseconds, not counting `waitMs` and the embedding of its texts. A call that takes
    /// longer fails with 503.
    #[schema(example = 5000)]
    pub call_ms_max: u128,
    /// Time limit for embedding the texts of a call, in milliseconds. A call whose texts take longer fails with
    /// `overloaded`.
    #[schema(example = 60000)]
    pub embedding_ms_max: u128,
}

/// The account of the caller.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// Payer of the token: its wallet address.
    pub payer: Payer,
    /// Scopes of the token: `<primitive>:read`, `<primitive>:write`, or `*` for everything.
    #[schema(value_type = Vec<String>, example = json!(["counters:read", "counters:write"]))]
    pub scopes: Vec<Scope>,
    /// Public id of the token, for listing and revoking it.
    #[schema(example = "0ahzrSBBqC2lZ0Nk")]
    pub token_id: String,
    /// Name that the operator gave to the token; `null` if the token has no name.
    #[schema(required, example = "web shop")]
    pub token_name: Option<String>,
    /// Time at which the token expires.
    pub token_expires_at: Time,
    /// Usage of the payer.
    pub usage: Usage,
    /// Limits for every payer.
    pub limits: Limits,
}
