//! Payments that were checked.

use chrono::{DateTime, Utc};

use super::offer::Offer;
use crate::payer::Payer;
use crate::wallet::Network;

/// A payment that its payer signed, as it was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked<'a> {
    /// The offer that it pays.
    pub offer: &'a Offer,
    /// What can be spent once.
    pub key: PaymentKey,
    /// When it can no longer be settled. `None` on Stacks: transactions don't expire.
    pub valid_before: Option<DateTime<Utc>>,
    /// Hash of the transaction, 64 hex digits. `None` on EVM chains: it is known when the payment is settled.
    pub transaction: Option<String>,
}

/// What a payment can spend once. Payments with the same key are one payment, or exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaymentKey {
    /// The network.
    pub network: Network,
    /// Address of the token, in lower case. Empty on Stacks, where all transactions of an account share their nonces.
    pub asset: String,
    /// The payer: the account that signed, from which the money comes.
    pub payer: Payer,
    /// `0x` and 64 hex digits in lower case; on Stacks a decimal number.
    pub nonce: String,
}
