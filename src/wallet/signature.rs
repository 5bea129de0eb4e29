//! Signatures on the curve secp256k1 from which the key can be recovered.

use k256::ecdsa::{self, RecoveryId, VerifyingKey};
use ripemd::Ripemd160;
use sha2::Sha256;
use sha3::{Digest as _, Keccak256};

/// A signature from which the key can be recovered.
///
/// Each signature has a twin with the same r, another s and another recovery id, which is valid for the same text and key. Anyone
/// can compute it. Only the signature with the lower s is accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature {
    rs: ecdsa::Signature,
    recovery: RecoveryId,
}

impl Signature {
    /// A signature of r and s, 32 bytes each, and a recovery id, 0 or 1. `None` if it is none.
    pub fn new(rs: &[u8; 64], recovery: u8) -> Option<Self> {
        let rs = ecdsa::Signature::from_slice(rs).ok()?;
        // The library accepts both twins. The ids 2 and 3 are for numbers that no wallet ever meets.
        let recovery = RecoveryId::from_byte(recovery).filter(|id| !id.is_x_reduced() && rs.normalize_s() == rs)?;
        Some(Self { rs, recovery })
    }

    /// A signature as Ethereum writes it: `0x` and 130 hex digits, which are r, s, and v, 27 or 28. `None` if it is none.
    pub fn ethereum(text: &str) -> Option<Self> {
        let (rs, v) = read(text.strip_prefix("0x")?)?;
        Self::new(&rs, v.checked_sub(27)?)
    }

    /// The address of the key of Ethereum that signed this hash.
    pub fn ethereum_signer(&self, hash: &[u8; 32]) -> Option<[u8; 20]> {
        // The first byte says that the key is not compressed.
        let hash = Keccak256::digest(self.key(hash)?.to_sec1_point(false).as_bytes().get(1..)?);
        hash.last_chunk().copied()
    }

    /// The hash in the addresses of the key of Stacks that signed this hash.
    pub fn stacks_signer(&self, hash: &[u8; 32]) -> Option<[u8; 20]> {
        // Wallets have compressed keys.
        let hash = Ripemd160::digest(Sha256::digest(self.key(hash)?.to_sec1_point(true).as_bytes()));
        Some(hash.into())
    }

    fn key(&self, hash: &[u8; 32]) -> Option<VerifyingKey> {
        VerifyingKey::recover_from_prehash(hash, &self.rs, self.recovery).ok()
    }
}

/// r and s together, and the last byte.
pub(super) fn read(hex: &str) -> Option<([u8; 64], u8)> {
    let mut bytes = [0; 65];
    hex::decode_to_slice(hex, &mut bytes).ok()?;
    let (rs, last) = bytes.split_first_chunk()?;
    Some((*rs, *last.first()?))
}
