//! Queues: producers and workers.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::locks::time;
use super::payer::{Call, History, Payer};

const QUEUE: &str = "/v1/queues/q";
/// Attempts with which an attempt is compared.
const NEIGHBOURS: usize = 50;

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

/// All jobs of the queue, by their ids.
async fn stored(payer: &Payer, random: &mut StdRng) -> HashMap<String, Value> {
    let (mut stored, mut cursor) = (HashMap::new(), String::new());
    while let Some(page) = payer.read(random, &format!("{QUEUE}/jobs?limit=1000{cursor}")).await {
        for job in page["items"].as_array().unwrap() {
            stored.insert(text(job, "id"), job.clone());
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    stored
}

/// What is impossible in the answers, and in the jobs that are stored now.
pub async fn check(payer: &Payer, random: &mut StdRng, wrong: &mut Vec<String>) {
    let stored = stored(payer, random).await;
    let Queues { pushed, attempts, ends, .. } = &payer.queues;
    let (pushed, mut attempts, ends) = (pushed.take(), attempts.take(), ends.take());
    attempts.sort_by_key(|attempt| attempt.popped_at);
    let mut by_id: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    let mut groups: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for attempt in &attempts {
        by_id.entry(&attempt.id).or_default().push(attempt);
        if let Some(group) = &attempt.group {
            groups.entry(group).or_default().push(attempt);
        }
    }
    let mut ends_by_id: HashMap<&str, Vec<&End>> = HashMap::new();
    for end in &ends {
        ends_by_id.entry(&end.id).or_default().push(end);
    }
    for group in groups.values().chain(by_id.values()) {
        one_at_a_time(group, wrong);
    }
    for (id, attempts) in &by_id {
        let ends = ends_by_id.get(id).map_or(&[][..], Vec::as_slice);
        attempts_of(id, attempts, ends, stored.get(*id), wrong);
    }
    pushes(&pushed, &ends_by_id, &stored, wrong);
}

/// Whether each attempt, in the order of their pops, begins after the ones before it.
fn one_at_a_time(attempts: &[&Attempt], wrong: &mut Vec<String>) {
    for (at, attempt) in attempts.iter().enumerate() {
        for later in attempts[at + 1..].iter().take(NEIGHBOURS) {
            let is_ended = attempt.ended.is_some_and(|ended| ended < later.end);
            if later.popped_at < attempt.until && !is_ended {
                wrong.push(format!(
                    "attempt {} of job {} was not over at attempt {} of job {}",
                    attempt.number, attempt.id, later.number, later.id
                ));
            }
        }
    }
}

/// The attempts of one job, in the order of their pops, and how they ended.
fn attempts_of(id: &str, attempts: &[&Attempt], ends: &[&End], stored: Option<&Value>, wrong: &mut Vec<String>) {
    let mut is_wrong = |what: &str| wrong.push(format!("job {id} {what}"));
    if attempts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        is_wrong("has attempts with one number, or in another order");
    }
    let final_ends: Vec<&&End> = ends.iter().filter(|end| end.is_done && end.status != "pending").collect();
    if final_ends.len() > 1 {
        is_wrong("ended twice");
    }
    for end in ends.iter().filter(|end| end.is_done) {
        if ends.iter().filter(|other| other.is_done && other.attempt == end.attempt).count() > 1 {
            is_wrong("has an attempt that ended twice");
        }
        if attempts.iter().any(|attempt| attempt.number > end.attempt && attempt.end < end.start) {
            is_wrong("was ended with the lease of an earlier attempt");
        }
        if end.status != "pending" && attempts.iter().any(|attempt| attempt.start > end.end) {
            is_wrong("was popped after its end");
        }
    }
    let Some(stored) = stored else { return is_wrong("was popped and is not stored") };
    let (status, number) = (stored["status"].as_str().unwrap(), stored["attempts"].as_i64().unwrap());
    if attempts.iter().any(|attempt| attempt.number > number) {
        is_wrong("has had more attempts than it shows");
    }
    if final_ends.iter().any(|end| (end.status, end.attempt) != (status, number)) {
        is_wrong("does not show how it ended");
    }
    let is_used_up = status == "dead" && number >= stored["maxAttempts"].as_i64().unwrap();
    if !is_used_up && !ends.iter().any(|end| end.status == status && end.attempt == number) {
        is_wrong(&format!("is {status}, and nobody ended it so"));
    }
}

/// Whether each job that was pushed is there once, and of the jobs with one key one at a time.
fn pushes(
    pushed: &[Pushed],
    ends: &HashMap<&str, Vec<&End>>,
    stored: &HashMap<String, Value>,
    wrong: &mut Vec<String>,
) {
    let ends_of = |id: &str| ends.get(id).map_or(&[][..], Vec::as_slice).iter().filter(|end| end.status != "pending");
    let mut numbers: HashMap<i64, &str> = HashMap::new();
    for (id, job) in stored {
        if let Some(other) = numbers.insert(job["payload"].as_i64().unwrap(), id) {
            wrong.push(format!("jobs {other} and {id} come from one push"));
        }
    }
    let new = pushed.iter().filter(|push| !push.is_known).count();
    if stored.len() != new {
        wrong.push(format!("{new} jobs were pushed, and {} are stored", stored.len()));
    }
    for push in pushed {
        if !stored.contains_key(&push.id) {
            wrong.push(format!("job {} is lost", push.id));
        }
        if push.is_known && ends_of(&push.id).any(|end| end.is_done && end.end < push.start) {
            wrong.push(format!("job {} had ended, and was answered as unfinished", push.id));
        }
    }
    let mut keyed: Vec<&Pushed> = pushed.iter().filter(|push| push.key.is_some()).collect();
    keyed.sort_by_key(|push| (&push.key, push.start));
    for (at, push) in keyed.iter().enumerate() {
        for later in keyed[at + 1..].iter().take(NEIGHBOURS) {
            let are_two = push.key == later.key && push.id != later.id && push.end < later.start;
            if are_two && ends_of(&push.id).any(|end| end.is_done && end.start > later.end) {
                wrong.push(format!("jobs {} and {} have one key and were unfinished together", push.id, later.id));
            }
        }
    }
}
