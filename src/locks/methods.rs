//! The methods of locks, as callers send them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::types::{Lease, Lock, LockToken, Metadata, TtlMs};
use crate::auth::Scope;
use crate::call::{Answer, Context, Entry, Method, Spec, Wait, method};
use crate::name::Name;
use crate::page::{Cursor, Limit, Page};
use crate::problem::{Code, Problem};
use crate::site::Site;
use crate::waiting::{Awaited, WaitMs, Wake, Wanted};

/// All methods of locks.
pub const METHODS: &[Entry] = &[
    Entry::of::<AcquireLock>(),
    Entry::of::<ReleaseLock>(),
    Entry::of::<ExtendLock>(),
    Entry::of::<CheckLock>(),
    Entry::of::<ListLocks>(),
];

/// Problems of a caller that does not hold the lock.
const NOT_HOLDER: &[Code] = &[Code::LockNotHeld, Code::LockExpired, Code::LockWrongToken];

const fn write(name: &'static str) -> Spec {
    Spec::write(name).scope(Scope::LocksWrite)
}

/// Takes a lock.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcquireLock {
    /// The lock.
    #[schema(ignore)]
    pub name: Name,
    /// How long the lease lasts if it is not extended, in milliseconds.
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, example = 30000)]
    pub ttl_ms: TtlMs,
    /// What shall prove that it is held; else 192 random bits. Whoever acquires again with the token that holds the lock
    /// gets the same lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<LockToken>,
    /// How long to wait while somebody else holds it, in milliseconds. Who waits is served in order of arrival.
    #[serde(default)]
    #[schema(value_type = i64, minimum = 0, maximum = 30000, default = 0, example = 5000)]
    pub wait_ms: WaitMs,
    /// What to say about the holder: any JSON of at most 4 KiB and 64 levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

impl Method for AcquireLock {
    type Output = Lease;
    const SPEC: Spec = write("acquireLock").problems(&[Code::LockHeld]).refs(&[("metadata", "null")]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        self.token.get_or_insert_with(|| LockToken::of(context.secret()));
        Ok(())
    }

    fn wait(&self) -> Option<Wait<Lease>> {
        let wanted = Wanted::of(Awaited::Lock, &self.name, self.wait_ms)?;
        Some(Wait { wanted, retry_after: until_expiry })
    }

    fn after_commit(&self, lease: &mut Lease, _: &Site) -> Option<Wake> {
        lease.token.clone_from(&self.token);
        None
    }
}

/// A lock that is held is free when its lease expires, unless the holder releases or extends it.
fn until_expiry(answer: &Result<Answer<Lease>, Problem>) -> Option<Duration> {
    let held = answer.as_ref().err().filter(|problem| problem.code() == Code::LockHeld)?;
    let expires_in_ms = held.get("expiresInMs").and_then(serde_json::Value::as_u64);
    Some(Duration::from_millis(expires_in_ms.unwrap_or_default()))
}

/// Gives a lock back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseLock {
    /// The lock.
    #[schema(ignore)]
    pub name: Name,
    /// What `acquireLock` answered.
    pub token: LockToken,
}

impl Method for ReleaseLock {
    type Output = ();
    const SPEC: Spec = write("releaseLock").problems(NOT_HOLDER);

    fn after_commit(&self, (): &mut (), _: &Site) -> Option<Wake> {
        Some(Wake::of(Awaited::Lock, &self.name, 1))
    }
}

/// Makes a lease longer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtendLock {
    /// The lock.
    #[schema(ignore)]
    pub name: Name,
    /// What `acquireLock` answered.
    pub token: LockToken,
    /// How long the lease shall last from now, in milliseconds. It never becomes shorter.
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, example = 30000)]
    pub ttl_ms: TtlMs,
}

impl Method for ExtendLock {
    type Output = Lease;
    const SPEC: Spec = write("extendLock").problems(NOT_HOLDER);

    fn after_commit(&self, lease: &mut Lease, _: &Site) -> Option<Wake> {
        lease.token = Some(self.token.clone());
        None
    }
}

/// Reads a lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckLock {
    /// The lock.
    pub name: Name,
}

method!(CheckLock => Lock, Spec::read("checkLock").scope(Scope::LocksRead));

/// Reads a page of the locks that are held, by name.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListLocks {
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<Cursor>,
}

method!(ListLocks => Page<Lock>, Spec::slow_read("listLocks").scope(Scope::LocksRead));
