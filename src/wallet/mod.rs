//! Wallets: the networks that they belong to, and what their keys sign.
//!
//! Only plain keys are known here. A contract wallet (ERC-1271, EIP-7702) signs by rules of its own, which only its network can
//! check.

mod message;
mod network;
mod signature;

pub use message::has_signed;
pub use network::{MAIN_NETWORKS, Network, NotANetwork, TEST_NETWORKS};
pub(crate) use signature::Signature;
