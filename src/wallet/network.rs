//! Networks, by their ids of CAIP-2.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::payer::Payer;

/// Chain id of the main network of Stacks.
const STACKS_MAIN: u64 = 1;
/// Chain id of the test network of Stacks.
const STACKS_TEST: u64 = 0x8000_0000;

/// A network: `eip155:` and the id of an EVM chain, `stacks:1` or, for the test network, `stacks:2147483648`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Network {
    /// A chain of the Ethereum Virtual Machine.
    Evm {
        /// Its id (EIP-155).
        chain_id: u64,
    },
    /// The main network of Stacks.
    Stacks,
    /// The test network of Stacks.
    StacksTest,
}

/// Base and Stacks.
pub const MAIN_NETWORKS: &[Network] = &[Network::Evm { chain_id: 8_453 }, Network::Stacks];
/// The test networks of Base and Stacks.
pub const TEST_NETWORKS: &[Network] = &[Network::Evm { chain_id: 84_532 }, Network::StacksTest];

/// The text is not the id of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a network: `eip155:` and the id of a chain, `stacks:1` or `stacks:2147483648`")]
pub struct NotANetwork;

impl Network {
    /// The network of a wallet with this chain id. `None` if the wallet has no address there.
    #[must_use]
    pub fn of(wallet: &Payer, chain_id: u64) -> Option<Self> {
        let network = match wallet.as_str().get(..2)? {
            "0x" => Self::Evm { chain_id },
            "SP" | "SM" => Self::Stacks,
            _ => Self::StacksTest,
        };
        (network.chain_id() == chain_id && chain_id > 0).then_some(network)
    }

    /// The id of the chain within its kind of networks.
    #[must_use]
    pub const fn chain_id(self) -> u64 {
        match self {
            Self::Evm { chain_id } => chain_id,
            Self::Stacks => STACKS_MAIN,
            Self::StacksTest => STACKS_TEST,
        }
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self, Self::Evm { .. }) { "eip155" } else { "stacks" };
        write!(f, "{kind}:{}", self.chain_id())
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let network = text.split_once(':').and_then(|(kind, id)| match (kind, id.parse().ok()?) {
            ("eip155", chain_id @ 1..) => Some(Self::Evm { chain_id }),
            ("stacks", STACKS_MAIN) => Some(Self::Stacks),
            ("stacks", STACKS_TEST) => Some(Self::StacksTest),
            _ => None,
        });
        // One network has one spelling.
        network.filter(|network| network.to_string() == text).ok_or(NotANetwork)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_one_spelling() {
        for text in ["eip155:8453", "eip155:84532", "eip155:1", "stacks:1", "stacks:2147483648"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        let not = [
            "",
            "8453",
            "eip155:",
            "eip155:0",
            "eip155:08453",
            "eip155:+1",
            "eip155:-1",
            "EIP155:1",
            "stacks:2",
            "solana:1",
        ];
        for text in not.into_iter().chain(["eip155:18446744073709551616", "eip155:1 ", "eip155:0x1", "stacks:mainnet"])
        {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }
}
