//! Reads the JSON of callers as it is, and only as far as it may be stored.
//!
//! `serde_json::Value` does not: with the feature `raw_value`, it reads an object whose first member is
//! `$serde_json::private::RawValue` as the JSON in the text of that member. And it has no limit: a body of 8 MiB can have a
//! million values, which need half a gigabyte of memory.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Any JSON value, as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Plain(pub Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_within(deserializer, usize::MAX).map(Self)
    }
}

/// Refuses a value that is larger than `bytes_max`, in compact JSON.
pub(crate) fn too_large(bytes_max: usize) -> String {
    format!("must be at most {bytes_max} bytes of compact JSON, with all digits of its numbers")
}

/// Deserializes a value. Refuses it if it needs more than `bytes_max` of compact JSON, and keeps nothing of it from there on.
/// One that is a little larger may be let through, since each number counts as one byte.
///
/// # Errors
/// A text that states the limit, and the errors of the deserializer.
pub(crate) fn read_within<'de, D: Deserializer<'de>>(deserializer: D, bytes_max: usize) -> Result<Value, D::Error> {
    within(bytes_max, |read| read.deserialize(deserializer))
}

/// Deserializes a value, as [`read_within`] does. `None` if it is larger.
///
/// # Errors
/// The errors of the deserializer.
pub(crate) fn read_up_to<'de, D: Deserializer<'de>>(
    deserializer: D,
    bytes_max: usize,
) -> Result<Option<Value>, D::Error> {
    let left = Cell::new(Some(bytes_max));
    let value = Bounded { left: &left }.deserialize(deserializer)?;
    Ok(left.get().map(|_left| value))
}

/// Deserializes an object, as [`read_within`] does.
///
/// # Errors
/// As those of [`read_within`].
pub(crate) fn read_members_within<'de, D: Deserializer<'de>>(
    deserializer: D,
    bytes_max: usize,
) -> Result<Map<String, Value>, D::Error> {
    within(bytes_max, |read| deserializer.deserialize_any(Members(read)))
}

/// Deserializes an object.
///
/// # Errors
/// The errors of the deserializer.
pub(crate) fn read_members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    read_members_within(deserializer, usize::MAX)
}

/// Deserializes a list. Refuses it if more than `max` of its items are to be `kept`, and reads none from there on.
///
/// # Errors
/// The text `too_many`, and the errors of the deserializer.
pub(crate) fn read_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    max: usize,
    too_many: &str,
    kept: impl FnMut(&T) -> bool,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(List { max, too_many, kept, items: Vec::new() })
}

/// Reads a list.
struct List<'a, T, F> {
    max: usize,
    too_many: &'a str,
    kept: F,
    items: Vec<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(&T) -> bool> Visitor<'de> for List<'_, T, F> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Vec<T>, A::Error> {
        while let Some(item) = access.next_element()? {
            if !(self.kept)(&item) {
                continue;
            }
            if self.items.len() == self.max {
                // Malformed JSON is reported first.
                while access.next_element::<IgnoredAny>()?.is_some() {}
                return Err(A::Error::custom(self.too_many));
            }
            self.items.push(item);
        }
        Ok(self.items)
    }
}

fn within<T, E: Error>(bytes_max: usize, read: impl FnOnce(Bounded<'_>) -> Result<T, E>) -> Result<T, E> {
    let left = Cell::new(Some(bytes_max));
    let value = read(Bounded { left: &left })?;
    match left.get() {
        Some(_left) => Ok(value),
        None => Err(E::custom(too_large(bytes_max))),
    }
}

/// Reads an object.
struct Members<'a>(Bounded<'a>);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Map<String, Value>, A::Error> {
        self.0.members(access)
    }
}

/// Reads a value. Once too many bytes were read, `left` is `None`, and values are read as `null`.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    left: &'a Cell<Option<usize>>,
}

impl Bounded<'_> {
    fn take(self, bytes: usize) {
        self.left.set(self.left.get().and_then(|left| left.checked_sub(bytes)));
    }

    fn scalar(self, bytes: usize, value: impl FnOnce() -> Value) -> Value {
        self.take(bytes);
        if self.left.get().is_some() { value() } else { Value::Null }
    }
}

impl Bounded<'_> {
    fn members<'de, A: MapAccess<'de>>(self, mut access: A) -> Result<Map<String, Value>, A::Error> {
        let mut members = Map::new();
        self.take(2);
        while self.left.get().is_some() {
            let Some(name) = access.next_key::<String>()? else { return Ok(members) };
            self.take(name.len() + 3 + usize::from(!members.is_empty()));
            members.insert(name, access.next_value_seed(self)?);
        }
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Map::new())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any valid JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(self.scalar(4, || Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(self.scalar(4, || value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(self.scalar(1, || value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(self.scalar(1, || value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(self.scalar(1, || value.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(self.scalar(text.len() + 2, || text.into()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(self.scalar(text.len() + 2, || text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        self.take(2);
        while self.left.get().is_some() {
            let Some(item) = access.next_element_seed(self)? else { return Ok(items.into()) };
            self.take(usize::from(!items.is_empty()));
            items.push(item);
        }
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        self.members(access).map(Value::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, bytes_max: usize) -> Result<Map<String, Value>, String> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        read_members_within(&mut deserializer, bytes_max).map_err(|error| error.to_string())
    }

    #[test]
    fn an_object_is_read_as_it_is_if_it_fits() {
        let json = r#"{"a":[1,-2,0.5,null,true,false,"é\n",[],{}],"b":{"":18446744073709551615},"c":[[1],[2]]}"#;
        assert_eq!(Value::Object(read(json, json.len()).unwrap()), serde_json::from_str::<Value>(json).unwrap());
        let raw = r#"{"$serde_json::private::RawValue":"[1]"}"#;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Plain>(raw).unwrap()).unwrap(), raw);
        let tight = r#"{"a":[1,null,true,"xy"],"b":{"":2}}"#;
        assert!(read(tight, tight.len()).is_ok());
        assert!(read(tight, tight.len() - 1).unwrap_err().starts_with("must be at most 34 bytes"));
    }

    #[test]
    fn nothing_is_kept_of_what_is_too_large() {
        let left = Cell::new(Some(20));
        let mut deserializer = serde_json::Deserializer::from_str(r#"[{"":0},{"":0},"long",[1],{"a":2}]"#);
        let value = Bounded { left: &left }.deserialize(&mut deserializer).unwrap();
        assert_eq!((value, left.get()), (Value::Null, None));
        deserializer.end().unwrap();
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(read("[1]", 100).unwrap_err().contains("invalid type: sequence, expected a map"));
    }
}
