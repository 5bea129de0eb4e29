//! Methods of locks, with their parameters.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::types::{Lease, Lock, LockToken, Metadata, TtlMs};
use crate::auth::Scope;
use crate::call::{Answer, Context, Entry, Method, Spec, Wait, method};
use crate::json::or_default;
use crate::name::{Name, addressable};
use crate::page::{Cursor, Limit, Page};
use crate::problem::{Code, Problem};
use crate::quotas::Primitive;
use crate::site::Site;
use crate::waiting::{Awaited, WaitMs, Wake, Wanted};

/// All methods of locks.
pub const METHODS: &[Entry] = &[
    Entry::of::<AcquireLock>(),
    Entry::of::<ExtendLock>(),
    Entry::of::<CheckLock>(),
    Entry::of::<ListLocks>(),
    Entry::of::<ReleaseLock>(),
];

/// Problems of a caller that does not hold the lock.
const NOT_HOLDER: &[Code] = &[Code::LockNotHeld, Code::LockExpired, Code::LockWrongToken];

const fn write(name: &'static str) -> Spec {
    Spec::write(name).scope(Scope::LocksWrite).names(&["name"])
}

/// Acquires a lock.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct AcquireLock {
    /// Name of the lock.
    #[serde(deserialize_with = "addressable")]
    #[schema(ignore)]
    pub name: Name,
    /// Lease time, in milliseconds, 1,000 to 86,400,000 (24 hours).
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, example = 30000)]
    pub ttl_ms: TtlMs,
    /// Secret that proves ownership, 16 to 128 characters of printable ASCII. Acquiring again with the holder's token
    /// returns the same lease, unchanged. Default: 32 characters (192 bits), random, or derived from the
    /// `Idempotency-Key` if the request has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<LockToken>,
    /// Maximum time to wait for the lock, in milliseconds, 0 to 30,000. Default: 0. Waiters on one server acquire the
    /// lock in order of arrival. Must be 0 in a transaction.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = i64, minimum = 0, maximum = 30000, default = 0, example = 5000)]
    pub wait_ms: WaitMs,
    /// Description of the holder, for `checkLock` and `listLocks`: any JSON of at most 4 KiB, nested at most 64 levels
    /// deep. Default: `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// For [`Lease::is_coded`].
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub is_coded: bool,
    /// The token that a server before version 0.2 would have made.
    #[serde(skip)]
    pub earlier_token: Option<LockToken>,
}

impl Method for AcquireLock {
    type Output = Lease;
    const SPEC: Spec = write("acquireLock")
        .primitive(Primitive::Locks)
        .problems(&[Code::LockHeld, Code::QuotaExceeded])
        .with_secret("token")
        .refs(&[("metadata", "null")]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        self.is_coded = true;
        if self.token.is_none() {
            self.token = Some(LockToken::of(context.secret(self.name.as_str())));
            self.earlier_token = context.earlier_secret().map(LockToken::of);
        }
        Ok(())
    }

    fn wait(&self) -> Option<Wait<Lease>> {
        let wanted = Wanted::of(Awaited::Lock, &self.name, self.wait_ms)?;
        Some(Wait { wanted, retry_after: until_expiry })
    }

    fn after_commit(&self, lease: &mut Lease, _: &Site) -> Option<Wake> {
        let is_earlier = lease.is_coded.is_none() && self.earlier_token.is_some();
        lease.token.clone_from(if is_earlier { &self.earlier_token } else { &self.token });
        None
    }
}

/// Time until the lease of the holder expires. `None` unless the answer is `lock-held`.
fn until_expiry(answer: &Result<Answer<Lease>, Problem>) -> Option<Duration> {
    let held = answer.as_ref().err().filter(|problem| problem.code() == Code::LockHeld)?;
    let expires_in_ms = held.get("expiresInMs").and_then(serde_json::Value::as_u64);
    Some(Duration::from_millis(expires_in_ms.unwrap_or_default()))
}

/// Releases a lock.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct ReleaseLock {
    /// Name of the lock.
    #[schema(ignore)]
    pub name: Name,
    /// Token of the lease, from the result of `acquireLock`.
    pub token: LockToken,
}

impl Method for ReleaseLock {
    type Output = ();
    const SPEC: Spec = write("releaseLock").problems(NOT_HOLDER);

    fn after_commit(&self, (): &mut (), _: &Site) -> Option<Wake> {
        Some(Wake::of(Awaited::Lock, &self.name, 1))
    }
}

/// Extends a lease.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct ExtendLock {
    /// Name of the lock.
    #[schema(ignore)]
    pub name: Name,
    /// Token of the lease, from the result of `acquireLock`.
    pub token: LockToken,
    /// Duration of the lease, counted from now, in milliseconds: 1,000 to 86,400,000 (24 hours). If the lease already ends
    /// later, its end does not change.
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, example = 30000)]
    pub ttl_ms: TtlMs,
}

impl Method for ExtendLock {
    type Output = Lease;
    const SPEC: Spec = write("extendLock").problems(NOT_HOLDER).with_secret("token");

    fn after_commit(&self, lease: &mut Lease, _: &Site) -> Option<Wake> {
        lease.token = Some(self.token.clone());
        None
    }
}

/// Gets the state of a lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct CheckLock {
    /// Name of the lock.
    pub name: Name,
}

method!(CheckLock => Lock, Spec::read("checkLock").scope(Scope::LocksRead).names(&["name"]));

/// Lists the held locks, sorted by name.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct ListLocks {
    /// Maximum number of locks in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Default: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<Cursor>,
}

method!(ListLocks => Page<Lock>, Spec::slow_read("listLocks").scope(Scope::LocksRead));
