//! Values of SQL, and their forms in JSON.
//!
//! JSON has no form for five kinds of values. Each is an object with one member, in parameters and in results:
//!
//! - `{"$int": "9007199254740993"}`: an integer beyond 2^53 - 1, which many JSON parsers would round.
//! - `{"$real": "Infinity"}`, `{"$real": "-Infinity"}`: the two infinities. SQLite has no NaN: it is NULL.
//! - `{"$blob": "<base64>"}`: a blob.
//! - `{"$text": "<base64>"}`: a text with U+0000, or one that is not UTF-8.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_bytes::ByteBuf;
use serde_json::Value as Json;

use crate::json::Plain;

/// The largest integer that is a JSON number in a result: 2^53 - 1.
const JSON_INTEGER_MAX: u64 = (1 << 53) - 1;

const NO_VALUE: &str = "must be null, a boolean, a number, a string, or an object with one of `$int`, `$real`, `$blob` and `$text`. Send other JSON as a string";

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    /// Any bytes: SQLite does not check that a text is UTF-8.
    Text(ByteBuf),
    Blob(ByteBuf),
}

/// A value of a result, in the memory of SQLite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ValueRef<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

impl Value {
    /// Reads the form in JSON.
    pub fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Plain(json) = Plain::deserialize(deserializer)?;
        Self::of(&json).map_err(serde::de::Error::custom)
    }

    fn of(json: &Json) -> Result<Self, &'static str> {
        match json {
            Json::Null => Ok(Self::Null),
            Json::Bool(bool) => Ok(Self::Integer((*bool).into())),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Ok(Self::Integer(integer)),
                (None, Some(real)) if !number.is_u64() => Ok(Self::Real(real)),
                _ => Err("must be a 64-bit signed integer: send a larger number as text"),
            },
            Json::String(text) => Ok(Self::Text(ByteBuf::from(text.as_bytes()))),
            Json::Object(members) if members.len() == 1 => {
                let (name, value) = members.iter().next().ok_or(NO_VALUE)?;
                Self::of_form(name, value.as_str())
            }
            Json::Array(_) | Json::Object(_) => Err(NO_VALUE),
        }
    }

    fn of_form(name: &str, value: Option<&str>) -> Result<Self, &'static str> {
        let bytes = |value: &str| BASE64_STANDARD.decode(value).map(ByteBuf::from).ok();
        match name {
            "$int" => {
                let integer = value.and_then(|value| value.parse().ok()).map(Self::Integer);
                integer
                    .ok_or("must be a 64-bit signed integer as a decimal string, like {\"$int\": \"9007199254740993\"}")
            }
            "$real" => match value {
                Some("Infinity") => Ok(Self::Real(f64::INFINITY)),
                Some("-Infinity") => Ok(Self::Real(f64::NEG_INFINITY)),
                _ => {
                    Err("must be {\"$real\": \"Infinity\"} or {\"$real\": \"-Infinity\"}: send another number as it is")
                }
            },
            "$blob" => value.and_then(bytes).map(Self::Blob).ok_or("must be base64, like {\"$blob\": \"AAEC\"}"),
            "$text" => value.and_then(bytes).map(Self::Text).ok_or("must be base64, like {\"$text\": \"AAEC\"}"),
            _ => Err(NO_VALUE),
        }
    }
}

/// As its form in JSON.
impl Serialize for ValueRef<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = |name: &'static str, value: &str| (name, value.to_owned());
        let (name, value) = match self {
            Self::Null => return serializer.serialize_none(),
            Self::Integer(integer) if integer.unsigned_abs() <= JSON_INTEGER_MAX => {
                return serializer.serialize_i64(*integer);
            }
            Self::Integer(integer) => form("$int", &integer.to_string()),
            Self::Real(real) if real.is_finite() => return serializer.serialize_f64(*real),
            Self::Real(real) => form("$real", if *real > 0.0 { "Infinity" } else { "-Infinity" }),
            Self::Text(text) => match std::str::from_utf8(text) {
                Ok(text) if !text.contains('\0') => return serializer.serialize_str(text),
                _ => form("$text", &BASE64_STANDARD.encode(text)),
            },
            Self::Blob(blob) => form("$blob", &BASE64_STANDARD.encode(blob)),
        };
        serializer.collect_map([(name, value)])
    }
}

impl Value {
    /// The value without a copy of its bytes.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> Result<Value, String> {
        Value::from_json(json).map_err(|error| error.to_string())
    }

    fn text(text: &[u8]) -> Value {
        Value::Text(ByteBuf::from(text))
    }

    #[test]
    fn every_value_has_one_form_that_is_read_again() {
        for (value, form) in [
            (Value::Null, json!(null)),
            (Value::Integer(9_007_199_254_740_991), json!(9_007_199_254_740_991_i64)),
            (Value::Integer(-9_007_199_254_740_991), json!(-9_007_199_254_740_991_i64)),
            (Value::Integer(9_007_199_254_740_992), json!({"$int": "9007199254740992"})),
            (Value::Integer(i64::MIN), json!({"$int": "-9223372036854775808"})),
            (Value::Integer(i64::MAX), json!({"$int": "9223372036854775807"})),
            (Value::Real(1.0), json!(1.0)),
            (Value::Real(5e-324), json!(5e-324)),
            (Value::Real(f64::INFINITY), json!({"$real": "Infinity"})),
            (Value::Real(f64::NEG_INFINITY), json!({"$real": "-Infinity"})),
            (text("Grüße".as_bytes()), json!("Grüße")),
            (text(b"a\0b"), json!({"$text": "YQBi"})),
            (text(b"\xff"), json!({"$text": "/w=="})),
            (Value::Blob(ByteBuf::from(b"\x00\xff")), json!({"$blob": "AP8="})),
        ] {
            assert_eq!(serde_json::to_value(value.as_ref()).unwrap(), form);
            assert_eq!(read(form), Ok(value));
        }
        assert_eq!(read(json!(true)), Ok(Value::Integer(1)));
    }

    #[test]
    fn other_json_is_refused_with_the_reason() {
        for (json, reason) in [
            (json!([1]), "Send other JSON as a string"),
            (json!({}), "Send other JSON as a string"),
            (json!({"a": 1}), "Send other JSON as a string"),
            (json!({"$int": "1", "$blob": ""}), "Send other JSON as a string"),
            (json!({"$int": 1}), "decimal string"),
            (json!({"$int": "9223372036854775808"}), "64-bit"),
            (json!({"$real": "NaN"}), "Infinity"),
            (json!({"$blob": "?"}), "base64"),
            (json!({"$text": 1}), "base64"),
            (json!(9_223_372_036_854_775_808_u64), "64-bit"),
        ] {
            let refused = read(json.clone()).unwrap_err();
            assert!(refused.starts_with("must be ") && refused.contains(reason), "{json}: {refused}");
        }
    }
}
