//! Payments on EVM chains (EIP-3009): addresses, the hash that a payer signs, and the signer of a hash.
//!
//! Nothing here comes from the server, so that the tests check it with a second implementation.

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use serde_json::Value;
use sha3::{Digest as _, Keccak256};

/// Type of an EIP-712 domain.
const DOMAIN: &str = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
/// Type of an authorization (EIP-3009).
const TRANSFER: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,\
                        uint256 validBefore,bytes32 nonce)";

/// An address, decoded.
pub type Address = [u8; 20];
/// A value of 32 bytes.
pub type Word = [u8; 32];

/// Keccak-256 of all parts together.
pub fn keccak(parts: &[&[u8]]) -> Word {
    Keccak256::digest(parts.concat()).into()
}

/// The word that ends with these bytes. The other bytes are zero.
pub fn word(end: &[u8]) -> Word {
    let mut word = [0; 32];
    word[32 - end.len()..].copy_from_slice(end);
    word
}

/// Reads `0x` and the hex digits of `N` bytes. `None` if the text is something else.
pub fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex::decode(text.strip_prefix("0x")?).ok()?.try_into().ok()
}

/// Writes bytes as `0x` and hex digits.
pub fn prefixed(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Writes an address in mixed case (EIP-55).
pub fn checksummed(address: &Address) -> String {
    let digits = hex::encode(address);
    let hash = hex::encode(keccak(&[digits.as_bytes()]));
    let cased = |(digit, hash): (char, char)| if hash >= '8' { digit.to_ascii_uppercase() } else { digit };
    format!("0x{}", digits.chars().zip(hash.chars()).map(cased).collect::<String>())
}

/// The address of a key.
pub fn address_of(key: &VerifyingKey) -> Address {
    keccak(&[&key.to_sec1_point(false).as_bytes()[1..]])[12..].try_into().unwrap()
}

/// The EIP-712 domain of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    pub name: String,
    pub version: String,
    pub chain_id: u64,
    pub contract: Address,
}

impl Domain {
    /// The domain separator.
    pub fn hash(&self) -> Word {
        let [name, version] = [&self.name, &self.version].map(|text| keccak(&[text.as_bytes()]));
        let chain = word(&self.chain_id.to_be_bytes());
        keccak(&[&keccak(&[DOMAIN.as_bytes()]), &name, &version, &chain, &word(&self.contract)])
    }
}

/// An authorization to transfer tokens (EIP-3009).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    pub from: Address,
    pub to: Address,
    pub value: u128,
    pub valid_after: u128,
    pub valid_before: u128,
    pub nonce: Word,
}

impl Authorization {
    /// Reads the member `authorization` of a payload. `None` if it is malformed.
    pub fn read(json: &Value) -> Option<Self> {
        let text = |name: &str| json[name].as_str();
        let number = |name: &str| text(name)?.parse().ok();
        Some(Self {
            from: bytes(text("from")?)?,
            to: bytes(text("to")?)?,
            value: number("value")?,
            valid_after: number("validAfter")?,
            valid_before: number("validBefore")?,
            nonce: bytes(text("nonce")?)?,
        })
    }

    /// The hash of the authorization alone.
    pub fn struct_hash(&self) -> Word {
        let [from, to] = [self.from, self.to].map(|address| word(&address));
        let [value, after, before] =
            [self.value, self.valid_after, self.valid_before].map(|number| word(&number.to_be_bytes()));
        keccak(&[&keccak(&[TRANSFER.as_bytes()]), &from, &to, &value, &after, &before, &self.nonce])
    }

    /// The hash that the payer signs.
    pub fn hash(&self, domain: &Domain) -> Word {
        keccak(&[&[0x19, 0x01], &domain.hash(), &self.struct_hash()])
    }
}

/// The hash of a text for `personal_sign` (EIP-191).
pub fn text_hash(text: &str) -> Word {
    keccak(&[format!("\x19Ethereum Signed Message:\n{}", text.len()).as_bytes(), text.as_bytes()])
}

/// A signature: r, s and v.
pub type Signed = [u8; 65];

/// Signs a hash. v is 27 or 28.
pub fn sign(key: &SigningKey, hash: &Word) -> Signed {
    let (signature, recovery) = key.sign_prehash_recoverable(hash);
    joined(&signature, 27 + recovery.to_byte())
}

/// The other signature of the same key for the same hash, with a high s. Token contracts refuse it.
pub fn high_s_twin(signed: &Signed) -> Signed {
    let signature = Signature::from_slice(&signed[..64]).unwrap();
    let twin = Signature::from_scalars(signature.r(), -*signature.s()).unwrap();
    joined(&twin, 27 + 28 - signed[64])
}

fn joined(signature: &Signature, v: u8) -> Signed {
    [signature.to_bytes().as_slice(), &[v]].concat().try_into().unwrap()
}

/// The address that signed a hash. A high s is accepted, and v may be 0, 1, 27 or 28, as most libraries do.
pub fn signer(hash: &Word, signed: &Signed) -> Option<Address> {
    let recovery = match signed[64] {
        v @ (0 | 1) => v,
        v @ (27 | 28) => v - 27,
        _ => return None,
    };
    let signature = Signature::from_slice(&signed[..64]).ok()?;
    let key = VerifyingKey::recover_from_prehash(hash, &signature, RecoveryId::from_byte(recovery)?).ok()?;
    Some(address_of(&key))
}

/// Whether token contracts accept the form of a signature: a low s, and v is 27 or 28.
pub fn is_canonical(signed: &Signed) -> bool {
    let signature = Signature::from_slice(&signed[..64]);
    matches!(signed[64], 27 | 28) && signature.is_ok_and(|signature| signature.normalize_s() == signature)
}

/// The topic of an address, which is `0x` and 40 hex digits.
pub fn address_topic(address: &str) -> String {
    prefixed(word(&bytes::<20>(address).unwrap()))
}
