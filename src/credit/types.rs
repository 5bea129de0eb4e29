//! Results of credit.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::payer::Payer;
use crate::payments::{Reason, State};
use crate::time::Time;

/// The credit of the payer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Credit {
    /// The credit in each asset that the payer has paid in. A call is paid in the first asset of the server of which there is
    /// enough.
    pub items: Vec<CreditInAsset>,
}

/// Credit in one asset.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreditInAsset {
    /// Network of the asset, by its CAIP-2 id.
    #[schema(example = "eip155:8453")]
    pub network: String,
    /// Id of the asset: the address of a token, or `STX`.
    #[schema(example = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")]
    pub asset: String,
    /// What is left, in the smallest unit of the asset: 1,000,000 is one USDC. The reads of the last second may be missing.
    #[schema(example = "987000")]
    pub balance: String,
    /// What calls have spent and the ledger does not show yet, in the smallest unit of the asset.
    #[schema(example = "13000")]
    pub unposted: String,
}

/// Why an amount was added or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerKind {
    /// A payment of the payer.
    Payment,
    /// The operator gave credit.
    Gift,
    /// Calls have spent it, in about an hour.
    Usage,
}

/// An entry of the ledger.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LedgerEntry {
    /// Id of the entry.
    #[schema(value_type = String, format = "uuid", example = "019ab1c2-6f3e-7d10-9c55-2f4d8e1b7a90")]
    pub id: Uuid,
    /// Time of the entry.
    pub at: Time,
    /// Why.
    pub kind: LedgerKind,
    /// Network of the asset, by its CAIP-2 id.
    #[schema(example = "eip155:8453")]
    pub network: String,
    /// Id of the asset: the address of a token, or `STX`.
    #[schema(example = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")]
    pub asset: String,
    /// Amount in the smallest unit of the asset; negative if it was taken from the credit.
    #[schema(example = "1000000")]
    pub amount: String,
    /// Id of the payment, or what the operator named the gift; `null` for usage.
    #[schema(required, example = "welcome-2026")]
    pub reference: Option<String>,
}

/// A payment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Id of the payment.
    #[schema(value_type = String, format = "uuid", example = "3a1f6c1e-8d1b-8c52-9f4e-6c0d2b7a9e11")]
    pub id: Uuid,
    /// What became of it.
    pub state: State,
    /// Network of the asset, by its CAIP-2 id.
    #[schema(example = "eip155:8453")]
    pub network: String,
    /// Id of the asset: the address of a token, or `STX`.
    #[schema(example = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")]
    pub asset: String,
    /// Amount in the smallest unit of the asset.
    #[schema(example = "1000")]
    pub amount: String,
    /// The recipient.
    pub pay_to: Payer,
    /// The `operationId` of the request that it came with.
    #[schema(example = "increment")]
    pub method: String,
    /// Hash of the transaction; `null` if it is not known.
    #[schema(required, example = json!(null))]
    pub transaction: Option<String>,
    /// Why it was rejected; `null` if it was not.
    #[schema(required, example = json!(null))]
    pub reason: Option<Reason>,
    /// Time at which it came.
    pub received_at: Time,
    /// Time at which its money became credit; `null` if it has not.
    #[schema(required)]
    pub settled_at: Option<Time>,
}
