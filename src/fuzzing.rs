//! Parsers of foreign bytes for the fuzz targets in `fuzz/`. This room exists only in builds with `--cfg fuzzing`, which cargo-fuzz
//! makes: its functions make nothing public in other builds.

use crate::payer::Payer;
use crate::wallet::Signature;

pub use crate::auth::fuzzing as auth;
pub use crate::chain::fuzzing as chain;
pub use crate::facilitator::fuzzing as facilitator;
pub use crate::http::fuzzing as http;
pub use crate::payments::fuzzing as payments;
pub use crate::sqlite::fuzzing as sqlite;

/// The address in binary: its kind and 20 bytes.
#[must_use]
pub fn address_bytes(payer: &Payer) -> Option<[u8; 21]> {
    payer.to_bytes()
}

/// The payer with this address in binary.
#[must_use]
pub fn payer_of_bytes(bytes: [u8; 21]) -> Option<Payer> {
    Payer::from_bytes(bytes)
}

/// The address as wallets show it.
#[must_use]
pub fn shown(payer: &Payer) -> String {
    payer.shown()
}

/// The addresses of the key that signed a hash: that of Ethereum, and the hash in those of Stacks. `None` if r, s and the recovery
/// id are no signature.
#[must_use]
pub fn signers(rs: &[u8; 64], recovery: u8, hash: &[u8; 32]) -> Option<(Option<[u8; 20]>, Option<[u8; 20]>)> {
    let signature = Signature::new(rs, recovery)?;
    Some((signature.ethereum_signer(hash), signature.stacks_signer(hash)))
}

/// The address of the key of Ethereum that signed a hash, by a signature as Ethereum writes it.
#[must_use]
pub fn ethereum_signer(signature: &str, hash: &[u8; 32]) -> Option<[u8; 20]> {
    Signature::ethereum(signature)?.ethereum_signer(hash)
}
