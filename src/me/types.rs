//! Results of the account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::{AllowanceLeft, Scope, TokenId, TokenLimits};
use crate::payer::Payer;
use crate::quotas::{Primitive, Quotas};
use crate::time::Time;

/// What the database knows of the account of the caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Usage of the payer.
    #[serde(flatten)]
    pub usage: Usage,
    /// What was measured. A primitive that was never measured is absent.
    pub measured: BTreeMap<Primitive, Measured>,
    /// Remaining allowance of the token.
    #[serde(default)]
    pub allowance: Option<AllowanceLeft>,
}

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

/// A measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Number of rows.
    pub rows: i64,
    /// Number of bytes.
    pub bytes: i64,
    /// Time of the measurement.
    pub measured_at: Time,
    /// Whether a quota is used up.
    pub is_full: bool,
}

/// How much the payer has of a primitive, and how much it may have.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Number of rows, as measured; `null` if they were not measured yet.
    #[schema(required, example = 12)]
    pub rows: Option<i64>,
    /// Size of the rows in the database, in bytes, as measured: that of their texts, JSON and vectors, and {{row_bytes}} for
    /// each row; `null` if they were not measured yet.
    #[schema(required, example = 3400)]
    pub bytes: Option<i64>,
    /// Maximum number of rows; `null`: no maximum.
    #[schema(required, example = 10000000)]
    pub rows_max: Option<i64>,
    /// Maximum number of bytes; `null`: no maximum.
    #[schema(required, example = 10737418240i64)]
    pub bytes_max: Option<i64>,
    /// Time of the measurement; `null` if there was none. After few writes, up to an hour passes until the
    /// first one, and up to a day until the next one.
    #[schema(required)]
    pub measured_at: Option<Time>,
    /// Whether calls that add rows are refused with `quota-exceeded`.
    #[schema(example = false)]
    pub is_full: bool,
}

impl Quota {
    /// The quota of a primitive, and its measurement if there was one.
    pub(super) fn new(quotas: Quotas, measured: Option<&Measured>) -> Self {
        Self {
            rows: measured.map(|measured| measured.rows),
            bytes: measured.map(|measured| measured.bytes),
            rows_max: quotas.rows,
            bytes_max: quotas.bytes,
            measured_at: measured.map(|measured| measured.measured_at),
            is_full: measured.is_some_and(|measured| measured.is_full),
        }
    }
}

/// The quotas of the payer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PayerQuotas)]
pub struct QuotasOfPayer {
    /// Counters.
    pub counters: Quota,
    /// Links, without their clicks.
    pub links: Quota,
    /// Single clicks of links, and their totals: one for each day, and for each referrer, country and browser of a day. If
    /// the payer has as many as it may have, clicks are counted only in `clicks` and `botClicks` of their links.
    pub clicks: Quota,
    /// Locks that are held or were held within about the last hour.
    pub locks: Quota,
    /// Jobs, including finished jobs that are still stored.
    pub jobs: Quota,
    /// Memories, including expired ones that are not deleted yet.
    pub memories: Quota,
}

/// The rate limit of the payer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateUsage {
    /// Requests that a payer may send at once.
    #[schema(example = 600000)]
    pub limit: u32,
    /// Time in which they come back, one by one, in milliseconds.
    #[schema(example = 60000)]
    pub window_ms: u128,
    /// Requests that are left.
    #[schema(example = 599999)]
    pub remaining: u32,
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
    pub token_id: TokenId,
    /// Name of the token; `null` if it has none.
    #[schema(required, example = "web shop")]
    pub token_name: Option<String>,
    /// Time at which the token expires.
    pub token_expires_at: Time,
    /// Limits of the token beside the scopes.
    pub token_limits: TokenLimits,
    /// Remaining allowance of the token; `null` if it has none.
    #[schema(required)]
    pub token_allowance: Option<AllowanceLeft>,
    /// Usage of the payer.
    pub usage: Usage,
    /// The quotas of the payer, each with what was measured.
    pub quotas: QuotasOfPayer,
    /// The rate limit of the payer, as in the headers `RateLimit` and `RateLimit-Policy`; `null` if there is no limit.
    #[schema(required)]
    pub rate: Option<RateUsage>,
    /// Limits for every payer.
    pub limits: Limits,
}

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A wallet signed in and got the token.
    SignedIn,
    /// The token was made, with another token or by the operator.
    TokenCreated,
    /// Another token was made in the place of the token.
    TokenRotated,
    /// The token was revoked, with those that were made with it.
    TokenRevoked,
    /// The grant was made. `tokenId` is the id of the grant.
    GrantCreated,
    /// The grant was revoked.
    GrantRevoked,
    /// The payment has arrived, and is credit.
    PaymentSettled,
    /// The payment moved no money.
    PaymentRejected,
    /// Calls with the token or grant were refused, or any calls of the payer, because it calls too often. A server counts
    /// calls that it refused with the same problem, and makes an entry of them: the first one at once, and further ones
    /// after {{refusals_noted}}.
    CallsRefused,
    /// The payer erases its data (`erasePayer`). Further calls with the same token within an hour make no entry of
    /// their own, unless another event came in between.
    DataErased,
}

impl Event {
    /// All events.
    pub const ALL: &[Self] = &[
        Self::SignedIn,
        Self::TokenCreated,
        Self::TokenRotated,
        Self::TokenRevoked,
        Self::GrantCreated,
        Self::GrantRevoked,
        Self::PaymentSettled,
        Self::PaymentRejected,
        Self::CallsRefused,
        Self::DataErased,
    ];
}

/// An entry of the log of the account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Id of the entry.
    #[schema(value_type = String, format = "uuid", example = "019ab1c2-6f3e-7d10-9c55-2f4d8e1b7a90")]
    pub id: Uuid,
    /// Time of the event.
    pub at: Time,
    /// What happened.
    pub event: Event,
    /// Id of the token that the event is about; `null` if it is about none.
    #[schema(required, example = "0ahzrSBBqC2lZ0Nk")]
    pub token_id: Option<TokenId>,
    /// Id of the payment that the event is about (`getPayment`); `null` if it is about none.
    #[schema(required, value_type = Option<String>, format = "uuid", example = json!(null))]
    pub payment_id: Option<Uuid>,
    /// Id of the token of the caller; `null` if it was a wallet, the operator or a server.
    #[schema(required, example = json!(null))]
    pub by_token_id: Option<TokenId>,
    /// Scopes of the token; `null` if the event does not concern them.
    #[schema(required, example = json!(["counters:read"]))]
    pub scopes: Option<Vec<String>>,
    /// Network of the wallet that signed in, or of the payment, by its CAIP-2 id; `null` for other events.
    #[schema(required, example = "eip155:8453")]
    pub network: Option<String>,
    /// Limits of the token; `null` if the event does not concern them.
    #[serde(flatten)]
    pub limits: TokenLimits,
    /// The payer who has the grant; `null` if the event is not about a grant.
    #[schema(required, value_type = Option<Payer>, example = json!(null))]
    pub grantee: Option<Payer>,
    /// Code of the problem of calls that were refused; `null` for other events.
    #[schema(required, example = json!(null))]
    pub code: Option<String>,
    /// Number of calls that were refused; `null` for other events.
    #[schema(required, example = json!(null))]
    pub calls: Option<i64>,
}
