//! Lists come in pages.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::number::Bounded;

/// How many items a page may have: 1 to 1,000, default 100. More would make others wait for one answer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = u32, minimum = 1, maximum = 1000, default = 100)]
pub struct Limit(Bounded<1, 1_000>);

impl Default for Limit {
    fn default() -> Self {
        Self(Bounded::of::<100>())
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
        key.map(Self).ok_or_else(|| D::Error::custom(NOT_OURS))
    }
}

/// A [`Cursor`] whose key is more than a name.
#[derive(Clone, Debug)]
pub struct CursorOf<K>(K);

impl<'de, K: FromStr> Deserialize<'de> for CursorOf<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = Cursor::deserialize(deserializer)?.0.parse();
        key.map(Self).map_err(|_no_key| D::Error::custom(NOT_OURS))
    }
}

impl<K: Display> Serialize for CursorOf<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Said of a cursor that no answer can have brought.
const NOT_OURS: &str = "must be the `nextCursor` of an answer";

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
    #[schema(required, value_type = Option<String>, example = json!(null))]
    pub next_cursor: Option<NextCursor>,
}
