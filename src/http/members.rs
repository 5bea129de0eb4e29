//! Serde's view of a request: the parameters and the members of the body are one map.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

use super::parameters::Parameters;

/// A JSON object, with the parameters before its own members.
pub(super) struct Merged<'a, 'de> {
    pub parameters: &'a Parameters,
    pub body: &'a mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>,
}

impl<'de> Deserializer<'de> for Merged<'_, 'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.body.deserialize_map(MembersBefore { parameters: self.parameters, visitor })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The parameters alone. A parameter without a value only has to exist.
pub(super) struct Parsed<'a> {
    pub parameters: &'a Parameters,
    pub empty: &'a [Cow<'static, str>],
}

impl<'de> Deserializer<'de> for Parsed<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(Members { parameters: self.parameters.iter(), value: None, body: NoBody })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.empty.iter().find(|name| !fields.contains(&name.as_ref())) {
            Some(unknown) => Err(serde::de::Error::unknown_field(unknown, fields)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct MembersBefore<'a, V> {
    parameters: &'a Parameters,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for MembersBefore<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, body: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Members { parameters: self.parameters.iter(), value: None, body })
    }
}

/// The parameters, then the members of the body.
struct Members<'a, A> {
    parameters: std::slice::Iter<'a, (Cow<'static, str>, String)>,
    /// The value of the parameter whose name was read last.
    value: Option<&'a str>,
    body: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.parameters.next() {
            Some((name, value)) => {
                self.value = Some(value);
                seed.deserialize(Parameter { text: name, error: PhantomData }).map(Some)
            }
            None => self.body.next_key_seed(seed),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value.take() {
            Some(text) => seed.deserialize(Parameter { text, error: PhantomData }),
            None => self.body.next_value_seed(seed),
        }
    }
}

/// A parameter: a text that is never absent.
struct Parameter<'a, E> {
    text: &'a str,
    error: PhantomData<E>,
}

impl<'de, E: serde::de::Error> Deserializer<'de> for Parameter<'_, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_str(self.text)
    }

    /// A number is written as in JSON.
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match (self.text.parse(), serde_json::from_str(self.text)) {
            (Ok(number), _) => visitor.visit_i64(number),
            (Err(_), Ok(number)) => visitor.visit_f64(number),
            (Err(_), Err(_)) => visitor.visit_str(self.text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.text {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(E::custom("must be `true` or `false`")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// The members of a request without a body.
struct NoBody;

impl<'de> MapAccess<'de> for NoBody {
    type Error = serde::de::value::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, Self::Error> {
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<S::Value, Self::Error> {
        Err(serde::de::Error::custom("there are no members"))
    }
}
