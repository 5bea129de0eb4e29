//! Why a network gives no verdict.

/// Why a network gives no verdict. Whether the payment has moved money is still unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No connection, or no answer in time.
    #[error("the node can't be reached: {0}")]
    Unreachable(String),
    /// An answer with another status than 200.
    #[error("the node answered with status {0}")]
    Status(u16),
    /// The body is cut or too large.
    #[error("the node's answer can't be read: {0}")]
    Body(String),
    /// The node answered with an error of JSON-RPC.
    #[error("the node refused {method} with the code {code}")]
    Refused {
        /// The method.
        method: &'static str,
        /// The code. The text of the error is not shown.
        code: i64,
    },
    /// The answer has another form, or is about something else.
    #[error("the node's answer to {0} is not valid")]
    Malformed(&'static str),
    /// The authorization is used or canceled, but no log of these blocks says which.
    #[error("the authorization is used or canceled, but the node has no log of it")]
    NoLog,
    /// The authorization is used, but the transfer that follows in its transaction is not the payment.
    #[error("the authorization is used, but not by a transfer of the amount from the payer to the recipient")]
    NoTransfer,
    /// Logs say that the authorization is used, and that it is canceled.
    #[error("the node says that the authorization is used and that it is canceled")]
    UsedAndCanceled,
    /// The node belongs to another network.
    #[error("the node belongs to the chain {answered}, not to {expected}")]
    OtherNetwork {
        /// Chain id of the network.
        expected: u64,
        /// Chain id of the node.
        answered: u64,
    },
    /// The question can't be asked at this network.
    #[error("the payment is not one of this network")]
    Question,
}
