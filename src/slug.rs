//! Slugs: the last segments of short URLs.

use rand::RngExt as _;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Length of a generated slug, in characters: 62^8 (2 * 10^14) possible slugs.
const GENERATED_CHARS: usize = 8;

/// Last segment of a short URL, 3 to 64 of `A-Z a-z 0-9 _ -`. All payers share the slugs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 3, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
pub struct Slug(String);

impl Slug {
    /// A random slug of 8 letters and digits.
    pub(crate) fn generate() -> Self {
        Self(rand::rng().sample_iter(Alphanumeric).take(GENERATED_CHARS).map(char::from).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = &'static str;

    fn try_from(slug: String) -> Result<Self, Self::Error> {
        let is_plain = slug.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        match is_plain && (3..=64).contains(&slug.len()) {
            true => Ok(Self(slug)),
            false => Err("must be 3 to 64 of A-Z a-z 0-9 _ -"),
        }
    }
}
