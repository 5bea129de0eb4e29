//! What a caller puts around a write: a key that makes it safe to repeat, and a lock that it must hold.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::name::Name;
use crate::number::int64;

/// The lock that must be held, with this fence, for a call to run: checked in the same turn. Else the call changes nothing
/// and answers `stale-fence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Guard {
    /// The lock.
    pub lock: Name,
    /// The fence of the lease, as `acquireLock` answered it.
    #[serde(deserialize_with = "int64")]
    #[schema(example = 12)]
    pub fence: i64,
}

/// A key under which a write runs once, whatever is sent again: 8 to 128 characters of printable ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: String,
    request_sha256: [u8; 32],
}

/// The shortest and the longest key, in characters.
const KEY_CHARS: std::ops::RangeInclusive<usize> = 8..=128;

impl IdempotencyKey {
    /// The key that a caller sent, with a request of which `parts` are everything that makes it the same one.
    #[must_use]
    pub fn parse<'a>(key: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let is_printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !is_printable || !KEY_CHARS.contains(&key.len()) {
            return None;
        }
        let mut digest = Sha256::new();
        for part in parts {
            // The length first, so that no two lists of parts run together.
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        Some(Self { key: key.to_owned(), request_sha256: digest.finalize().into() })
    }

    /// A secret that is the same whenever the same payer sends the same key: the token of a lock that was acquired with
    /// it is never stored, and still known when the call is repeated. `place` tells the calls of a transaction apart.
    pub(crate) fn secret(&self, payer: &str, place: usize) -> [u8; 24] {
        let mut digest = Sha256::new();
        digest.update(format!("payerbase token\n{payer}\n{place}\n{}", self.key));
        let mut secret = [0; 24];
        for (to, from) in secret.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        secret
    }
}

/// What stands around one write.
#[derive(Clone, Default)]
pub struct Around {
    /// Runs once under this key.
    pub key: Option<IdempotencyKey>,
    /// Runs only while this is held.
    pub guard: Option<Guard>,
}

impl Around {
    /// As `rpc.write_around` reads it; nothing for most.
    pub(super) fn params(&self) -> Option<String> {
        if self.key.is_none() && self.guard.is_none() {
            return None;
        }
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut params = serde_json::Map::new();
        if let Some(key) = &self.key {
            params.insert("key".into(), hex(&Sha256::digest(&key.key)).into());
            params.insert("request".into(), hex(&key.request_sha256).into());
        }
        if let Some(guard) = &self.guard {
            params.insert("guard".into(), serde_json::json!(guard));
        }
        Some(serde_json::Value::Object(params).to_string())
    }
}
