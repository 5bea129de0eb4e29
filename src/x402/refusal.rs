//! Reasons to refuse a payment.

/// Why a payment is refused before it is settled. No money has moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The header or the payload can't be read.
    #[error("the payment is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// Another version of x402.
    #[error("version {0} of x402 is not supported. Pay with version 2")]
    UnsupportedVersion(u64),
    /// `accepted` is none of the offers, or the payload is for another way to pay.
    #[error(
        "the payment is for none of the offers. Pay one of those in PAYMENT-REQUIRED, with an unchanged `accepted`"
    )]
    NotOffered,
    /// A returned extension differs from the offer.
    #[error("the extension `{0}` differs from the offer. Return its `info` unchanged. You may add members")]
    ExtensionChanged(String),
    /// The transaction of Stacks is signed in another way.
    #[error("the transaction must have one signer, with a compressed key, and no sponsor")]
    UnsupportedTransaction,
    /// The transaction of Stacks does something else.
    #[error("the transaction must be a transfer: of STX, or a call of `transfer` with its 4 arguments")]
    NotATransfer,
    /// A signed value differs from the offer.
    #[error("the {0} of the signed payment differs from the offer. Sign the values of the offer")]
    Mismatch(Term),
    /// The token is to be taken from an account other than the signer.
    #[error("the sender of the transfer must be the account that signs")]
    WrongSender,
    /// The signature is not that of the payer.
    #[error(
        "the signature is not that of the payer's key. It must be of 65 bytes, with the lower s. Contract wallets are not supported"
    )]
    InvalidSignature,
    /// The payment becomes valid later.
    #[error("the payment is not yet valid. Sign again with an earlier `validAfter`, such as 0")]
    NotYetValid,
    /// Too little time is left to settle the payment.
    #[error("the payment has expired, or expires in a few seconds. Sign again")]
    Expired,
    /// The payment could be settled long after the offer ended.
    #[error("the payment is valid for too long. Sign again with a `validBefore` of at most {0} seconds from now")]
    ValidTooLong(u64),
}

/// A value of an offer that the payer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Term {
    /// `amount`
    #[error("amount")]
    Amount,
    /// `asset`
    #[error("asset")]
    Asset,
    /// `network`
    #[error("network")]
    Network,
    /// `payTo`
    #[error("recipient")]
    Recipient,
}

/// What another program sent can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

impl Malformed {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
