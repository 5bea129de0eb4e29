//! JSON that every program reads in the same way.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::refusal::Malformed;

/// Reads JSON of another program.
///
/// An object with two members of one name is refused, also if their names differ in case only: a facilitator may read the other
/// member of the two. So is JSON that is nested more than 127 levels deep.
///
/// # Errors
/// The error of the reader.
pub(super) fn read<T: DeserializeOwned>(json: &str) -> Result<T, Malformed> {
    let Strict = serde_json::from_str(json)?;
    Ok(serde_json::from_str(json)?)
}

/// Any JSON value in which each name is unique.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any valid JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _value: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _value: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _value: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _value: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _text: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self, A::Error> {
        while let Some(Self) = access.next_element()? {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Self)) = access.next_entry::<String, Self>()? {
            // In this order, the long s is an S, and the Kelvin sign is a K.
            if !names.insert(name.to_lowercase().to_uppercase()) {
                return Err(A::Error::custom("two members of an object have the same name"));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read(json: &str) -> bool {
        read::<serde::de::IgnoredAny>(json).is_ok()
    }

    #[test]
    fn a_name_is_unique_in_its_object() {
        assert!(is_read(r#"{"a":[{"a":1},{"a":null}],"b":{"a":-1,"b":0.5},"c":"\u00e9","d":true}"#));
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"A":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"[{"b":{"signature":1,"ſignature":1}}]"#,
            "{\"k\":1,\"\u{212a}\":1}",
        ] {
            assert!(!is_read(json), "{json}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_read(&nested(127)));
        assert!(!is_read(&nested(128)));
        assert!(!is_read(&"[".repeat(16 << 10)));
    }

    #[test]
    fn there_is_one_value() {
        for json in ["", "{", "[1,]", "{} {}", "nul", "1e999", r#""\ud800""#] {
            assert!(!is_read(json), "{json}");
        }
    }
}
