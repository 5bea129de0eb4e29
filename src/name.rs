//! Names that callers choose.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::limits::Named;

/// Size limit of a name in UTF-8, in bytes: long enough for a path or a URN, short enough for every index.
pub const NAME_BYTES_MAX: usize = 256;

/// Name chosen by the caller, 1 to 256 bytes of UTF-8 without control characters.
///
/// Names are compared byte by byte: `A` differs from `a`, and Unicode is not normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
pub struct Name(String);

impl Name {
    /// A name that this program chose, without a check.
    pub(crate) fn ours(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of something that a call may create. `.` and `..` are refused, because URL clients remove them from paths:
/// `/v1/counters/../increment` never arrives. Earlier versions took them, so reads still do.
pub(crate) fn in_paths(name: Name) -> Result<Name, &'static str> {
    match name.as_str() {
        "." | ".." => Err("must not be `.` or `..`: URL clients remove them from paths"),
        _ => Ok(name),
    }
}

/// Deserializes the name of something that the call may create.
///
/// # Errors
/// Those of [`Name`] and of [`in_paths`].
pub(crate) fn addressable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    in_paths(Name::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The end of a range of names in SQL, `prefix || {{prefix_end}}`: no name with the prefix is greater. The highest character
/// has four bytes, so 65 of them are longer than any name.
pub(crate) fn prefix_end() -> Named {
    Named::text("prefix_end", "repeat(chr(1114111), 65)".to_owned())
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!("must be 1 to {NAME_BYTES_MAX} bytes of UTF-8"));
        }
        if name.chars().any(char::is_control) {
            return Err("must not contain control characters".to_owned());
        }
        Ok(Self(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_1_to_256_bytes_without_control_characters() {
        for good in ["a", "ä/ö ü", ".", &"x".repeat(256), "\u{10ffff}"] {
            assert!(Name::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
        for bad in ["", &"x".repeat(257), &"ä".repeat(129), "a\nb", "\u{7f}", "\u{85}"] {
            assert!(Name::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
