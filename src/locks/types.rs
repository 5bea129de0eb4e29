//! Values and results of locks.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::limits::LEASE_METADATA_MAX;
use crate::json::{self, Json};
use crate::name::Name;
use crate::number::Bounded;
use crate::number::wide;
use crate::time::Time;

/// Lease time, in milliseconds, 1,000 to 86,400,000 (24 hours).
pub type TtlMs = Bounded<1_000, 86_400_000>;

/// Length of a token, in characters.
const TOKEN_CHARS: std::ops::RangeInclusive<usize> = 16..=128;

/// Secret that proves ownership of a lock, 16 to 128 characters of printable ASCII. The server stores only its SHA-256.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 16, max_length = 128, pattern = "^[ -~]+$", example = "pIgkGYhFJ0tW5WTxEnZ9UIEMlQnSfG1A")]
pub struct LockToken(String);

impl LockToken {
    /// Encodes a secret as a token.
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

/// Description of a holder: any JSON of at most 4 KiB, nested at most 64 levels deep. The size is that of compact JSON
/// in UTF-8, with all digits of its numbers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LockMetadata, value_type = Value, example = json!({"worker": "eu-3"}))]
pub struct Metadata(Json);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = json::read_within(deserializer, LEASE_METADATA_MAX)?;
        Json::within(value, LEASE_METADATA_MAX).map(Self).map_err(D::Error::custom)
    }
}

/// The lease of a lock, for its holder.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Name of the lock.
    pub name: Name,
    /// Secret that proves ownership of the lock. `checkLock` and `listLocks` do not return it.
    #[serde(default)]
    #[schema(required, value_type = LockToken)]
    pub token: Option<LockToken>,
    /// Fencing token: a number that is higher for every new lease of the lock. Send it to the resource that the lock
    /// protects. A resource that has seen a higher fence must refuse a lower one: its sender no longer holds the lock.
    #[serde(serialize_with = "wide")]
    #[schema(example = 12)]
    pub fence: i64,
    /// Start of the lease.
    pub acquired_at: Time,
    /// End of the lease if it is neither extended nor released, on the database's clock.
    pub expires_at: Time,
    /// Whether the token is made with the key of the database. `None`: by a server before version 0.2.
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    pub is_coded: Option<bool>,
}

/// The state of a lock.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// Name of the lock.
    pub name: Name,
    /// Whether the lock is held now.
    #[schema(example = true)]
    pub locked: bool,
    /// Fence of the current lease; `null` if the lock is free.
    #[serde(serialize_with = "wide")]
    #[schema(required, example = 12)]
    pub fence: Option<i64>,
    /// Start of the current lease; `null` if the lock is free.
    #[schema(required)]
    pub acquired_at: Option<Time>,
    /// End of the current lease; `null` if the lock is free.
    #[schema(required)]
    pub expires_at: Option<Time>,
    /// Description of the holder, from `acquireLock`; `null` if it gave none or the lock is free.
    #[schema(required, value_type = Option<Value>, example = json!({"worker": "eu-3"}))]
    pub metadata: Option<Box<RawValue>>,
}
