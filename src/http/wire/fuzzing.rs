//! Heads of requests for fuzz targets.

use super::heads::Heads;

/// The bytes that actix reads, if those of a client arrive in these parts, and whether a head is incomplete at the end.
///   is_passed  whether bytes of bodies go past, as they do to a large buffer
#[must_use]
pub fn heads(parts: &[&[u8]], is_passed: bool) -> (Vec<u8>, bool) {
    let (mut heads, mut read) = (Heads::default(), Vec::new());
    for mut part in parts.iter().copied() {
        while !part.is_empty() {
            let count = heads.passes(part.len()).filter(|_| is_passed);
            let (past, rest) = part.split_at(count.unwrap_or_default());
            read.extend_from_slice(past);
            heads.passed(past.len());
            part = rest;
            if count.is_none() {
                heads.read(part);
                read.append(&mut heads.ready);
                part = &[];
            }
        }
    }
    (read, heads.is_in_head())
}

/// The bytes that actix reads, and where the heads end in them.
#[must_use]
pub fn head_ends(bytes: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut heads, mut ends) = (Heads::default(), Vec::new());
    for byte in bytes {
        let was_in_head = heads.is_in_head();
        heads.read(&[*byte]);
        if was_in_head && !heads.is_in_head() {
            ends.push(heads.ready.len());
        }
    }
    (heads.ready, ends)
}
