//! Locks against a model: random calls. Only the test moves the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::model::{Expected, compare, run_cases};
use crate::support::{Answer, Caller, TimedApp};

const NAMES: u8 = 3;
const TOKENS: u8 = 3;
const HOUR: TimeDelta = TimeDelta::hours(1);

#[derive(Clone, Debug)]
enum Op {
    Acquire {
        name: u8,
        token: u8,
        ttl_ms: i64,
    },
    Release {
        name: u8,
        token: u8,
    },
    Extend {
        name: u8,
        token: u8,
        ttl_ms: i64,
    },
    Check {
        name: u8,
    },
    List,
    /// A write with a guard: with the current fence, or with a wrong one next to it.
    Guarded {
        name: u8,
        off_by: i64,
    },
    Pass {
        ms: u64,
    },
    Sweep,
}

#[derive(Clone, Debug)]
struct Lock {
    fence: i64,
    /// `None` after release.
    token: Option<u8>,
    acquired_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// The locks of a payer.
#[derive(Default)]
struct Model {
    now: DateTime<Utc>,
    locks: BTreeMap<u8, Lock>,
    /// The highest fence of the swept locks.
    swept: i64,
    /// The last known fence of each name.
    fences: BTreeMap<u8, i64>,
    guarded: i64,
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn token(token: u8) -> String {
    format!("the token number {token}")
}

impl Model {
    /// The fence that a guarded write sends.
    fn fence(&self, name: u8, off_by: i64) -> i64 {
        (self.fences.get(&name).copied().unwrap_or_default() + off_by).max(1)
    }

    /// The lock, if it is held.
    fn held(&self, name: u8) -> Option<&Lock> {
        self.locks.get(&name).filter(|lock| lock.token.is_some() && lock.expires_at > self.now)
    }

    /// The lock, if the token holds it; otherwise the code of the problem.
    fn holds(&mut self, name: u8, token: u8) -> Result<&mut Lock, &'static str> {
        let now = self.now;
        let lock = self.locks.get_mut(&name).filter(|lock| lock.token.is_some()).ok_or("lock-not-held")?;
        match (lock.expires_at > now, lock.token == Some(token)) {
            (true, true) => Ok(lock),
            (true, false) => Err("lock-wrong-token"),
            (false, true) => Err("lock-expired"),
            (false, false) => Err("lock-not-held"),
        }
    }

    fn acquire(&mut self, name: u8, token: u8, ttl_ms: i64) -> Expected {
        if let Some(held) = self.held(name) {
            return if held.token == Some(token) { Ok(lease(name, held)) } else { Err("lock-held") };
        }
        let fence = self.locks.get(&name).map_or(self.swept, |lock| lock.fence) + 1;
        let expires_at = self.now + TimeDelta::milliseconds(ttl_ms);
        let lock = Lock { fence, token: Some(token), acquired_at: self.now, expires_at };
        let before = self.fences.insert(name, fence);
        assert!(before.is_none_or(|before| before < fence), "the fence of {name} went from {before:?} to {fence}");
        let answer = lease(name, &lock);
        self.locks.insert(name, lock);
        Ok(answer)
    }

    fn run(&mut self, op: &Op) -> Expected {
        match *op {
            Op::Acquire { name, token, ttl_ms } => self.acquire(name, token, ttl_ms),
            Op::Release { name, token } => {
                let now = self.now;
                let lock = self.holds(name, token)?;
                (lock.token, lock.expires_at) = (None, now);
                Ok(Value::Null)
            }
            Op::Extend { name, token, ttl_ms } => {
                let until = self.now + TimeDelta::milliseconds(ttl_ms);
                let lock = self.holds(name, token)?;
                lock.expires_at = lock.expires_at.max(until);
                Ok(lease(name, lock))
            }
            Op::Check { name } => Ok(self.seen(name)),
            Op::List => {
                let held = (0..NAMES).filter(|name| self.held(*name).is_some());
                Ok(json!({"items": held.map(|name| self.seen(name)).collect::<Vec<_>>(), "nextCursor": null}))
            }
            Op::Guarded { name, off_by } => {
                let fence = self.fence(name, off_by);
                self.held(name).filter(|lock| lock.fence == fence).ok_or("stale-fence")?;
                self.guarded += 1;
                Ok(json!({"value": self.guarded}))
            }
            Op::Pass { .. } => Ok(Value::Null),
            Op::Sweep => {
                let (kept, swept) = std::mem::take(&mut self.locks)
                    .into_iter()
                    .partition::<BTreeMap<_, _>, _>(|(_, lock)| lock.expires_at > self.now - HOUR);
                self.locks = kept;
                self.swept = swept.values().map(|lock| lock.fence).max().unwrap_or_default().max(self.swept);
                Ok(Value::Null)
            }
        }
    }

    fn seen(&self, name: u8) -> Value {
        let held = self.held(name);
        json!({
            "name": name.to_string(),
            "locked": held.is_some(),
            "fence": held.map(|lock| lock.fence),
            "acquiredAt": held.map(|lock| time(lock.acquired_at)),
            "expiresAt": held.map(|lock| time(lock.expires_at)),
        })
    }
}

fn lease(name: u8, lock: &Lock) -> Value {
    json!({
        "name": name.to_string(),
        "token": lock.token.map(token),
        "fence": lock.fence,
        "acquiredAt": time(lock.acquired_at),
        "expiresAt": time(lock.expires_at),
    })
}

async fn call(caller: &Caller, model: &Model, op: &Op) -> Answer {
    match *op {
        Op::Acquire { name, token: by, ttl_ms } => {
            caller.post(&format!("/v1/locks/{name}/acquire"), json!({"token": token(by), "ttlMs": ttl_ms})).await
        }
        Op::Release { name, token: by } => {
            caller.post(&format!("/v1/locks/{name}/release"), json!({"token": token(by)})).await
        }
        Op::Extend { name, token: by, ttl_ms } => {
            caller.post(&format!("/v1/locks/{name}/extend"), json!({"token": token(by), "ttlMs": ttl_ms})).await
        }
        Op::Check { name } => caller.get(&format!("/v1/locks/{name}")).await,
        Op::List => caller.get("/v1/locks").await,
        Op::Guarded { name, off_by } => {
            let mut caller = caller.clone();
            let guard = format!("{name}; fence={}", model.fence(name, off_by));
            caller.headers.insert("payerbase-guard", guard.parse().unwrap());
            caller.increment("guarded", json!({})).await
        }
        Op::Pass { .. } | Op::Sweep => unreachable!("these are not calls"),
    }
}

fn ops() -> impl Strategy<Value = Op> {
    let (name, token) = (0..NAMES, 0..TOKENS);
    let ttl = 1_000..5_000_i64;
    let acquire = (name.clone(), token.clone(), ttl.clone()).prop_map(|(name, token, ttl_ms)| Op::Acquire {
        name,
        token,
        ttl_ms,
    });
    let release = (name.clone(), token.clone()).prop_map(|(name, token)| Op::Release { name, token });
    let extend = (name.clone(), token, ttl).prop_map(|(name, token, ttl_ms)| Op::Extend { name, token, ttl_ms });
    let check = name.clone().prop_map(|name| Op::Check { name });
    let guarded = (name, -1..=1_i64).prop_map(|(name, off_by)| Op::Guarded { name, off_by });
    let pass = prop_oneof![6 => 0..4_000_u64, 1 => Just(3_600_000)].prop_map(|ms| Op::Pass { ms });
    prop_oneof![6 => acquire, 3 => release, 2 => extend, 1 => check, 1 => Just(Op::List), 3 => guarded, 4 => pass, 1 => Just(Op::Sweep)]
}

#[test]
fn random_calls_agree_with_the_model() {
    run_cases(TimedApp::spawn(), &prop::collection::vec(ops(), 1..60), async |timed, ops| {
        let caller = timed.app.caller().await;
        let mut model = Model { now: timed.clock.now(&caller).await, ..Model::default() };
        for op in ops {
            match op {
                Op::Pass { ms } => {
                    timed.clock.pass(&caller, Duration::from_millis(ms)).await.unwrap();
                    model.now = timed.clock.now(&caller).await;
                }
                Op::Sweep => {
                    timed.sweep(&caller, "sweepLocks").await;
                    model.run(&op).unwrap();
                }
                Op::Acquire { .. }
                | Op::Release { .. }
                | Op::Extend { .. }
                | Op::Check { .. }
                | Op::List
                | Op::Guarded { .. } => {
                    let answer = call(&caller, &model, &op).await;
                    compare(answer, &model.run(&op), &op)?;
                }
            }
        }
        Ok(())
    });
}
