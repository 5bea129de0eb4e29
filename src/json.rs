//! JSON values that callers store.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Maximum depth of a stored JSON value. An answer contains the value at a greater depth, and parsers must still read
/// it.
pub const DEPTH_MAX: usize = 64;

/// Any JSON value, at most 64 levels deep. Numbers are stored as 64-bit integers or as doubles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Value")]
#[schema(value_type = Value)]
pub struct Json(Value);

impl Json {
    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// The value.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.0
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

/// Deserializes a member that may be absent but not null. For `#[serde(default)]` fields.
///
/// # Errors
/// The errors of the deserializer.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<Value> for Json {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        check_depth([&value], DEPTH_MAX).map(|()| Self(value))
    }
}

/// Refuses the values if one of them is nested deeper than `depth`.
///
/// # Errors
/// A text that states the limit.
pub(crate) fn check_depth<'a>(values: impl IntoIterator<Item = &'a Value>, depth: usize) -> Result<(), String> {
    match values.into_iter().any(|value| is_deeper_than(value, depth)) {
        false => Ok(()),
        true => Err(format!("must be nested at most {DEPTH_MAX} levels deep")),
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
}
