//! Locks: leases, and writes under their fences.

use std::time::Instant;

use chrono::{DateTime, Utc};
use rand::RngExt as _;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

use super::payer::{Call, History, Payer};

const LOCKS: usize = 2;
/// Leases with which a lease is compared. A broken lock shows in its neighbours.
const NEIGHBOURS: usize = 50;

#[derive(Default)]
pub struct Locks {
    leases: History<Lease>,
    writes: History<Write>,
}

/// A lease that a client got.
struct Lease {
    lock: usize,
    fence: i64,
    start: Instant,
    end: Instant,
    acquired_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// When a release began that was not refused.
    released: Option<Instant>,
}

/// A write with a guard that was done.
struct Write {
    lock: usize,
    fence: i64,
    start: Instant,
}

pub fn time(object: &Value, member: &str) -> DateTime<Utc> {
    object[member].as_str().unwrap().parse().unwrap()
}

/// Increments a counter if the lock still has this fence.
async fn write(payer: &Payer, random: &mut StdRng, lock: usize, fence: i64) -> Call {
    let guard = format!("lock{lock}; fence={fence}");
    let (body, headers) = (json!({}), [("payerbase-guard", guard.as_str())]);
    let call = payer.send(random, Method::POST, "/v1/counters/guarded/increment", Some(&body), &headers).await;
    if call.is_done() {
        payer.locks.writes.add(Write { lock, fence, start: call.start });
    }
    call
}

/// Takes a lock, writes under its fence, and perhaps extends or releases it, or forgets it.
pub async fn hold(payer: &Payer, random: &mut StdRng) {
    let lock = random.random_range(0..LOCKS);
    let path = format!("/v1/locks/lock{lock}");
    let ttl_ms = random.random_range(1_000..1_500);
    let token = format!("token-{:032x}", random.random::<u128>());
    let acquire = json!({"ttlMs": ttl_ms, "token": token, "waitMs": random.random_range(0..2) * 400});
    let call = payer.post(random, &format!("{path}/acquire"), &acquire).await;
    let Some(held) = call.done() else { return };
    let fence = held["fence"].as_i64().unwrap();
    let (acquired_at, expires_at) = (time(&held, "acquiredAt"), time(&held, "expiresAt"));
    if (expires_at - acquired_at).num_milliseconds() != ttl_ms {
        payer.is_wrong(format!("a lease of {ttl_ms} ms: {held}"));
    }
    let mut lease = Lease { lock, fence, start: call.start, end: call.end, acquired_at, expires_at, released: None };
    let pause_ms = random.random_range(0..20) + if random.random_bool(0.1) { ttl_ms.unsigned_abs() } else { 0 };
    payer.pause(pause_ms).await;
    write(payer, random, lock, fence).await;
    if random.random_bool(0.2) {
        let body = json!({"ttlMs": 1_000, "token": token});
        if let Some(extended) = payer.post(random, &format!("{path}/extend"), &body).await.done() {
            lease.expires_at = lease.expires_at.max(time(&extended, "expiresAt"));
        }
    }
    if random.random_bool(0.7) {
        let call = payer.post(random, &format!("{path}/release"), &json!({ "token": token })).await;
        lease.released = (call.is_done() || call.is_unknown()).then_some(call.start);
        if call.is_done() && random.random_bool(0.5) && write(payer, random, lock, fence).await.is_done() {
            payer.is_wrong(format!("a write under fence {fence} of lock {lock} was done after its release"));
        }
    }
    payer.locks.leases.add(lease);
}

/// What is impossible in the answers.
pub fn check(payer: &Payer, wrong: &mut Vec<String>) {
    let (mut leases, writes) = (payer.locks.leases.take(), payer.locks.writes.take());
    leases.sort_by_key(|lease| (lease.lock, lease.fence));
    let locks: Vec<&[Lease]> = leases.chunk_by(|one, next| one.lock == next.lock).collect();
    for leases in locks {
        for (at, lease) in leases.iter().enumerate() {
            for later in leases[at + 1..].iter().take(NEIGHBOURS) {
                follows(lease, later, wrong);
            }
        }
        // Per lease: when the first of it and the leases after it had been given.
        let mut given: Vec<Instant> = leases.iter().map(|lease| lease.end).collect();
        for at in (1..given.len()).rev() {
            given[at - 1] = given[at - 1].min(given[at]);
        }
        for write in writes.iter().filter(|write| write.lock == leases[0].lock) {
            let newer = leases.partition_point(|lease| lease.fence <= write.fence);
            if given.get(newer).is_some_and(|given| *given < write.start) {
                wrong.push(format!("lock {}: a write under fence {} after a newer one", write.lock, write.fence));
            }
        }
    }
}

/// Whether a lease can come after one with a lower fence.
fn follows(lease: &Lease, later: &Lease, wrong: &mut Vec<String>) {
    let Lease { lock, fence, .. } = lease;
    if fence == &later.fence {
        wrong.push(format!("lock {lock}: two leases have fence {fence}"));
    }
    if later.end < lease.start {
        wrong.push(format!("lock {lock}: fence {} was given before {fence}", later.fence));
    }
    let is_released = lease.released.is_some_and(|released| released < later.end);
    if later.acquired_at < lease.expires_at && !is_released {
        wrong.push(format!("lock {lock}: fences {fence} and {} were held together", later.fence));
    }
}
