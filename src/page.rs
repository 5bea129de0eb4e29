//! Pages of lists, and their cursors.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::number::Bounded;

/// Maximum number of items in a page, 1 to 1,000. Default: 100. Larger pages would delay other calls.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = u32, minimum = 1, maximum = 1000, default = 100)]
pub struct Limit(Bounded<1, 1_000>);

impl Default for Limit {
    fn default() -> Self {
        Self(Bounded::of::<100>())
    }
}

/// Position in a list: the `nextCursor` of the previous page. The text is opaque to callers; it encodes the key of the
/// last item.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(value_type = String)]
pub struct Cursor(String);

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let opaque = String::deserialize(deserializer)?;
        let key = BASE64_URL_SAFE_NO_PAD.decode(opaque).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let key = key.filter(|key| !key.contains('\0'));
        key.map(Self).ok_or_else(|| D::Error::custom(MALFORMED))
    }
}

/// A [`Cursor`] whose key is parsed as `K`.
#[derive(Clone, Debug)]
pub struct CursorOf<K>(K);

impl<'de, K: FromStr> Deserialize<'de> for CursorOf<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = Cursor::deserialize(deserializer)?.0.parse();
        key.map(Self).map_err(|_no_key| D::Error::custom(MALFORMED))
    }
}

impl<K: Display> Serialize for CursorOf<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Error detail for a malformed cursor.
const MALFORMED: &str = "must be the cursor of an earlier answer";

/// Position of the next page in a list, to send as `cursor`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(value_type = String)]
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
    /// Items of the page, in the order of the list.
    pub items: Vec<T>,
    /// Cursor of the next page, to send as `cursor`; `null` on the last page.
    #[schema(required, value_type = Option<String>, example = json!(null))]
    pub next_cursor: Option<NextCursor>,
}
