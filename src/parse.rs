//! What serde refuses, as problems: for bodies, paths and queries, and for the calls of a transaction.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::problem::{Code, Problem, pointer};
use crate::vector;

/// How much of a wrong value its problem repeats, in characters.
const ECHO_CHARS_MAX: usize = 200;

/// The method that a call of a transaction names: its parameters are the members of one value already.
pub(crate) fn from_value<M: DeserializeOwned>(params: Value) -> Result<M, Problem> {
    serde_path_to_error::deserialize(params).map_err(|error| refusal(&error.inner().to_string(), error.path(), true))
}

/// Tells a wrong form (400) from a wrong value (422) by serde's own wording.
pub(crate) fn refusal(error: &str, path: &Path, has_body: bool) -> Problem {
    // serde_json adds the line and column; where it can, the pointer says it better.
    let detail = shortened(error.split(" at line ").next().unwrap_or(error));
    let pointer = shortened(&pointer(path.iter().filter_map(segment)));
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

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

/// What the caller sent is not sent back at any length.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
