//! Payers: wallet addresses in canonical form.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha3::{Digest as _, Keccak256};
use utoipa::ToSchema;

/// Version bytes of Stacks addresses (SIP-005): SP and SM on the main network, ST and SN on the test network.
const STACKS_VERSIONS: [u8; 4] = [22, 20, 26, 21];
/// Length of the hash in a Stacks address and in an EVM address, in bytes.
const HASH_BYTES: usize = 20;
/// Length of an address in binary.
pub(crate) const ADDRESS_BYTES: usize = 1 + HASH_BYTES;
/// The first byte of an EVM address in binary.
pub(crate) const EVM: u8 = 0;

/// A payer: the address of a wallet, and the key of all its data.
///
/// EVM addresses are in lower case; an address in mixed case must have a valid checksum (EIP-55). Stacks addresses are in upper
/// case, and their checksum is verified. Every address is decoded and encoded again, so that all spellings of a wallet are one payer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "0x52908400098527886e0f7030069857d2e4169ee7")]
pub struct Payer(Arc<str>);

/// The text is not a wallet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a wallet address: 0x and 40 hexadecimal digits, in lower case or with a valid checksum (EIP-55), or a Stacks address \
     with a valid checksum"
)]
pub struct NotAnAddress;

impl Payer {
    /// The canonical address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address in binary. Its first byte is the kind: [`EVM`] or the version of an address of Stacks.
    pub(crate) fn to_bytes(&self) -> Option<[u8; ADDRESS_BYTES]> {
        let (kind, hash) = match self.0.strip_prefix("0x") {
            Some(digits) => (EVM, hex::decode(digits).ok()?),
            None => c32::decode_check_prefixed(&self.0, 'S').map(|(hash, version)| (version, hash)).ok()?,
        };
        [[kind].as_slice(), &hash].concat().try_into().ok()
    }

    /// The payer with this address in binary.
    pub(crate) fn from_bytes([kind, hash @ ..]: [u8; ADDRESS_BYTES]) -> Option<Self> {
        let text = match kind {
            EVM => format!("0x{}", hex::encode(hash)),
            version => c32::encode_check_prefixed(hash, 'S', version).ok()?,
        };
        text.parse().ok()
    }

    /// Whether it is an address of Stacks of several keys.
    pub(crate) fn has_several_keys(&self) -> bool {
        ["SM", "SN"].iter().any(|prefix| self.0.starts_with(prefix))
    }

    /// The address as wallets show it: an EVM address with its checksum (EIP-55).
    pub(crate) fn shown(&self) -> String {
        self.0.strip_prefix("0x").map_or_else(|| self.0.to_string(), |hex| format!("0x{}", checksummed(hex)))
    }
}

impl FromStr for Payer {
    type Err = NotAnAddress;

    fn from_str(address: &str) -> Result<Self, NotAnAddress> {
        let evm = address.strip_prefix("0x").or_else(|| address.strip_prefix("0X"));
        let canonical = match evm {
            Some(hex) => canonical_evm(hex),
            None => canonical_stacks(address),
        };
        canonical.map(|address| Self(address.into())).ok_or(NotAnAddress)
    }
}

fn canonical_evm(hex: &str) -> Option<String> {
    let is_hex = hex.len() == 2 * HASH_BYTES && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lower = hex.to_ascii_lowercase();
    // An address in one case has no checksum.
    let is_mixed = hex != lower && hex != hex.to_ascii_uppercase();
    (is_hex && (!is_mixed || hex == checksummed(&lower))).then(|| format!("0x{lower}"))
}

/// The spelling of an address with the checksum of EIP-55: a letter is in upper case if the digit of the hash in its place is
/// 8 or more.
fn checksummed(lower: &str) -> String {
    let hash = Keccak256::digest(lower.as_bytes());
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let spelled = |(letter, digit): (char, u8)| if digit >= 8 { letter.to_ascii_uppercase() } else { letter };
    lower.chars().zip(digits).map(spelled).collect()
}

fn canonical_stacks(address: &str) -> Option<String> {
    // The alphabet has no O, I or L. They are read as 0 and 1.
    let read: String = address.to_ascii_uppercase().replace('O', "0").replace(['I', 'L'], "1");
    // The library panics if the text is too short for a checksum. An address has a character for each byte or more.
    let (hash, version) = (read.len() > HASH_BYTES).then(|| c32::decode_check_prefixed(&read, 'S').ok())??;
    if hash.len() != HASH_BYTES || !STACKS_VERSIONS.contains(&version) {
        return None;
    }
    let canonical = c32::encode_check_prefixed(&hash, 'S', version).ok()?;
    // An address with extra leading zeros decodes to the same hash. Only the address without them is canonical.
    (canonical.len() == read.len()).then_some(canonical)
}

impl TryFrom<String> for Payer {
    type Error = NotAnAddress;

    fn try_from(address: String) -> Result<Self, NotAnAddress> {
        address.parse()
    }
}

impl From<Payer> for String {
    fn from(payer: Payer) -> Self {
        payer.as_str().to_owned()
    }
}

impl fmt::Display for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_the_same_payer() {
        for (spelling, canonical) in [
            ("0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886e0f7030069857d2e4169ee7"),
            ("0X52908400098527886e0f7030069857d2e4169ee7", "0x52908400098527886e0f7030069857d2e4169ee7"),
            // The examples of EIP-55.
            ("0x8617E340B3D01FA5F11F306F4090FD50E238070D", "0x8617e340b3d01fa5f11f306f4090fd50e238070d"),
            ("0xde709f2102306220921060314715629080e2fb77", "0xde709f2102306220921060314715629080e2fb77"),
            ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"),
            ("0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359"),
            ("0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xdbf03b407c01e7cd3cbea99509d93f8dddc8c6fb"),
            ("0XD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb", "0xd1220a0cf47c7b9be7a2e6ba89f429762e7b9adb"),
            ("SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7", "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7"),
            ("sp2j6zy48gv1ez5v2v5rb9mp66sw86pykknrv9ej7", "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7"),
            ("sp2j6zy48gvLez5v2v5rb9mp66sw86pykknrv9ej7", "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7"),
            ("SP000000000000000000002Q6VF78", "SP000000000000000000002Q6VF78"),
            ("SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4", "SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4"),
        ] {
            let payer: Payer = spelling.parse().unwrap();
            assert_eq!(payer.as_str(), canonical);
            assert_eq!(Payer::from_bytes(payer.to_bytes().unwrap()), Some(payer.clone()));
            assert_eq!(payer.shown().parse(), Ok(payer));
        }
    }

    #[test]
    fn parts_of_an_address_and_random_texts_are_refused() {
        use rand::RngExt as _;
        for address in
            ["SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7", "SP000000000000000000002Q6VF78", "STX", "S000000000"]
        {
            for end in 0..address.len() {
                assert_eq!(address[..end].parse::<Payer>(), Err(NotAnAddress), "{address} {end}");
            }
        }
        let letters: Vec<char> = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcILOiloéß".chars().collect();
        for _ in 0..100_000 {
            let length = rand::rng().random_range(0..60);
            let text: String = (0..length).map(|_| letters[rand::rng().random_range(0..letters.len())]).collect();
            for begin in ["S", "SP", "0x"] {
                assert_eq!(format!("{begin}{text}").parse::<Payer>(), Err(NotAnAddress), "{begin}{text}");
            }
        }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        for text in [
            "",
            "0x",
            "0x52908400098527886e0f7030069857d2e4169ee",
            "0x52908400098527886e0f7030069857d2e4169eeg",
            "52908400098527886e0f7030069857d2e4169ee7",
            // Mixed case with a wrong checksum.
            "0x52908400098527886E0F7030069857D2E4169Ee8",
            "0x52908400098527886E0F7030069857D2E4169eE7",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
            "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            " 0x52908400098527886e0f7030069857d2e4169ee7",
            "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ8",
            "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ",
            "S",
            "P2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7",
            "ſp2j6zy48gv1ez5v2v5rb9mp66sw86pykknrv9ej7",
        ] {
            assert_eq!(text.parse::<Payer>(), Err(NotAnAddress), "{text:?}");
        }
    }
}
