//! Locks: leases with a fencing token, on the database's clock.
//!
//! The methods are `acquireLock`, `releaseLock`, `extendLock`, `checkLock` and `listLocks`; `rpc.sql` says what they do.
//! Limits: names of 1 to 256 bytes, leases of 1 second to 24 hours, waiting for 30 seconds, metadata of 4 KiB.

pub mod routes;
pub mod types;

use std::time::Duration;

use crate::auth::Scope;
use crate::page::Page;
use crate::problem::{Code, Problem};
use crate::turn::{Answer, Entry, Method, Path, Seed, Site, Spec, Wait, WaitFor, Wake};
use types::{AcquireLock, CheckLock, ExtendLock, Lease, ListLocks, Lock, ReleaseLock};

/// The methods of locks.
pub const METHODS: &[Entry] = &[
    Entry::of::<AcquireLock>(),
    Entry::of::<ReleaseLock>(),
    Entry::of::<ExtendLock>(),
    Entry::of::<CheckLock>(),
    Entry::of::<ListLocks>(),
];

const fn write(name: &'static str, problems: &'static [Code]) -> Spec {
    Spec { name, path: Path::Write, scope: Some(Scope::LocksWrite), problems }
}

const fn read(name: &'static str, path: Path) -> Spec {
    Spec { name, path, scope: Some(Scope::LocksRead), problems: &[] }
}

impl Method for AcquireLock {
    type Output = Lease;
    const SPEC: Spec = write("acquireLock", &[Code::LockHeld]);
    const REFS: &'static [(&'static str, &'static str)] = &[("metadata", "null")];

    fn prepare(&mut self, seed: &Seed<'_>) -> Result<(), Problem> {
        self.token.get_or_insert_with(|| types::LockToken::of(seed.secret()));
        Ok(())
    }

    fn wait(&self) -> Option<Wait> {
        Wait::of(WaitFor::Lock, &self.name, self.wait_ms)
    }

    fn in_vain(outcome: &Result<Answer<Lease>, Problem>) -> Option<Duration> {
        let problem = outcome.as_ref().err().filter(|problem| problem.code() == Code::LockHeld)?;
        let expires_in_ms = problem.get("expiresInMs").and_then(serde_json::Value::as_u64);
        Some(Duration::from_millis(expires_in_ms.unwrap_or_default()))
    }

    fn done(&self, lease: &mut Lease, _: &Site) -> Option<Wake> {
        lease.token.clone_from(&self.token);
        None
    }
}

impl Method for ReleaseLock {
    type Output = ();
    const SPEC: Spec = write("releaseLock", &[Code::LockNotHeld, Code::LockExpired, Code::LockWrongToken]);

    fn done(&self, (): &mut (), _: &Site) -> Option<Wake> {
        Some(Wake::of(WaitFor::Lock, &self.name, 1))
    }
}

impl Method for ExtendLock {
    type Output = Lease;
    const SPEC: Spec = write("extendLock", &[Code::LockNotHeld, Code::LockExpired, Code::LockWrongToken]);

    fn done(&self, lease: &mut Lease, _: &Site) -> Option<Wake> {
        lease.token = Some(self.token.clone());
        None
    }
}

impl Method for CheckLock {
    type Output = Lock;
    const SPEC: Spec = read("checkLock", Path::Read);
}

impl Method for ListLocks {
    type Output = Page<Lock>;
    const SPEC: Spec = read("listLocks", Path::SlowRead);
}
