//! The forms of values in JSON: those of payerbase.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};

/// The largest integer that is a JSON number: 2^53 - 1.
const JSON_INTEGER_MAX: u64 = (1 << 53) - 1;

pub fn to_json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => of_integer(integer),
        ValueRef::Real(real) if real.is_finite() => real.into(),
        ValueRef::Real(real) => json!({ "$real": if real > 0.0 { "Infinity" } else { "-Infinity" } }),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) if !text.contains('\0') => text.into(),
            _ => json!({ "$text": BASE64_STANDARD.encode(text) }),
        },
        ValueRef::Blob(blob) => json!({ "$blob": BASE64_STANDARD.encode(blob) }),
    }
}

pub fn of_integer(integer: i64) -> Value {
    match integer.unsigned_abs() <= JSON_INTEGER_MAX {
        true => integer.into(),
        false => json!({ "$int": integer.to_string() }),
    }
}
