//! Checks shared by several methods of memories.

use crate::problem::{Code, Problem};

/// Bytes of text that count as one unit of weight, because their words are parsed and indexed.
pub(super) const WEIGHT_BYTES: usize = 250;
/// Bytes of metadata that count as one unit of weight, because its values are indexed.
pub(super) const METADATA_WEIGHT_BYTES: usize = 2 << 10;

pub(super) fn invalid(pointer: &str, detail: &str) -> Problem {
    Problem::new(Code::InvalidValue).field(pointer, detail)
}

pub(super) fn check_pairs(has_ttl: bool, has_end: bool, has_model: bool, has_vector: bool) -> Result<(), Problem> {
    if has_ttl && has_end {
        return Err(invalid("/ttlMs", "must not be given with `expiresAt`"));
    }
    if has_model && !has_vector {
        return Err(invalid("/embeddingModel", "must be given with `embedding`"));
    }
    Ok(())
}
