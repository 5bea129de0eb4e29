//! Signatures on the curve secp256k1 from which the key can be recovered.

use k256::ecdsa::{self, RecoveryId, VerifyingKey};

/// A signature from which the key can be recovered.
///
/// Every signature has a twin of the same text and key, with another s and another recovery id. Whoever knows a signature can
/// compute its twin. Only the one with the lower s is accepted.
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

    /// The public key that signed this hash.
    pub fn key(&self, hash: &[u8; 32]) -> Option<VerifyingKey> {
        VerifyingKey::recover_from_prehash(hash, &self.rs, self.recovery).ok()
    }
}
