//! Assets with which callers can pay.

use std::fmt;
use std::str::FromStr;

use crate::payer::Payer;
use crate::wallet::Network;

/// Maximum length of the name of a contract of Stacks.
const CONTRACT_NAME_CHARS_MAX: usize = 40;
/// How the coin of Stacks is written.
const STX: &str = "STX";

/// An asset on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    network: Network,
    token: Token,
}

/// A kind of assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A token of an EVM chain with `transferWithAuthorization` (EIP-3009).
    Eip3009 { contract: Payer, domain: Domain },
    /// The coin of Stacks.
    Stx,
    /// A token of Stacks (SIP-010).
    Sip010(Contract),
}

/// The names in the EIP-712 domain of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Name of the token.
    pub name: String,
    /// Version of the token.
    pub version: String,
}

/// A contract of Stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contract {
    pub address: Payer,
    pub name: String,
}

/// The text is not an asset of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an asset of the network: a symbol in this spelling (`USDC` on Base and Base Sepolia; `STX`, `sBTC`, `USDCx` on Stacks), \
     on another EVM chain the address of a token, with the name and the version of its EIP-712 domain, on Stacks the contract of a \
     token, address and name with a dot between"
)]
pub struct NotAnAsset;

impl Asset {
    /// The asset of a network with this id: the address of a token, or `STX`. Tokens of EVM chains have a domain, others none.
    ///
    /// # Errors
    /// [`NotAnAsset`]
    pub fn new(network: Network, id: &str, domain: Option<Domain>) -> Result<Self, NotAnAsset> {
        let token = match (network, domain) {
            (Network::Evm { .. }, Some(domain)) => id.parse().ok().map(|contract| Token::Eip3009 { contract, domain }),
            (Network::Stacks | Network::StacksTest, None) if id == STX => Some(Token::Stx),
            (Network::Stacks | Network::StacksTest, None) => id.parse().ok().map(Token::Sip010),
            _ => None,
        };
        let token = token.filter(|token| token.address().is_none_or(|address| is_on(address, network)));
        token.map(|token| Self { network, token }).ok_or(NotAnAsset)
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> Network {
        self.network
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Whether a text is the id of this asset, in any spelling.
    #[must_use]
    pub fn is(&self, id: &str) -> bool {
        match &self.token {
            Token::Eip3009 { contract, .. } => id.parse().as_ref() == Ok(contract),
            Token::Stx => id == STX,
            Token::Sip010(contract) => id.parse().as_ref() == Ok(contract),
        }
    }
}

/// The id.
impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.token {
            Token::Eip3009 { contract, .. } => f.write_str(&contract.shown()),
            Token::Stx => f.write_str(STX),
            Token::Sip010(Contract { address, name }) => write!(f, "{address}.{name}"),
        }
    }
}

/// Whether an address is one of a network.
pub(super) fn is_on(address: &Payer, network: Network) -> bool {
    Network::of(address, network.chain_id()) == Some(network)
}

impl Token {
    fn address(&self) -> Option<&Payer> {
        match self {
            Self::Eip3009 { contract, .. } => Some(contract),
            Self::Stx => None,
            Self::Sip010(contract) => Some(&contract.address),
        }
    }
}

impl FromStr for Contract {
    type Err = NotAnAsset;

    fn from_str(text: &str) -> Result<Self, NotAnAsset> {
        let (address, name) = text.split_once('.').ok_or(NotAnAsset)?;
        let is_name = name.len() <= CONTRACT_NAME_CHARS_MAX
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let address = address.parse().ok().filter(|_| is_name).ok_or(NotAnAsset)?;
        Ok(Self { address, name: name.to_owned() })
    }
}

/// An asset that is known by its symbol.
#[derive(Clone, Copy, Debug)]
pub struct KnownAsset {
    /// Symbol, such as `USDC`.
    pub symbol: &'static str,
    /// Digits after the point: an amount of 1 is 10 to the power of minus `decimals`.
    pub decimals: u8,
    /// The network.
    pub network: Network,
    id: &'static str,
    domain: Option<(&'static str, &'static str)>,
}

/// The known assets. A symbol is unique on its network.
pub const KNOWN_ASSETS: &[KnownAsset] = &[
    KnownAsset {
        symbol: "USDC",
        decimals: 6,
        network: Network::Evm { chain_id: 8_453 },
        id: "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
        domain: Some(("USD Coin", "2")),
    },
    KnownAsset {
        symbol: "USDC",
        decimals: 6,
        network: Network::Evm { chain_id: 84_532 },
        id: "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
        domain: Some(("USDC", "2")),
    },
    KnownAsset { symbol: "STX", decimals: 6, network: Network::Stacks, id: STX, domain: None },
    KnownAsset { symbol: "STX", decimals: 6, network: Network::StacksTest, id: STX, domain: None },
    KnownAsset {
        symbol: "sBTC",
        decimals: 8,
        network: Network::Stacks,
        id: "SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4.sbtc-token",
        domain: None,
    },
    KnownAsset {
        symbol: "USDCx",
        decimals: 6,
        network: Network::Stacks,
        id: "SP120SBRBQJ00MCWS7TM5R8WJNTTKD5K0HFRC2CNE.usdcx",
        domain: None,
    },
];

impl KnownAsset {
    /// The asset.
    ///
    /// # Errors
    /// None for [`KNOWN_ASSETS`].
    pub fn asset(&self) -> Result<Asset, NotAnAsset> {
        let domain = self.domain.map(|(name, version)| Domain { name: name.to_owned(), version: version.to_owned() });
        Asset::new(self.network, self.id, domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_assets_are_written_as_in_their_documentation() {
        for known in KNOWN_ASSETS {
            assert_eq!(known.asset().unwrap().to_string(), known.id);
        }
    }

    #[test]
    fn an_asset_belongs_to_its_network() {
        let usdc = KNOWN_ASSETS[0];
        let domain = || Some(Domain { name: "USD Coin".to_owned(), version: "2".to_owned() });
        assert!(Asset::new(usdc.network, usdc.id, domain()).is_ok());
        assert_eq!(Asset::new(usdc.network, usdc.id, None), Err(NotAnAsset));
        for (network, id) in [(usdc.network, STX), (usdc.network, KNOWN_ASSETS[4].id), (Network::Stacks, usdc.id)] {
            assert_eq!(Asset::new(network, id, domain()), Err(NotAnAsset), "{network} {id}");
        }
        let sbtc = KNOWN_ASSETS[4].id;
        assert_eq!(Asset::new(Network::StacksTest, sbtc, None), Err(NotAnAsset));
        assert_eq!(Asset::new(Network::Stacks, STX, domain()), Err(NotAnAsset));
        for id in
            [usdc.id, "", "stx", &sbtc[..41], &format!("{sbtc}.a"), &format!("{sbtc}{}", "a".repeat(31)), &sbtc[1..]]
        {
            assert_eq!(Asset::new(Network::Stacks, id, None), Err(NotAnAsset), "{id}");
        }
        for name in ["", "-a", "1a", "a b", "a\u{e9}"] {
            assert_eq!(
                Asset::new(Network::Stacks, &format!("{}.{name}", &sbtc[..41]), None),
                Err(NotAnAsset),
                "{name}"
            );
        }
    }

    #[test]
    fn ids_are_compared_decoded() {
        let [usdc, sbtc] = [0, 4].map(|place: usize| (KNOWN_ASSETS[place].asset().unwrap(), KNOWN_ASSETS[place].id));
        assert!(usdc.0.is(&usdc.1.to_lowercase()));
        assert!(!usdc.0.is(KNOWN_ASSETS[1].id));
        let (address, name) = sbtc.1.split_once('.').unwrap();
        assert!(sbtc.0.is(&format!("{}.{name}", address.to_lowercase())));
        assert!(!sbtc.0.is(&format!("{address}.sbtc-Token")));
        assert!(!sbtc.0.is(address));
    }
}
