//! Lists come in pages.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// How many items a page has when the caller does not say.
const DEFAULT: u32 = 100;
/// The largest page: what one answer can hold without making others wait.
const MAX: u32 = 1_000;

/// How many items a page may have: 1 to 1,000, default 100.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(value_type = u32, minimum = 1, maximum = 1000, default = 100)]
pub struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Limit;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an integer")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Limit, E> {
                let limit = u32::try_from(number).ok().filter(|limit| (1..=MAX).contains(limit));
                limit.map(Limit).ok_or_else(|| E::custom(format!("must be 1 to {MAX}")))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Limit, E> {
                self.visit_u64(u64::try_from(number).unwrap_or_default())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Limit, E> {
                let number = text.parse::<i64>();
                let number = number.map_err(|_no_number| E::invalid_type(serde::de::Unexpected::Str(text), &self))?;
                self.visit_i64(number)
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// Where the next page begins, as the caller sends it back: opaque outside, the key of the last item inside.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(value_type = String, example = "dmlzaXRz")]
pub struct Cursor(String);

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let opaque = String::deserialize(deserializer)?;
        let key = BASE64_URL_SAFE_NO_PAD.decode(opaque).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let key = key.filter(|key| !key.contains('\0'));
        key.map(Self).ok_or_else(|| D::Error::custom("must be the `nextCursor` of an answer"))
    }
}

/// Where the next page begins, as the caller receives it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(value_type = String, example = "dmlzaXRz")]
pub struct NextCursor(String);

impl Serialize for NextCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(&self.0))
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Send it as `cursor` for the next page; `null` on the last one.
    #[schema(value_type = Option<String>, example = json!(null))]
    pub next_cursor: Option<NextCursor>,
}
