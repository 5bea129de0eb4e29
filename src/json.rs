//! JSON values that callers store.

mod read;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

pub use read::Plain;
use read::read_up_to;
pub(crate) use read::{read_list, read_members, read_members_within, read_within, too_large};

/// Maximum depth of a stored JSON value. An answer contains the value at a greater depth, and parsers must still read
/// it.
pub const DEPTH_MAX: usize = 64;

/// Maximum size of a value that is kept, in bytes. No larger one may be stored.
pub(crate) const BYTES_MAX: usize = 256 << 10;

/// Implements `Deserialize` for a struct with a flattened member and some more. The text is read twice: `flatten` would read
/// each value in it into memory.
macro_rules! flattened {
    ($name:ident { $flat:ident, $($(#[$attribute:meta])* $member:ident: $type:ty),+ $(,)? }) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct More {
                    $($(#[$attribute])* $member: $type,)+
                }

                let json = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
                let $flat = serde_json::from_str(json.get()).map_err(serde::de::Error::custom)?;
                let More { $($member),+ } = serde_json::from_str(json.get()).map_err(serde::de::Error::custom)?;
                Ok(Self { $flat, $($member),+ })
            }
        }
    };
}
pub(crate) use flattened;

/// Any JSON value, at most 64 levels deep. Numbers are stored as 64-bit integers or as doubles.
///
/// It is kept as text, which needs much less memory than its values.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Value)]
pub struct Json(Text);

/// A compact JSON text.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
struct Text {
    text: Box<RawValue>,
    /// Its size, with all digits of its numbers.
    #[serde(skip)]
    bytes: usize,
}

/// A value that is larger than any that may be stored is not kept: its text is `null`, and its size `usize::MAX`.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match read_up_to(deserializer, BYTES_MAX)? {
            Some(value) => Self::try_from(value).map_err(D::Error::custom),
            None => Ok(Self(Text { text: Box::default(), bytes: usize::MAX })),
        }
    }
}

impl Json {
    /// Checks the depth and the size of a value.
    ///
    /// # Errors
    /// A text that states the limit.
    pub(crate) fn within(value: Value, bytes_max: usize) -> Result<Self, String> {
        let json = Self::try_from(value)?;
        if json.bytes() <= bytes_max { Ok(json) } else { Err(too_large(bytes_max)) }
    }

    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.text() == "null"
    }

    /// The compact JSON.
    pub(crate) fn text(&self) -> &str {
        self.0.text.get()
    }

    /// Its size, in bytes: compact JSON in UTF-8, with all digits of its numbers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }
}

/// Deserializes a member that may be absent (`None`), null (`Some(None)`) or a value. For `#[serde(default)]` fields of
/// merge patches.
///
/// # Errors
/// The errors of the deserializer.
pub fn patched<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Deserializes an optional member: `null` is its default, as if it were absent. For `#[serde(default)]` fields.
///
/// # Errors
/// The errors of the deserializer.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl TryFrom<Value> for Json {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        if is_deeper_than(&value, DEPTH_MAX) {
            return Err(format!("must be nested at most {DEPTH_MAX} levels deep"));
        }
        let text = to_raw_value(&value).map_err(|error| error.to_string())?;
        Ok(Self(Text { text, bytes: bytes(&value) }))
    }
}

/// Whether a text or a name in the value contains U+0000, which PostgreSQL cannot store.
pub(crate) fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Size of a value, in bytes: compact JSON in UTF-8, with all digits of its numbers, so that `1e300` counts 301. The
/// database writes numbers so.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(is_true) => {
            if *is_true {
                4
            } else {
                5
            }
        }
        Value::Number(number) => written_bytes(&number.to_string()),
        Value::String(text) => text_bytes(text),
        Value::Array(items) => 2 + items.iter().map(bytes).sum::<usize>() + items.len().saturating_sub(1),
        Value::Object(members) => {
            let members_bytes: usize = members.iter().map(|(name, value)| text_bytes(name) + 1 + bytes(value)).sum();
            2 + members_bytes + members.len().saturating_sub(1)
        }
    }
}

/// Size of a text in quotes, with its escapes.
fn text_bytes(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0x00..=0x1f => 6,
        _ => 1,
    });
    2 + escaped.sum::<usize>()
}

/// Length of a number once it has no exponent.
fn written_bytes(number: &str) -> usize {
    let Some((mantissa, exponent)) = number.split_once('e') else { return number.len() };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let sign = usize::from(mantissa.starts_with('-'));
    match exponent.strip_prefix('-') {
        // `0.`, zeros, and the digits.
        Some(places) => sign + 1 + places.parse().unwrap_or(0) + digits,
        None => sign + digits.max(1 + exponent.parse().unwrap_or(0)),
    }
}

/// The recursion ends after `depth` levels.
fn is_deeper_than(value: &Value, depth: usize) -> bool {
    let is_too_deep = |child: &Value| is_deeper_than(child, depth - 1);
    match value {
        Value::Array(items) => depth == 0 || items.iter().any(is_too_deep),
        Value::Object(members) => depth == 0 || members.values().any(is_too_deep),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |inner, level| match level % 2 {
            0 => Value::Array(vec![inner]),
            _ => serde_json::json!({"a": inner}),
        })
    }

    #[test]
    fn json_nested_too_deeply_is_refused() {
        assert!(Json::try_from(nested(DEPTH_MAX)).is_ok());
        assert!(Json::try_from(nested(DEPTH_MAX + 1)).is_err());
        assert!(Json::try_from(serde_json::json!([1, [2, nested(DEPTH_MAX - 1)]])).is_err());
    }

    #[test]
    fn a_size_is_that_of_compact_json_with_all_digits() {
        for (json, written) in [
            (r#" {"a" : [ 1 , 2.5 , null , true , false ] , "b\u0001" : "\u00e9\n\"" } "#, None),
            ("[]", None),
            ("{}", None),
            ("[1, -9223372036854775808, 18446744073709551615, 0.1, -0.0]", None),
            ("1e300", Some("1".to_owned() + &"0".repeat(300))),
            ("-1.5e300", Some("-15".to_owned() + &"0".repeat(299))),
            ("1.7976931348623157e308", Some("17976931348623157".to_owned() + &"0".repeat(292))),
            ("1.25e-7", Some("0.000000125".to_owned())),
            ("-5e-324", Some("-0.".to_owned() + &"0".repeat(323) + "5")),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(bytes(&value), written.unwrap_or_else(|| value.to_string()).len(), "{json}");
        }
    }
}
