//! A question to a network, and its answer.

use chrono::{DateTime, Utc};

use crate::payer::Payer;
use crate::x402::PaymentKey;

/// A payment that a facilitator may have settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The network, the token, the payer and the nonce.
    pub key: PaymentKey,
    /// The recipient.
    pub pay_to: Payer,
    /// The amount, in the smallest unit of the asset.
    pub amount: u64,
    /// Hash of the transaction, 64 hex digits. `None` on EVM chains: anyone can send the authorization, in any
    /// transaction.
    pub transaction: Option<String>,
    /// When the payment can no longer be settled. `None` on Stacks.
    pub valid_before: Option<DateTime<Utc>>,
    /// The latest block when the payment was received: the search starts there. `None`: the latest 10,000 blocks are
    /// searched. It has no meaning on Stacks.
    pub from_block: Option<u64>,
}

/// What a network says about a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The money has arrived. Anyone may have sent the transaction.
    Settled {
        /// Hash of the transaction: on EVM chains `0x` and 64 hex digits, on Stacks 64 hex digits.
        transaction: String,
    },
    /// A transaction has paid, has failed or has canceled the authorization, and too few blocks follow its block. Ask
    /// again.
    Pending {
        /// Hash of the transaction.
        transaction: String,
    },
    /// No money has moved, and none can: the payer has canceled the authorization or, on Stacks, used the nonce for
    /// another transaction.
    Canceled,
    /// No money has moved, and none can: the authorization has expired. EVM chains only.
    Expired,
    /// No money has moved, and none can: the transaction failed. Stacks only.
    Reversed,
    /// No money has moved yet. The payment can still be settled.
    Open,
}
