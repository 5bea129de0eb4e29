//! API tokens: `pb_live_<id>_<secret>_<checksum>`.
//!
//! The prefix lets secret scanners find leaked tokens. The id (16 characters) is the key of the look-up; it is not
//! secret. The secret (43 characters of base 62, 256 bits) is random. Only its SHA-256 is stored: a slow hash protects
//! guessable passwords, and random secrets cannot be guessed. The checksum finds typing errors without a look-up in the
//! database.

use std::fmt;
use std::str::FromStr;

use rand::RngExt as _;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

const PREFIX: &str = "pb_live_";
const ID_CHARS: usize = 16;
const SECRET_CHARS: usize = 43;
/// Number of base 62 digits of a CRC-32.
const CHECKSUM_CHARS: usize = 6;
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The public part of a token. Lists show it, and revocation takes it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 16, max_length = 16, pattern = "^[A-Za-z0-9]{16}$")]
pub struct TokenId(String);

impl TokenId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An id that the database has.
    pub(super) fn stored(id: String) -> Self {
        Self(id)
    }
}

impl TryFrom<String> for TokenId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        match id.len() == ID_CHARS && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            true => Ok(Self(id)),
            false => Err(format!("must be {ID_CHARS} letters and digits: the id of a token")),
        }
    }
}

impl FromStr for TokenId {
    type Err = String;

    fn from_str(id: &str) -> Result<Self, String> {
        id.to_owned().try_into()
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 of a token's secret. Compare it only with [`matches`](Self::matches), in constant time.
#[derive(Clone)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The hash, as the database stores it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this hash equals the stored one.
    #[must_use]
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.0.ct_eq(stored).into()
    }
}

/// A well-formed token. It is not verified: the database may not know it.
pub struct Token {
    /// The public part.
    pub id: TokenId,
    /// The hash of the secret.
    pub secret: SecretHash,
}

impl Token {
    /// Generates a token. Only the returned text contains the secret.
    #[must_use]
    pub fn generate() -> (Self, SecretString) {
        Self::with_id(random(ID_CHARS))
    }

    /// Like [`Token::generate`], with an id that the nonce of a challenge determines.
    #[must_use]
    pub(super) fn of_nonce(nonce: &str) -> (Self, SecretString) {
        Self::with_id(digits_of(nonce).collect())
    }

    /// A token with any text, that somebody has chosen.
    pub(super) fn known(text: &str) -> Self {
        Self { id: TokenId(digits_of(text).collect()), secret: SecretHash::of(text) }
    }

    fn with_id(id: String) -> (Self, SecretString) {
        let secret = random(SECRET_CHARS);
        let body = format!("{PREFIX}{id}_{secret}");
        let text = SecretString::from(format!("{body}_{}", checksum(&body)));
        (Self { secret: SecretHash::of(&secret), id: TokenId(id) }, text)
    }

    /// Parses a token. `None` if it is not well formed or its checksum is wrong.
    #[must_use]
    pub fn parse(text: &SecretString) -> Option<Self> {
        let text = text.expose_secret();
        let (body, check) = text.rsplit_once('_')?;
        let (id, secret) = body.strip_prefix(PREFIX)?.split_once('_')?;
        let well_formed = id.len() == ID_CHARS
            && secret.len() == SECRET_CHARS
            && [id, secret].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            && check == checksum(body);
        well_formed.then(|| Self { id: TokenId(id.to_owned()), secret: SecretHash::of(secret) })
    }
}

/// The characters of an id that a text determines.
fn digits_of(text: &str) -> impl Iterator<Item = char> {
    let digits = Sha256::digest(text).into_iter().filter_map(|byte| BASE_62.get(usize::from(byte) % BASE_62.len()));
    digits.take(ID_CHARS).copied().map(char::from)
}

fn random(chars: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(chars).map(char::from).collect()
}

fn checksum(body: &str) -> String {
    let mut rest = usize::try_from(crc32fast::hash(body.as_bytes())).unwrap_or_default();
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE_62.get(rest % BASE_62.len()).copied().unwrap_or_default();
        rest /= BASE_62.len();
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_token_can_be_parsed() {
        let (token, text) = Token::generate();
        assert_eq!(text.expose_secret().len(), 75);
        let read = Token::parse(&text).unwrap();
        assert_eq!(read.id, token.id);
        assert!(read.secret.matches(token.secret.as_bytes()));
    }

    #[test]
    fn a_token_with_one_changed_character_is_invalid() {
        let (_, text) = Token::generate();
        for place in 0..text.expose_secret().len() {
            let mut typo = text.expose_secret().as_bytes().to_vec();
            typo[place] = if typo[place] == b'x' { b'y' } else { b'x' };
            assert!(Token::parse(&String::from_utf8(typo).unwrap().into()).is_none(), "{place}");
        }
    }

    #[test]
    fn another_secret_does_not_match() {
        let (one, _) = Token::generate();
        let (other, _) = Token::generate();
        assert!(!one.secret.matches(other.secret.as_bytes()));
        assert!(!one.secret.matches(&[]));
    }
}
