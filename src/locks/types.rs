//! Values and results of locks.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::json::Json;
use crate::name::Name;
use crate::number::Bounded;
use crate::time::Time;

/// How long a lease lasts, in milliseconds: 1 second to 24 hours.
pub type TtlMs = Bounded<1_000, 86_400_000>;

/// The shortest and the longest token, in characters.
const TOKEN_CHARS: std::ops::RangeInclusive<usize> = 16..=128;
/// Bytes of metadata, as JSON.
const METADATA_BYTES_MAX: usize = 4_096;

/// What proves that a lock is held: 16 to 128 characters of printable ASCII. Only its SHA-256 is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 16, max_length = 128, pattern = "^[ -~]+$", example = "pIgkGYhFJ0tW5WTxEnZ9UIEMlQnSfG1A")]
pub struct LockToken(String);

impl LockToken {
    /// The token of these random bits.
    #[must_use]
    pub fn of(secret: [u8; 24]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(secret))
    }
}

impl TryFrom<String> for LockToken {
    type Error = String;

    fn try_from(token: String) -> Result<Self, Self::Error> {
        let is_printable = token.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !is_printable || !TOKEN_CHARS.contains(&token.len()) {
            let (min, max) = (TOKEN_CHARS.start(), TOKEN_CHARS.end());
            return Err(format!("must be {min} to {max} characters of printable ASCII"));
        }
        Ok(Self(token))
    }
}

impl fmt::Debug for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockToken(..)")
    }
}

/// What a holder says about itself: any JSON of at most 4 KiB and 64 levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Json")]
#[schema(value_type = Value, example = json!({"worker": "eu-3"}))]
pub struct Metadata(Json);

impl TryFrom<Json> for Metadata {
    type Error = String;

    fn try_from(value: Json) -> Result<Self, Self::Error> {
        match value.as_value().to_string().len() <= METADATA_BYTES_MAX {
            true => Ok(Self(value)),
            false => Err(format!("must be at most {METADATA_BYTES_MAX} bytes of JSON")),
        }
    }
}

/// A lock that the caller holds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// What the payer calls the lock.
    pub name: Name,
    /// What proves that it is held. Nobody else can read it, and `checkLock` does not show it.
    #[serde(default)]
    #[schema(value_type = LockToken)]
    pub token: Option<LockToken>,
    /// Rises with every new lease of this name and never goes back. Give it to whatever the lock protects: who comes with
    /// a lower one than was seen before no longer holds the lock.
    #[schema(example = 12)]
    pub fence: i64,
    /// When the lease began.
    pub acquired_at: Time,
    /// When it ends by itself, on the database's clock.
    pub expires_at: Time,
}

/// A lock as everybody who may read it sees it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// What the payer calls it.
    pub name: Name,
    /// Whether it is held now.
    #[schema(example = true)]
    pub locked: bool,
    /// The fence of the lease; `null` when it is free.
    #[schema(required, example = 12)]
    pub fence: Option<i64>,
    /// When the lease began; `null` when it is free.
    #[schema(required)]
    pub acquired_at: Option<Time>,
    /// When the lease ends; `null` when it is free.
    #[schema(required)]
    pub expires_at: Option<Time>,
    /// What the holder said about itself.
    #[schema(required, value_type = Option<Value>, example = json!({"worker": "eu-3"}))]
    pub metadata: Option<Value>,
}
