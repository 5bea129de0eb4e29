//! Queues lose no job while workers crash, outlive their leases and complete twice, and the database is killed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::faults::{kill, migrated, wait_for_readyz};
use crate::support::database::temporary_cluster;
use crate::support::{Answer, Caller, TestApp, TestDatabase};

const KILLS: usize = 3;
const PUSHERS: usize = 4;
const WORKERS: usize = 12;
/// The minimum lease.
const LEASE: Duration = Duration::from_secs(1);

/// An attempt at a job, as the answer of its pop describes it.
struct Attempt {
    number: u64,
    popped_at: DateTime<Utc>,
    lease_ends_at: DateTime<Utc>,
    /// Whether the worker may have failed the job, so that another worker can pop it before the lease ends.
    is_given_back: bool,
    is_completed: bool,
}

/// What the callers know from their answers.
#[derive(Default)]
struct Known {
    /// Acknowledged pushes, by the id of the job.
    pushed: Vec<String>,
    /// Number of pushes with an unknown outcome.
    unknown: usize,
    attempts: HashMap<String, Vec<Attempt>>,
}

/// The result of a call: an answer, a problem, or an unknown outcome.
enum Outcome {
    Answer(Value),
    Refused(String),
    Unknown,
}

fn outcome(answer: Answer) -> Outcome {
    if answer.status.is_success() {
        return Outcome::Answer(answer.ok());
    }
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    if code == "outcome-unknown" { Outcome::Unknown } else { Outcome::Refused(code) }
}

fn time(job: &Value, member: &str) -> DateTime<Utc> {
    job[member].as_str().unwrap().parse().unwrap()
}

async fn push_until(caller: Caller, known: Arc<Mutex<Known>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let group = rand::rng().random_range(0..8);
        let mut job = json!({"payload": group, "maxAttempts": rand::rng().random_range(1..5), "backoffMs": 100});
        if group < 4 {
            job["group"] = json!(group.to_string());
        }
        match outcome(caller.post("/v1/queues/q/jobs", job).await) {
            Outcome::Answer(job) => known.lock().unwrap().pushed.push(job["id"].as_str().unwrap().to_owned()),
            Outcome::Unknown => known.lock().unwrap().unknown += 1,
            Outcome::Refused(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Pops a job. `None` if the queue is empty, or the call failed.
async fn pop(caller: &Caller, known: &Mutex<Known>) -> Option<Value> {
    let pop = json!({"leaseMs": u64::try_from(LEASE.as_millis()).unwrap()});
    let Outcome::Answer(job) = outcome(caller.post("/v1/queues/q/pop", pop).await) else { return None };
    let id = job["id"].as_str()?.to_owned();
    let attempt = Attempt {
        number: job["attempts"].as_u64().unwrap(),
        popped_at: time(&job, "updatedAt"),
        lease_ends_at: time(&job, "leaseExpiresAt"),
        is_given_back: false,
        is_completed: false,
    };
    known.lock().unwrap().attempts.entry(id).or_default().push(attempt);
    Some(job)
}

/// Ends an attempt, and records that it ended or may have ended.
async fn end(caller: &Caller, known: &Mutex<Known>, job: &Value, how: &str, mut body: Value) -> Outcome {
    let id = job["id"].as_str().unwrap();
    body["lease"] = job["lease"].clone();
    let outcome = outcome(caller.post(&format!("/v1/jobs/{id}/{how}"), body).await);
    let mut known = known.lock().unwrap();
    let attempts = known.attempts.get_mut(id).unwrap();
    let attempt = attempts.iter_mut().find(|attempt| attempt.number == job["attempts"]).unwrap();
    match (&outcome, how) {
        (Outcome::Answer(_), "complete") => attempt.is_completed = true,
        (Outcome::Answer(_) | Outcome::Unknown, "fail") => attempt.is_given_back = true,
        _ => {}
    }
    drop(known);
    outcome
}

async fn work_until(caller: Caller, known: Arc<Mutex<Known>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let Some(job) = pop(&caller, &known).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let action = rand::rng().random_range(0..20);
        match action {
            // The worker crashes.
            0 => {}
            // The worker completes the job after its lease has ended.
            1 => {
                tokio::time::sleep(LEASE + Duration::from_millis(50)).await;
                match end(&caller, &known, &job, "complete", json!({})).await {
                    Outcome::Answer(job) => panic!("a stale lease completed {job}"),
                    Outcome::Refused(code) => assert!(code == "lease-lost" || code.starts_with("database"), "{code}"),
                    Outcome::Unknown => {}
                }
            }
            2..5 => drop(end(&caller, &known, &job, "fail", json!({"error": "it failed"})).await),
            // The worker completes the job twice.
            5..8 => {
                let first = end(&caller, &known, &job, "complete", json!({})).await;
                let again = end(&caller, &known, &job, "complete", json!({})).await;
                if let (Outcome::Answer(_), Outcome::Answer(job)) = (first, again) {
                    panic!("completed twice: {job}");
                }
            }
            _ => drop(end(&caller, &known, &job, "complete", json!({})).await),
        }
    }
}

/// Every job of the queue, by its id.
async fn stored(caller: &Caller) -> HashMap<String, Value> {
    let (mut stored, mut cursor) = (HashMap::new(), String::new());
    loop {
        let page = caller.get(&format!("/v1/queues/q/jobs?limit=1000{cursor}")).await.ok();
        for job in page["items"].as_array().unwrap() {
            stored.insert(job["id"].as_str().unwrap().to_owned(), job.clone());
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return stored,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_is_lost_or_run_by_two_workers_at_once() {
    let mut cluster = temporary_cluster().await;
    let (admin, app) = migrated(&cluster).await;
    let database = TestDatabase { admin, app };
    let apps = [TestApp::on(database.clone()), TestApp::on(database)];
    let caller = apps[0].caller().await;
    let callers: Vec<Caller> = apps.iter().map(|app| Caller { url: app.url.clone(), ..caller.clone() }).collect();
    let (known, stop) = (Arc::<Mutex<Known>>::default(), Arc::new(AtomicBool::new(false)));
    let each = |place: usize| (callers[place % callers.len()].clone(), Arc::clone(&known), Arc::clone(&stop));
    let mut tasks = Vec::new();
    for place in 0..PUSHERS {
        let (caller, known, stop) = each(place);
        tasks.push(tokio::spawn(push_until(caller, known, stop)));
    }
    for place in 0..WORKERS {
        let (caller, known, stop) = each(place);
        tasks.push(tokio::spawn(work_until(caller, known, stop)));
    }
    let pushed = || known.lock().unwrap().pushed.len();
    for _kill in 0..=KILLS {
        let before = pushed();
        while pushed() < before + 300 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        kill(&mut cluster).await;
        cluster.launch().await.unwrap();
        wait_for_readyz(&caller, 200).await;
    }
    stop.store(true, Ordering::Relaxed);
    join_all(tasks).await.into_iter().for_each(|task| task.unwrap());

    let status = caller.get("/v1/queues/q").await.ok();
    let count = |state: &str| status[state].as_u64().unwrap();
    let jobs = stored(&caller).await;
    cluster.stop().await;
    let known = known.lock().unwrap();
    println!("{status}, {} pushes acknowledged, {} unknown", known.pushed.len(), known.unknown);
    assert!(known.pushed.iter().all(|id| jobs.contains_key(id)), "every acknowledged job exists");
    assert!(jobs.len() <= known.pushed.len() + known.unknown, "no other job exists");
    let states = ["pending", "delayed", "running", "completed", "dead"];
    assert_eq!(states.map(count).iter().sum::<u64>(), u64::try_from(jobs.len()).unwrap());
    assert!(count("completed") > 0 && count("dead") > 0);

    for (id, attempts) in &known.attempts {
        let job = &jobs[id];
        let completions = attempts.iter().filter(|attempt| attempt.is_completed).count();
        assert!(completions <= 1, "{job} was completed {completions} times");
        for (place, attempt) in attempts.iter().enumerate() {
            assert!(attempt.number <= job["attempts"].as_u64().unwrap());
            if attempt.is_completed {
                assert_eq!((&job["status"], &job["attempts"]), (&json!("completed"), &json!(attempt.number)));
            }
            for other in attempts.iter().skip(place + 1) {
                assert_ne!(attempt.number, other.number, "two workers have the same attempt of {job}");
                let (first, second) = if attempt.number < other.number { (attempt, other) } else { (other, attempt) };
                assert!(
                    first.is_given_back || second.popped_at >= first.lease_ends_at,
                    "{job} was popped again before its lease expired"
                );
            }
        }
    }
}
