//! Parse errors as problems: of bodies, paths and queries, and of the calls of a transaction.
//!
//! The kind of an error (400 or 422) is known only from the wording of serde and serde_json. Tests hold each wording.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::problem::{Code, Problem, pointer};
use crate::vector;

/// Length of the part of a wrong value that its problem repeats, in characters.
const ECHO_CHARS_MAX: usize = 400;

/// Parses the parameters of a call in a transaction, which are one value.
pub(crate) fn from_value<M: DeserializeOwned>(params: Value) -> Result<M, Problem> {
    serde_path_to_error::deserialize(params).map_err(|error| refusal(&error.inner().to_string(), error.path(), true))
}

/// The problem of a parse error: a wrong form (400) or a wrong value (422), told apart by serde's wording.
pub(crate) fn refusal(error: &str, path: &Path, has_body: bool) -> Problem {
    // serde_json adds line and column. The pointer is better.
    let detail = in_words_of_json(shortened(error.split(" at line ").next().unwrap_or(error)));
    let pointer = shortened(&pointer(path.iter().filter_map(segment)));
    if detail.starts_with("lone leading surrogate") || detail.starts_with("unexpected end of hex escape") {
        // JSON can write half of a character (RFC 8259, 8.2), UTF-8 cannot.
        let detail = "must not contain half of a surrogate pair, such as `\\ud800` alone";
        return Problem::new(Code::InvalidJson).field(pointer, detail);
    }
    if detail.starts_with(vector::REFUSED) {
        return Problem::new(Code::InvalidVector).field(pointer, detail);
    }
    let about_value = ["must ", "invalid value", "unknown variant"];
    if about_value.iter().any(|wording| detail.starts_with(wording)) {
        return Problem::new(Code::InvalidValue).field(pointer, detail);
    }
    let problem = Problem::new(if has_body { Code::InvalidJson } else { Code::InvalidQuery });
    let about_form = ["unknown field", "missing field", "duplicate field"];
    if pointer.is_empty() && !about_form.iter().any(|wording| detail.starts_with(wording)) {
        return problem.detail(format!("It cannot be read: {}.", shortened(error)));
    }
    problem.field(pointer, detail)
}

/// serde says sequence and map.
fn in_words_of_json(mut words: String) -> String {
    for (serde, json) in [
        ("invalid type: sequence", "invalid type: array"),
        ("invalid type: map", "invalid type: object"),
        ("expected a sequence", "expected an array"),
        ("expected a map", "expected an object"),
    ] {
        words = words.replace(serde, json);
    }
    words
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

/// The beginning of a text from the caller.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
