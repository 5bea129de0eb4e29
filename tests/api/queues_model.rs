//! Queues against a model: random calls. Only the test moves the clock. Unlike the database, the model is not lazy: an
//! expired lease ends its attempt immediately.

mod model;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use self::model::{Job, Lease, Model, New, Op, Status, narrowed};
use crate::support::model::{compare, outcome, run_cases};
use crate::support::{Answer, Caller, TimedApp};

const QUEUES: u8 = 2;
/// Less than the retention of dead jobs, which begins when a call or the sweeper notices that the job is dead.
const DAYS_MAX: i64 = 10;

/// A run of random calls: the caller and the model.
struct Run<'a> {
    timed: &'a TimedApp,
    caller: Caller,
    model: Model,
    started: DateTime<Utc>,
}

impl Run<'_> {
    /// The path of a job, and the body with the lease.
    fn of(&self, job: usize, lease: Lease, mut body: Value) -> (String, Value) {
        let known = self.model.jobs.get(job);
        let id = known.map_or_else(|| uuid::Uuid::now_v7().to_string(), |job| job.id.clone());
        let foreign = || uuid::Uuid::new_v4().to_string();
        match lease {
            Lease::Absent => {}
            Lease::Last => body["lease"] = json!(known.and_then(|job| job.lease.clone()).unwrap_or_else(foreign)),
            Lease::Foreign => body["lease"] = json!(foreign()),
        }
        (format!("/v1/jobs/{id}"), body)
    }

    async fn of_job(&self, op: &Op) -> Answer {
        match *op {
            Op::Complete { job, lease } => {
                let (path, body) = self.of(job, lease, json!({}));
                self.caller.post(&format!("{path}/complete"), body).await
            }
            Op::Extend { job, lease, lease_ms } => {
                let (path, body) = self.of(job, lease, json!({"leaseMs": lease_ms}));
                self.caller.post(&format!("{path}/extend"), body).await
            }
            Op::Cancel { job } => self.caller.delete(&self.of(job, Lease::Absent, json!({})).0).await,
            Op::Get { job } => self.caller.get(&self.of(job, Lease::Absent, json!({})).0).await,
            Op::Status { queue } => self.caller.get(&format!("/v1/queues/{queue}")).await,
            Op::RetryDead { queue, limit } => {
                self.caller.post(&format!("/v1/queues/{queue}/retry-dead"), json!({"limit": limit})).await
            }
            Op::Purge { queue, status } => {
                let status = status.map(|status| format!("?status={}", status.name())).unwrap_or_default();
                self.caller.delete(&format!("/v1/queues/{queue}/jobs{status}")).await
            }
            Op::Push { .. } | Op::Pop { .. } | Op::Fail { .. } | Op::List { .. } | Op::Pass { .. } | Op::Sweep => {
                unreachable!("its answer has what the model has to learn")
            }
        }
    }

    async fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::Push { queue, new } => {
                let jobs = new.iter().map(|new| {
                    let mut job = json!({
                        "payload": new.priority, "priority": new.priority, "delayMs": new.delay_ms,
                        "maxAttempts": new.max_attempts, "backoffMs": 1_000,
                    });
                    for (member, value) in [("dedupKey", new.dedup_key), ("group", new.group)] {
                        if let Some(value) = value {
                            job[member] = json!(value.to_string());
                        }
                    }
                    job
                });
                let body = json!({"jobs": jobs.collect::<Vec<_>>()});
                let answer = self.caller.post(&format!("/v1/queues/{queue}/jobs/batch"), body).await.ok();
                self.model.pushed(*queue, new, &answer)
            }
            Op::Pop { queue, count, lease_ms } => {
                let body = json!({"count": count, "leaseMs": lease_ms});
                let answer = self.caller.post(&format!("/v1/queues/{queue}/pop/batch"), body).await.ok();
                self.model.popped(*queue, *count, *lease_ms, &answer)
            }
            Op::Fail { job, lease, retry, retry_in_ms } => {
                let mut body = json!({"error": "it failed", "retry": retry});
                if let Some(retry_in_ms) = retry_in_ms {
                    body["retryInMs"] = json!(retry_in_ms);
                }
                let (path, body) = self.of(*job, *lease, body);
                let answer = outcome(self.caller.post(&format!("{path}/fail"), body).await);
                self.model.failed((*job, *lease, *retry, *retry_in_ms), answer)
            }
            Op::List { queue, status } => {
                let filter = status.map(|status| format!("&status={}", status.name())).unwrap_or_default();
                let page = self.caller.get(&format!("/v1/queues/{queue}/jobs?limit=200{filter}")).await.ok();
                let mut found: Vec<Value> = page["items"].as_array().unwrap().clone();
                let wanted = self.model.in_queue(*queue).filter(|(_, job)| status.is_none_or(|it| it == job.status));
                let wanted: Vec<&Job> = wanted.map(|(_, job)| job).collect();
                found.sort_by_key(|job| self.model.jobs.iter().position(|it| job["id"] == it.id));
                prop_assert_eq!(found.len(), wanted.len(), "{:?} of {:?}", op, wanted);
                for (found, wanted) in found.iter().zip(wanted) {
                    prop_assert_eq!(narrowed(found, wanted), wanted.json());
                }
                Ok(())
            }
            Op::Pass { ms } => {
                if self.model.now - self.started < TimeDelta::days(DAYS_MAX) {
                    self.timed.clock.pass(&self.caller, Duration::from_millis(*ms)).await.unwrap();
                    self.model.pass(self.timed.clock.now(&self.caller).await);
                }
                Ok(())
            }
            Op::Sweep => {
                self.timed.sweep(&self.caller, "sweepQueues").await;
                self.timed.sweep(&self.caller, "sweepJobs").await;
                let now = self.model.now;
                for job in self.model.jobs.iter_mut().filter(|job| job.status == Status::Completed) {
                    job.is_gone |= job.until + TimeDelta::days(1) <= now;
                }
                Ok(())
            }
            Op::Complete { .. }
            | Op::Extend { .. }
            | Op::Cancel { .. }
            | Op::Get { .. }
            | Op::Status { .. }
            | Op::RetryDead { .. }
            | Op::Purge { .. } => compare(self.of_job(op).await, &self.model.run(op), op),
        }
    }
}

fn maybe<T: Clone + std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.3, value)
}

fn ops() -> impl Strategy<Value = Op> {
    let queue = 0..QUEUES;
    let job = 0..24_usize;
    let lease = prop_oneof![2 => Just(Lease::Absent), 6 => Just(Lease::Last), 1 => Just(Lease::Foreign)];
    let status = prop::sample::select(vec![Status::Pending, Status::Running, Status::Completed, Status::Dead]);
    let priorities = prop_oneof![4 => -1..=1_i64, 1 => prop::sample::select(vec![-32_768, 32_767])];
    let delays = prop_oneof![3 => Just(0), 1 => 1..5_000_i64];
    let new = (priorities, delays, 1..4_u32, maybe(0..3_u8), maybe(0..2_u8)).prop_map(
        |(priority, delay_ms, max_attempts, dedup_key, group)| New {
            priority,
            delay_ms,
            max_attempts,
            dedup_key,
            group,
        },
    );
    let push = (queue.clone(), prop::collection::vec(new, 1..4)).prop_map(|(queue, new)| Op::Push { queue, new });
    let pop = (queue.clone(), 1..4_usize, 1_000..5_000_i64).prop_map(|(queue, count, lease_ms)| Op::Pop {
        queue,
        count,
        lease_ms,
    });
    let complete = (job.clone(), lease.clone()).prop_map(|(job, lease)| Op::Complete { job, lease });
    let fail = (job.clone(), lease.clone(), prop::bool::weighted(0.8), maybe(0..3_000_i64))
        .prop_map(|(job, lease, retry, retry_in_ms)| Op::Fail { job, lease, retry, retry_in_ms });
    let held = prop_oneof![6 => Just(Lease::Last), 1 => Just(Lease::Foreign)];
    let extend =
        (job.clone(), held, 1_000..5_000_i64).prop_map(|(job, lease, lease_ms)| Op::Extend { job, lease, lease_ms });
    let cancel = job.clone().prop_map(|job| Op::Cancel { job });
    let get = job.prop_map(|job| Op::Get { job });
    let list = (queue.clone(), prop::option::of(status.clone())).prop_map(|(queue, status)| Op::List { queue, status });
    let state = queue.clone().prop_map(|queue| Op::Status { queue });
    let retry = (queue.clone(), 1..3_usize).prop_map(|(queue, limit)| Op::RetryDead { queue, limit });
    let purge = (queue, prop::option::weighted(0.8, status)).prop_map(|(queue, status)| Op::Purge { queue, status });
    let pass = prop_oneof![12 => 0..4_000_u64, 1 => Just(25 * 3_600_000)].prop_map(|ms| Op::Pass { ms });
    prop_oneof![
        6 => push, 8 => pop, 5 => complete, 4 => fail, 2 => extend, 1 => cancel, 1 => get, 2 => list, 2 => state,
        1 => retry, 1 => purge, 4 => pass, 1 => Just(Op::Sweep)
    ]
}

#[test]
fn random_calls_agree_with_the_model() {
    run_cases(TimedApp::spawn(), &prop::collection::vec(ops(), 1..80), async |timed, ops| {
        let caller = timed.app.caller().await;
        let started = timed.clock.now(&caller).await;
        let model = Model { now: started, ..Model::default() };
        let mut run = Run { timed, caller, model, started };
        for op in ops {
            run.step(&op).await?;
        }
        Ok(())
    });
}
