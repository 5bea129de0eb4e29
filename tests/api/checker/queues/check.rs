//! Whether the answers to producers and workers are possible.

use std::collections::HashMap;

use rand::rngs::StdRng;
use serde_json::Value;

use super::{Attempt, End, Pushed, QUEUE, Queues, text};
use crate::checker::payer::Payer;

/// Attempts, or pushes, with which one is compared.
const NEIGHBOURS: usize = 50;

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
    let mut groups: HashMap<&str, Vec<&Attempt>> = HashMap::new();
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
