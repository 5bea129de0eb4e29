//! Queues: producers and workers.

mod check;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::locks::time;
use super::payer::{Call, History, Payer};

pub use check::check;

const QUEUE: &str = "/v1/queues/q";

#[derive(Default)]
pub struct Queues {
    next: AtomicI64,
    pushed: History<Pushed>,
    attempts: History<Attempt>,
    ends: History<End>,
}

/// A push that was answered with a job.
struct Pushed {
    start: Instant,
    end: Instant,
    id: String,
    key: Option<String>,
    /// Whether the job was there before.
    is_known: bool,
}

/// An attempt at a job.
struct Attempt {
    start: Instant,
    end: Instant,
    id: String,
    group: Option<String>,
    number: i64,
    popped_at: DateTime<Utc>,
    until: DateTime<Utc>,
    /// When a call began that may have ended the attempt.
    ended: Option<Instant>,
}

/// A call that ended an attempt, or may have ended it.
struct End {
    start: Instant,
    end: Instant,
    id: String,
    attempt: i64,
    is_done: bool,
    status: &'static str,
}

fn text(job: &Value, member: &str) -> String {
    job[member].as_str().unwrap().to_owned()
}

/// A job with a payload that no other job has.
fn job(payer: &Payer, random: &mut StdRng) -> Value {
    let number = payer.queues.next.fetch_add(1, Ordering::Relaxed);
    let mut job = json!({"payload": number, "maxAttempts": if random.random_bool(0.1) { 2 } else { 1_000 }});
    match random.random_range(0..9) {
        0..3 => job["group"] = json!(format!("group{}", random.random_range(0..2))),
        3 => job["priority"] = json!(random.random_range(0..3)),
        4 => job["delayMs"] = json!(random.random_range(0..300)),
        5 | 6 => {
            job["dedupKey"] = json!(format!("key{}", random.random_range(0..2)));
            job["delayMs"] = json!(random.random_range(0..200));
        }
        _ => {}
    }
    job
}

pub async fn push(payer: &Payer, random: &mut StdRng) {
    let (path, body) = match random.random_range(0..4) {
        0 => ("jobs/batch", json!({"jobs": [job(payer, random), job(payer, random), job(payer, random)]})),
        _ => ("jobs", job(payer, random)),
    };
    let call = payer.post_once(random, &format!("{QUEUE}/{path}"), &body).await;
    let (sent, jobs) = (body["jobs"].as_array().cloned().unwrap_or_else(|| vec![body]), jobs(&call));
    for (sent, job) in sent.iter().zip(&jobs) {
        payer.queues.pushed.add(Pushed {
            start: call.start,
            end: call.end,
            id: text(job, "id"),
            key: sent["dedupKey"].as_str().map(str::to_owned),
            is_known: job["deduplicated"].as_bool().unwrap(),
        });
    }
}

/// Pops jobs, and completes, fails, extends or forgets them.
pub async fn work(payer: &Payer, random: &mut StdRng) {
    let mut pop = json!({"leaseMs": random.random_range(1_000..1_500), "waitMs": random.random_range(0..2) * 300});
    let path = match random.random_range(0..3) {
        0 => {
            pop["count"] = json!(random.random_range(1..4));
            format!("{QUEUE}/pop/batch")
        }
        _ => format!("{QUEUE}/pop"),
    };
    let call = match random.random_bool(0.3) {
        true => payer.post_once(random, &path, &pop).await,
        false => payer.post(random, &path, &pop).await,
    };
    let jobs = jobs(&call);
    join_all(jobs.into_iter().map(|job| {
        let (call, mut random) = (&call, StdRng::seed_from_u64(random.random()));
        async move { work_on(payer, &mut random, call, &job).await }
    }))
    .await;
}

/// The jobs in an answer.
fn jobs(call: &Call) -> Vec<Value> {
    match call.done() {
        None | Some(Value::Null) => Vec::new(),
        Some(answer) => answer["jobs"].as_array().cloned().unwrap_or_else(|| vec![answer]),
    }
}

fn attempt(pop: &Call, job: &Value) -> Attempt {
    Attempt {
        start: pop.start,
        end: pop.end,
        id: text(job, "id"),
        group: job["group"].as_str().map(str::to_owned),
        number: job["attempts"].as_i64().unwrap(),
        popped_at: time(job, "updatedAt"),
        until: time(job, "leaseExpiresAt"),
        ended: None,
    }
}

async fn work_on(payer: &Payer, random: &mut StdRng, pop: &Call, job: &Value) {
    let (mut attempt, lease) = (attempt(pop, job), &job["lease"]);
    payer.pause(random.random_range(0..40)).await;
    match random.random_range(0..20) {
        // Another worker gets it after its lease.
        0 => {}
        1..5 => {
            let retry = random.random_bool(0.8);
            let fail = json!({"lease": lease, "error": "no", "retry": retry, "retryInMs": random.random_range(0..30)});
            let call = payer.post(random, &format!("/v1/jobs/{}/fail", attempt.id), &fail).await;
            end(payer, &mut attempt, &call, if retry { "pending" } else { "dead" });
            // Its lease is over, although another worker may have the job.
            if random.random_bool(0.5) {
                payer.pause(random.random_range(0..60)).await;
                complete(payer, random, &mut attempt, lease).await;
            }
        }
        5 => {
            let extend = json!({"lease": lease, "leaseMs": 1_200});
            let call = payer.post(random, &format!("/v1/jobs/{}/extend", attempt.id), &extend).await;
            if let Some(extended) = call.done() {
                attempt.until = attempt.until.max(time(&extended, "leaseExpiresAt"));
            }
            complete(payer, random, &mut attempt, lease).await;
        }
        // Its lease ends before it is completed.
        6 => {
            payer.pause((attempt.until - attempt.popped_at).num_milliseconds().unsigned_abs()).await;
            complete(payer, random, &mut attempt, lease).await;
        }
        // It is completed twice.
        7 => {
            complete(payer, random, &mut attempt, lease).await;
            complete(payer, random, &mut attempt, lease).await;
        }
        _ => complete(payer, random, &mut attempt, lease).await,
    }
    payer.queues.attempts.add(attempt);
}

/// Completes a job, and counts it in the same transaction.
async fn complete(payer: &Payer, random: &mut StdRng, attempt: &mut Attempt, lease: &Value) {
    let mut calls = vec![
        json!({"method": "increment", "params": {"name": "completed"}}),
        json!({"method": "completeJob", "params": {"id": attempt.id, "lease": lease}}),
    ];
    let is_turned = random.random_bool(0.5);
    calls.rotate_left(usize::from(is_turned));
    let call = payer.post(random, "/v1/transaction", &json!({ "calls": calls })).await;
    let value = |answer: &Value| answer["results"][usize::from(is_turned)]["value"].as_i64();
    payer.counters.completed.add(&call, 1, value);
    end(payer, attempt, &call, "completed");
}

fn end(payer: &Payer, attempt: &mut Attempt, call: &Call, status: &'static str) {
    if call.is_done() || call.is_unknown() {
        attempt.ended = attempt.ended.or(Some(call.start));
        let (id, is_done) = (attempt.id.clone(), call.is_done());
        payer.queues.ends.add(End { start: call.start, end: call.end, id, attempt: attempt.number, is_done, status });
    }
}

/// Completes all jobs, when nothing fails any more.
pub async fn drain(payer: &Payer, random: &mut StdRng, wrong: &mut Vec<String>) {
    let mut stuck = 0;
    while stuck < 5 {
        let pop = json!({"leaseMs": 2_000, "waitMs": 100, "count": 20});
        let call = payer.post(random, &format!("{QUEUE}/pop/batch"), &pop).await;
        let jobs = jobs(&call);
        let is_empty = call.is_done() && jobs.is_empty();
        join_all(jobs.into_iter().map(|job| {
            let (call, mut random) = (&call, StdRng::seed_from_u64(random.random()));
            async move {
                let mut attempt = attempt(call, &job);
                complete(payer, &mut random, &mut attempt, &job["lease"]).await;
                payer.queues.attempts.add(attempt);
            }
        }))
        .await;
        let Some(status) = payer.read(random, QUEUE).await else { return };
        let count = |state: &str| status[state].as_u64().unwrap();
        match (count("pending"), count("delayed") + count("running")) {
            (0, 0) => return,
            (_, 0) if is_empty => stuck += 1,
            _ => stuck = 0,
        }
    }
    wrong.push("jobs are pending, no job is delayed or running, and a pop finds none".to_owned());
}
