//! Conditions of a write: a key that makes it safe to retry, and a lock that it must hold.

use hmac::Mac as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::auth::DatabaseKey;
use crate::name::Name;
use crate::number::int64;

/// A lock that must be held, with this fence, when the call runs. Otherwise the call changes nothing and fails with
/// `stale-fence`. The lock is checked in the same transaction as the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Guard {
    /// Name of the lock.
    pub lock: Name,
    /// Fence of the lease, from the result of `acquireLock`.
    #[serde(deserialize_with = "int64")]
    #[schema(example = 12)]
    pub fence: i64,
}

/// An idempotency key: a write runs once per key, however often it is sent. 8 to 128 characters of printable ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: String,
    request_sha256: [u8; 32],
}

/// Prefix of the data in codes for tokens of locks. Those of other purposes have another prefix.
const OF_LOCK: &[u8] = b"\0\0\0\0\0\0\0\0token of a lock\n";
/// Length of a key, in characters.
const KEY_CHARS: std::ops::RangeInclusive<usize> = 8..=128;

impl IdempotencyKey {
    /// The key of a request. `parts` identify the request: another request with the same key is refused. `None` if the
    /// key is malformed.
    #[must_use]
    pub fn parse<'a>(key: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let is_printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !is_printable || !KEY_CHARS.contains(&key.len()) {
            return None;
        }
        Some(Self { key: key.to_owned(), request_sha256: digest_of(parts) })
    }

    /// The key of a request that came with a payment and without a key: it runs once for the payment.
    #[must_use]
    pub(super) fn of_payment(id: &str, request_sha256: [u8; 32]) -> Self {
        Self { key: format!("payment {id}"), request_sha256 }
    }

    /// The key of a caller who acts for a payer: the answers under its keys are its own.
    #[must_use]
    pub(super) fn of_caller(&self, caller: &str) -> Self {
        Self { key: format!("\n{caller}\n{}", self.key), request_sha256: self.request_sha256 }
    }

    /// The key of a caller who may read only these tables in SQL: an answer that was made with other ones is not its own.
    #[must_use]
    pub(super) fn of_reader(&self, readable: &[&str]) -> Self {
        let tables = readable.iter().map(|table| table.as_bytes());
        let request_sha256 = digest_of(std::iter::once(self.request_sha256.as_slice()).chain(tables));
        Self { key: self.key.clone(), request_sha256 }
    }

    /// A secret for a resource that depends on the payer, the key and the index of the call in its transaction. The token of a lock is
    /// made this way: it is never stored, and a retry of `acquireLock` returns the same token. A key can be guessed,
    /// and the id of a payment is public, so the secret depends on the key of the database.
    pub(super) fn secret(&self, servers: &DatabaseKey, payer: &str, index: usize, resource: &str) -> [u8; 24] {
        // Line ends separate the parts. Payers and names have none. A key has none, or two if the caller acts for the payer.
        let data = format!("{payer}\n{index}\n{}\n{resource}", self.key);
        let code = servers.mac().chain_update(OF_LOCK).chain_update(data);
        first_bytes(code.finalize().into_bytes())
    }

    /// The secret that servers before version 0.2 made, without a key of their own.
    pub(super) fn earlier_secret(&self, payer: &str, index: usize) -> [u8; 24] {
        first_bytes(Sha256::digest(format!("payerbase token\n{payer}\n{index}\n{}", self.key)))
    }
}

fn first_bytes(digest: impl IntoIterator<Item = u8>) -> [u8; 24] {
    let mut first = [0; 24];
    for (to, from) in first.iter_mut().zip(digest) {
        *to = from;
    }
    first
}

/// SHA-256 of the parts of a request.
pub fn digest_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        // The length comes first, so that different lists of parts have different digests.
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// What calls use of the rights of their caller (`auth.check_rights`).
#[derive(Clone, Serialize)]
pub struct Rights {
    /// Id of the grant, if the caller acts for the payer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grant: Option<String>,
    /// Id of the allowance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allowance: Option<String>,
    /// The holder of the allowance in problems: `token` or `grant`.
    pub(super) holder: &'static str,
    /// Number of calls.
    pub(super) calls: usize,
}

/// What a turn takes from a caller who acts for the payer (`rpc.charge_caller`).
#[derive(Clone, Serialize)]
pub struct CallerCharge {
    pub(super) payer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rights: Option<Rights>,
    /// The assets in which the caller can pay, as the database names them. Empty: it does not pay.
    pub(super) assets: Vec<String>,
    pub(super) prices: Vec<i64>,
}

/// What a turn uses of the rights of the caller.
#[derive(Clone)]
pub struct Uses {
    /// Of the token or the grant of the payer.
    pub(super) rights: Option<Rights>,
    /// Of a caller who acts for the payer.
    pub(super) caller: Option<CallerCharge>,
}

/// The conditions of one call, of which only a write can have a key or a guard.
#[derive(Clone, Default)]
pub struct Conditions {
    /// Run once under this key.
    pub key: Option<Box<IdempotencyKey>>,
    /// Run only while this lock is held.
    pub guard: Option<Guard>,
    /// SHA-256 of the request, if a payment came with it.
    pub request_sha256: Option<Box<[u8; 32]>>,
    /// What its turn uses of the rights of its caller.
    pub uses: Option<Box<Uses>>,
    /// Look in the turn whether a quota of the payer is used up.
    pub looks_for_quotas: bool,
}

impl Conditions {
    /// The conditions as JSON for `rpc.write_with_conditions`. `None` if there are none, as for most calls.
    pub(super) fn to_json(&self) -> Option<String> {
        if self.key.is_none() && self.guard.is_none() && self.uses.is_none() && !self.looks_for_quotas {
            return None;
        }
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut members = serde_json::Map::new();
        if let Some(key) = &self.key {
            members.insert("key".into(), hex(&Sha256::digest(&key.key)).into());
            members.insert("request".into(), hex(&key.request_sha256).into());
        }
        if let Some(guard) = &self.guard {
            members.insert("guard".into(), serde_json::json!(guard));
        }
        if let Some(uses) = &self.uses {
            members.insert("rights".into(), serde_json::json!(uses.rights));
            members.insert("caller".into(), serde_json::json!(uses.caller));
        }
        if self.looks_for_quotas {
            members.insert("quotas".into(), true.into());
        }
        Some(serde_json::Value::Object(members).to_string())
    }
}
