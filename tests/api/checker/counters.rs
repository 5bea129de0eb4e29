//! Counters: increments with and without a key, and transactions that move money between accounts.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::payer::{Call, History, Payer};

const ACCOUNTS: usize = 4;
const ACCOUNT_START: i64 = 100;

/// What clients saw of a counter that only grows.
#[derive(Default)]
pub struct Steps {
    points: History<Point>,
    /// Start and amount of each increment whose outcome is unknown.
    unknown: History<(Instant, i64)>,
}

/// A value that was answered.
struct Point {
    start: Instant,
    end: Instant,
    value: i64,
    /// The amount of an increment to the value; 0: the value was read.
    amount: i64,
}

impl Steps {
    /// Adds an increment. `value` finds the new value of the counter in the answer.
    pub fn add(&self, call: &Call, amount: i64, value: impl Fn(&Value) -> Option<i64>) {
        if let Some(answer) = call.done() {
            let value = value(&answer).unwrap();
            self.points.add(Point { start: call.start, end: call.end, value, amount });
        } else if call.is_unknown() {
            self.unknown.add((call.start, amount));
        }
    }

    pub fn add_read(&self, start: Instant, end: Instant, value: i64) {
        self.points.add(Point { start, end, value, amount: 0 });
    }

    /// Whether some order of the calls explains all answers. In it, the values rise; the gaps between the increments that
    /// were answered are increments whose outcome is unknown, and these have begun before a later call has ended.
    pub fn check(&self, name: &str, wrong: &mut Vec<String>) {
        let mut points = self.points.take();
        // At one value, the increment comes before the reads.
        points.sort_by_key(|point| (point.value, point.amount == 0, point.start));
        let mut unknown = self.unknown.take();
        unknown.sort();
        // Per point: when the first of it and the points after it had ended.
        let mut ends: Vec<Instant> = points.iter().map(|point| point.end).collect();
        for at in (1..ends.len()).rev() {
            ends[at - 1] = ends[at - 1].min(ends[at]);
        }
        let (mut reached, mut missing, mut latest) = (0, 0, None);
        for (point, end) in points.iter().zip(ends) {
            let (value, from) = (point.value, point.value - point.amount);
            if from < reached {
                wrong.push(format!("{name}: {reached} was reached inside of the step from {from} to {value}"));
            }
            missing += (from - reached).max(0);
            let begun = unknown.partition_point(|(start, _)| *start < end);
            let possible: i64 = unknown[..begun].iter().map(|(_, amount)| amount).sum();
            if missing > possible {
                wrong.push(format!(
                    "{name}: {value} is {missing} more than what was answered, and {possible} may have been done"
                ));
            }
            if latest.is_some_and(|latest| point.end < latest) {
                wrong.push(format!("{name}: {value} was answered after a higher value, or before a lower one began"));
            }
            latest = latest.max(Some(point.start));
            reached = value;
        }
    }
}

#[derive(Default)]
pub struct Counters {
    steps: Steps,
    /// Increments with a key.
    keyed: Steps,
    moved: Steps,
    pub completed: Steps,
}

fn value(counter: &Value) -> Option<i64> {
    counter["value"].as_i64()
}

fn amount(random: &mut StdRng) -> i64 {
    random.random_range(1..5)
}

/// Creates the counters.
pub async fn prepare(payer: &Payer, seed: u64) {
    let account = |number| format!("account{number}");
    let accounts = (0..ACCOUNTS).map(|number| json!({"name": account(number), "value": ACCOUNT_START}));
    let others = ["steps", "keyed", "moved", "completed"].map(|name| json!({"name": name}));
    let reset = |params: Value| json!({"method": "resetCounter", "params": params});
    let calls: Vec<Value> = accounts.chain(others).map(reset).collect();
    let mut random = StdRng::seed_from_u64(seed);
    payer.post_once(&mut random, "/v1/transaction", &json!({ "calls": calls })).await;
}

pub async fn step(payer: &Payer, random: &mut StdRng) {
    let amount = amount(random);
    let call = payer.post(random, "/v1/counters/steps/increment", &json!({ "amount": amount })).await;
    payer.counters.steps.add(&call, amount, value);
}

pub async fn step_once(payer: &Payer, random: &mut StdRng) {
    let amount = amount(random);
    let body = json!({ "amount": amount });
    payer.counters.keyed.add(&payer.post_once(random, "/v1/counters/keyed/increment", &body).await, amount, value);
}

/// Increments a counter many times in one transaction: a heavy call, and one step.
pub async fn leap(payer: &Payer, random: &mut StdRng) {
    let (count, is_keyed) = (random.random_range(10..50), random.random_bool(0.5));
    let increment = json!({"method": "increment", "params": {"name": if is_keyed { "keyed" } else { "steps" }}});
    let body = json!({"calls": vec![increment; count]});
    let last = |answer: &Value| answer["results"][count - 1]["value"].as_i64();
    let (call, steps) = match is_keyed {
        true => (payer.post_once(random, "/v1/transaction", &body).await, &payer.counters.keyed),
        false => (payer.post(random, "/v1/transaction", &body).await, &payer.counters.steps),
    };
    steps.add(&call, i64::try_from(count).unwrap(), last);
}

pub async fn read(payer: &Payer, random: &mut StdRng) {
    let (name, steps) = match random.random_range(0..3) {
        0 => ("steps", &payer.counters.steps),
        1 => ("keyed", &payer.counters.keyed),
        _ => ("completed", &payer.counters.completed),
    };
    let call = payer.get(random, &format!("/v1/counters/{name}")).await;
    if let Some(counter) = call.done() {
        steps.add_read(call.start, call.end, counter["value"].as_i64().unwrap());
    }
}

/// Moves money from one account to another.
pub async fn transfer(payer: &Payer, random: &mut StdRng) {
    let (from, amount) = (random.random_range(0..ACCOUNTS), random.random_range(1..60));
    let to = (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS;
    let take = json!({"name": format!("account{from}"), "amount": amount, "min": 0, "onBound": "reject"});
    let mut calls = vec![
        json!({"method": "decrement", "params": take}),
        json!({"method": "increment", "params": {"name": format!("account{to}"), "amount": amount}}),
        json!({"method": "increment", "params": {"name": "moved", "amount": amount}}),
    ];
    // With another order, the refusal comes after a change.
    let turned = random.random_range(0..3);
    calls.rotate_left(turned);
    let body = json!({ "calls": calls });
    let place = 2 - turned;
    let moved = |answer: &Value| answer["results"][place]["value"].as_i64();
    let call = match random.random_bool(0.3) {
        true => payer.post_once(random, "/v1/transaction", &body).await,
        false => payer.post(random, "/v1/transaction", &body).await,
    };
    payer.counters.moved.add(&call, amount, moved);
}

/// Reads all accounts at one time.
pub async fn audit(payer: &Payer, random: &mut StdRng) {
    let get = |account| json!({"method": "getCounter", "params": {"name": format!("account{account}")}});
    let calls: Vec<Value> = (0..ACCOUNTS).map(get).collect();
    let call = payer.post(random, "/v1/transaction", &json!({ "calls": calls })).await;
    let Some(found) = call.done() else { return };
    let values: Vec<i64> =
        found["results"].as_array().unwrap().iter().map(|counter| counter["value"].as_i64().unwrap()).collect();
    let start = ACCOUNT_START * i64::try_from(ACCOUNTS).unwrap();
    if values.iter().sum::<i64>() != start || values.iter().any(|value| *value < 0) {
        payer.is_wrong(format!("the accounts are {values:?}: {start} in all, and none below 0"));
    }
}

/// What is impossible in the answers.
pub async fn check(payer: &Payer, random: &mut StdRng, wrong: &mut Vec<String>) {
    let Counters { steps, keyed, moved, completed } = &payer.counters;
    for (name, steps) in [("steps", steps), ("keyed", keyed), ("moved", moved), ("completed", completed)] {
        let start = Instant::now();
        if let Some(counter) = payer.read(random, &format!("/v1/counters/{name}")).await {
            steps.add_read(start, Instant::now(), counter["value"].as_i64().unwrap());
        }
        steps.check(name, wrong);
    }
}
