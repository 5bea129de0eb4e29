//! Values in hexadecimal, as nodes write them.

use std::fmt;

use serde::Deserialize;

use crate::payer::{EVM, Payer};

/// The text is not such a value.
#[derive(Debug, thiserror::Error)]
#[error("not 0x and the right number of hex digits")]
pub(super) struct NotHex;

/// 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Word([u8; 32]);

/// The address of an account or of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Address([u8; 20]);

/// A number of at most 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Quantity(pub u64);

/// Bytes of any length.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Bytes(pub Vec<u8>);

/// The digits after `0x`.
fn digits(text: &str) -> Result<&str, NotHex> {
    text.strip_prefix("0x").ok_or(NotHex)
}

fn exactly<const N: usize>(text: &str) -> Result<[u8; N], NotHex> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits(text)?, &mut bytes).map_err(|_not_hex| NotHex)?;
    Ok(bytes)
}

impl Word {
    pub fn parse(text: &str) -> Result<Self, NotHex> {
        exactly(text).map(Self)
    }

    pub const fn number(number: u64) -> Self {
        let mut word = [0; 32];
        let (_, end) = word.split_at_mut(24);
        end.copy_from_slice(&number.to_be_bytes());
        Self(word)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Address {
    /// The address of a payer. `None` on Stacks.
    pub fn of(payer: &Payer) -> Option<Self> {
        let [kind, address @ ..] = payer.to_bytes()?;
        (kind == EVM).then_some(Self(address))
    }

    /// The address as a topic or an argument.
    pub fn word(&self) -> Word {
        let mut word = [0; 32];
        let (_, end) = word.split_at_mut(12);
        end.copy_from_slice(&self.0);
        Word(word)
    }
}

impl TryFrom<String> for Word {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        Self::parse(&text)
    }
}

impl TryFrom<String> for Address {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        exactly(&text).map(Self)
    }
}

impl TryFrom<String> for Quantity {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        // The reader of numbers accepts a sign.
        let digits = digits(&text)?;
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(digits, 16).ok().filter(|_| are_digits);
        number.map(Self).ok_or(NotHex)
    }
}

impl TryFrom<String> for Bytes {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        hex::decode(digits(&text)?).map(Self).map_err(|_not_hex| NotHex)
    }
}

/// `0x` and 64 hex digits.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

/// `0x` and 40 hex digits.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

/// `0x` and the hex digits of the number.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_has_at_most_64_bits() {
        let read = |text: &str| Quantity::try_from(text.to_owned()).ok().map(|quantity| quantity.0);
        assert_eq!(read("0x0"), Some(0));
        assert_eq!(read("0x2105"), Some(8_453));
        assert_eq!(read("0xFFFFffffFFFFffff"), Some(u64::MAX));
        for text in ["", "0x", "1", "0x10000000000000000", "0x-1", "0x+1", "0x 1", "0xg", "0x1.0"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(Quantity(8_453).to_string(), "0x2105");
    }

    #[test]
    fn a_word_has_32_bytes_and_an_address_20() {
        let word = format!("0x{}01", "0".repeat(62));
        assert_eq!(Word::parse(&word).unwrap(), Word::number(1));
        assert_eq!(Word::number(1).to_string(), word);
        for text in [&word[2..], &word[..65], &format!("{word}00"), &word.replace('1', "g"), "", "0x"] {
            assert!(Word::parse(text).is_err(), "{text}");
        }
        let payer: Payer = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse().unwrap();
        let address = Address::of(&payer).unwrap();
        assert_eq!(address.to_string(), payer.as_str());
        assert_eq!(address.word().to_string(), format!("0x{}{}", "0".repeat(24), &payer.as_str()[2..]));
        assert!(Address::try_from(word).is_err());
        assert_eq!(Address::of(&"SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD".parse().unwrap()), None);
    }
}
