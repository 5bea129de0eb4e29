//! What a JSON text consists of, without reading its values.

/// Sums what `of` says of each byte outside of texts: brackets, commas and colons say how many values there are.
pub(crate) fn sum_of_structure(json: &[u8], of: impl Fn(u8) -> usize) -> usize {
    let (mut sum, mut in_text, mut is_escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            _ if !in_text => sum += of(*byte),
            _ => {}
        }
    }
    sum
}
