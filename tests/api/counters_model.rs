//! Counters against a model: random calls, sequential and concurrent.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::model::{Expected, compare, narrowed, outcome, run_cases};
use crate::support::{Answer, Caller, TestApp};

/// A call of a method, on one of a few names.
#[derive(Clone, Debug)]
enum Op {
    Adjust { name: u8, sign: i8, amount: i64, min: Option<Option<i64>>, max: Option<Option<i64>>, reject: bool },
    Reset { name: u8, value: i64 },
    Delete { name: u8 },
    Get { name: u8 },
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counter {
    value: i128,
    min: Option<i128>,
    max: Option<i128>,
}

#[derive(Default)]
struct Model(BTreeMap<u8, Counter>);

impl Model {
    fn run(&mut self, op: &Op) -> Expected {
        match *op {
            Op::Adjust { name, .. } => {
                let old = self.0.get(&name).copied().unwrap_or_default();
                let (new, answer) = adjust(old, op)?;
                self.0.insert(name, new);
                Ok(answer)
            }
            Op::Reset { name, value } => {
                let old = self.0.get(&name).copied().unwrap_or_default();
                let value = i128::from(value);
                if old.min.is_some_and(|min| value < min) || old.max.is_some_and(|max| value > max) {
                    return Err("invalid-value");
                }
                self.0.insert(name, Counter { value, ..old });
                Ok(json!({"value": value as i64, "previousValue": old.value as i64}))
            }
            Op::Delete { name } => self.0.remove(&name).map(|_| Value::Null).ok_or("not-found"),
            Op::Get { name } => {
                let counter = self.0.get(&name).ok_or("not-found")?;
                let bound = |bound: Option<i128>| bound.map(|bound| bound as i64);
                Ok(json!({"value": counter.value as i64, "min": bound(counter.min), "max": bound(counter.max)}))
            }
        }
    }
}

/// One increment or decrement as documented, computed in 128 bits.
fn adjust(old: Counter, op: &Op) -> Result<(Counter, Value), &'static str> {
    let Op::Adjust { sign, amount, min, max, reject, .. } = *op else { unreachable!() };
    let sign = i128::from(sign);
    let new_bound = |given: Option<Option<i64>>, kept| given.map_or(kept, |given| given.map(i128::from));
    let (min, max) = (new_bound(min, old.min), new_bound(max, old.max));
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        return Err("invalid-value");
    }
    let sum = old.value + sign * i128::from(amount);
    let highest = max.map_or(i128::MAX, |max| max.max(old.value));
    let lowest = min.map_or(i128::MIN, |min| min.min(old.value));
    let value = sum.clamp(lowest, highest);
    if value != sum && reject {
        return Err("counter-out-of-bounds");
    }
    if i64::try_from(value).is_err() {
        return Err("counter-overflow");
    }
    let applied = ((value - old.value) * sign) as i64;
    let answer =
        json!({"value": value as i64, "previousValue": old.value as i64, "applied": applied, "capped": value != sum});
    Ok((Counter { value, min, max }, answer))
}

async fn call(caller: &Caller, op: &Op) -> Answer {
    match op {
        Op::Adjust { name, sign, amount, min, max, reject } => {
            let mut body = json!({"amount": amount, "onBound": if *reject { "reject" } else { "saturate" }});
            for (member, bound) in [("min", min), ("max", max)] {
                if let Some(bound) = bound {
                    body[member] = json!(bound);
                }
            }
            let verb = if *sign > 0 { "increment" } else { "decrement" };
            caller.post(&format!("/v1/counters/{name}/{verb}"), body).await
        }
        Op::Reset { name, value } => caller.post(&format!("/v1/counters/{name}/reset"), json!({"value": value})).await,
        Op::Delete { name } => caller.delete(&format!("/v1/counters/{name}")).await,
        Op::Get { name } => caller.get(&format!("/v1/counters/{name}")).await,
    }
}

fn amounts() -> impl Strategy<Value = i64> {
    let edges = prop::sample::select(vec![0, 1, -1, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1]);
    prop_oneof![3 => -20..20_i64, 1 => edges, 1 => any::<i64>()]
}

fn bounds() -> impl Strategy<Value = Option<Option<i64>>> {
    prop_oneof![4 => Just(None), 1 => Just(Some(None)), 2 => (-20..20_i64).prop_map(|n| Some(Some(n))), 1 => amounts().prop_map(|n| Some(Some(n)))]
}

fn ops(names: u8) -> impl Strategy<Value = Op> {
    let sign = prop::sample::select(vec![1, -1]);
    let adjust = (0..names, sign, amounts(), bounds(), bounds(), any::<bool>())
        .prop_map(|(name, sign, amount, min, max, reject)| Op::Adjust { name, sign, amount, min, max, reject });
    let reset = (0..names, amounts()).prop_map(|(name, value)| Op::Reset { name, value });
    let delete = (0..names).prop_map(|name| Op::Delete { name });
    let get = (0..names).prop_map(|name| Op::Get { name });
    prop_oneof![8 => adjust, 2 => reset, 1 => delete, 1 => get]
}

#[test]
fn random_calls_agree_with_the_model() {
    run_cases(TestApp::spawn(), &prop::collection::vec(ops(3), 1..40), async |app, ops| {
        let (caller, mut model) = (app.caller().await, Model::default());
        for op in ops {
            compare(call(&caller, &op).await, &model.run(&op), &op)?;
        }
        Ok(())
    });
}

#[test]
fn concurrent_calls_are_equivalent_to_sequential_calls() {
    let adjustments = (prop::sample::select(vec![1, -1]), -20..20_i64, any::<bool>())
        .prop_map(|(sign, amount, reject)| Op::Adjust { name: 0, sign, amount, min: None, max: None, reject });
    run_cases(TestApp::spawn(), &prop::collection::vec(adjustments, 2..60), async |app, ops| {
        let caller = app.caller().await;
        let bounded =
            Op::Adjust { name: 0, sign: 1, amount: 0, min: Some(Some(-30)), max: Some(Some(30)), reject: false };
        call(&caller, &bounded).await.ok();
        let answers = join_all(ops.iter().map(|op| call(&caller, op))).await;
        let mut sum = 0;
        for (op, answer) in ops.iter().zip(answers) {
            let Ok(answer) = outcome(answer) else { continue };
            let Op::Adjust { sign, .. } = *op else { unreachable!() };
            // Each call is correct for the value before it, and the changes add up to the final value.
            let found =
                Counter { value: answer["previousValue"].as_i64().unwrap().into(), min: Some(-30), max: Some(30) };
            let (_, expected) = adjust(found, op).map_err(TestCaseError::fail)?;
            sum += answer["applied"].as_i64().unwrap() * i64::from(sign);
            prop_assert_eq!(narrowed(answer, &expected), expected);
        }
        let value = caller.value("0").await;
        prop_assert_eq!(value, sum);
        prop_assert!((-30..=30).contains(&value));
        Ok(())
    });
}

/// The operation as a call of a transaction.
fn transacted(op: &Op) -> Value {
    let (method, mut params) = match *op {
        Op::Adjust { sign, amount, reject, .. } => {
            let on_bound = if reject { "reject" } else { "saturate" };
            let params = json!({"amount": amount, "onBound": on_bound});
            (if sign > 0 { "increment" } else { "decrement" }, params)
        }
        Op::Reset { value, .. } => ("resetCounter", json!({"value": value})),
        Op::Delete { .. } => ("deleteCounter", json!({})),
        Op::Get { .. } => ("getCounter", json!({})),
    };
    let (Op::Adjust { name, .. } | Op::Reset { name, .. } | Op::Delete { name } | Op::Get { name }) = *op;
    params["name"] = json!(name.to_string());
    if let Op::Adjust { min, max, .. } = *op {
        for (member, bound) in [("min", min), ("max", max)] {
            if let Some(bound) = bound {
                params[member] = json!(bound);
            }
        }
    }
    json!({"method": method, "params": params})
}

#[test]
fn transactions_with_runs_of_calls_agree_with_the_model() {
    // Few bounds and few methods, so that there are many runs of several calls.
    let adjust = (0..3_u8, prop::sample::select(vec![1, 1, 1, -1]), amounts(), any::<bool>())
        .prop_map(|(name, sign, amount, reject)| Op::Adjust { name, sign, amount, min: None, max: None, reject });
    let op = prop_oneof![8 => adjust, 1 => ops(3)];
    let transactions = prop::collection::vec(prop::collection::vec(op, 1..20), 1..8);
    run_cases(TestApp::spawn(), &transactions, async |app, transactions| {
        let (caller, mut model) = (app.caller().await, Model::default());
        for ops in transactions {
            let expected: Vec<(Op, Value)> =
                ops.into_iter().filter_map(|op| model.run(&op).ok().map(|result| (op, result))).collect();
            let calls: Vec<Value> = expected.iter().map(|(op, _)| transacted(op)).collect();
            if calls.is_empty() {
                continue;
            }
            let answer = caller.post("/v1/transaction", json!({"calls": calls})).await.ok();
            let results = answer["results"].as_array().cloned().unwrap_or_default();
            prop_assert_eq!(results.len(), expected.len());
            for ((op, expected), result) in expected.into_iter().zip(results) {
                prop_assert_eq!(narrowed(result, &expected), expected, "{:?}", op);
            }
        }
        Ok(())
    });
}
