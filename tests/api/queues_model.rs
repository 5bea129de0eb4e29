//! Queues against a model: random calls. Only the test moves the clock. Unlike the database, the model is not lazy: an
//! expired lease ends its attempt immediately.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::model::{Expected, compare, outcome, run_cases};
use crate::support::{Answer, Caller, TimedApp};

const QUEUES: u8 = 2;
/// Less than the retention of dead jobs, which begins when a call or the sweeper notices that the job is dead.
const DAYS_MAX: i64 = 10;

#[derive(Clone, Debug)]
struct New {
    priority: i64,
    delay_ms: i64,
    max_attempts: u32,
    dedup_key: Option<u8>,
    group: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Lease {
    /// The call sends no lease.
    Absent,
    /// The lease of the last pop, which may have ended.
    Last,
    Foreign,
}

/// A random call or event. `job` is the index among all jobs that were ever pushed.
#[derive(Clone, Debug)]
enum Op {
    Push { queue: u8, new: Vec<New> },
    Pop { queue: u8, count: usize, lease_ms: i64 },
    Complete { job: usize, lease: Lease },
    Fail { job: usize, lease: Lease, retry: bool, retry_in_ms: Option<i64> },
    Extend { job: usize, lease: Lease, lease_ms: i64 },
    Cancel { job: usize },
    Get { job: usize },
    List { queue: u8, status: Option<Status> },
    Status { queue: u8 },
    RetryDead { queue: u8, limit: usize },
    Purge { queue: u8, status: Option<Status> },
    Pass { ms: u64 },
    Sweep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Pending,
    Running,
    Completed,
    Dead,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Dead => "dead",
        }
    }
}

#[derive(Clone, Debug)]
struct Job {
    id: String,
    queue: u8,
    new: New,
    status: Status,
    attempts: u32,
    created_at: DateTime<Utc>,
    /// Earliest time of the next pop.
    run_at: DateTime<Utc>,
    /// End of the lease, or time of completion.
    until: DateTime<Utc>,
    lease: Option<String>,
    is_gone: bool,
}

impl Job {
    fn lives(&self) -> bool {
        !self.is_gone && matches!(self.status, Status::Pending | Status::Running)
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "queue": self.queue.to_string(),
            "payload": self.new.priority,
            "priority": self.new.priority,
            "status": self.status.name(),
            "attempts": self.attempts,
            "maxAttempts": self.new.max_attempts,
            "dedupKey": self.new.dedup_key.map(|key| key.to_string()),
            "group": self.new.group.map(|group| group.to_string()),
        })
    }
}

#[derive(Default)]
struct Model {
    now: DateTime<Utc>,
    /// All jobs, in order of arrival.
    jobs: Vec<Job>,
}

impl Model {
    /// Moves the time and ends the attempts of expired leases.
    fn pass(&mut self, now: DateTime<Utc>) {
        self.now = now;
        for job in &mut self.jobs {
            if job.status == Status::Running && job.until <= now {
                let is_over = job.attempts >= job.new.max_attempts;
                job.status = if is_over { Status::Dead } else { Status::Pending };
                job.run_at = job.until;
                job.until = now;
            }
        }
    }

    fn in_queue(&self, queue: u8) -> impl Iterator<Item = (usize, &Job)> {
        self.jobs.iter().enumerate().filter(move |(_, job)| !job.is_gone && job.queue == queue)
    }

    fn is_ready(&self, job: &Job) -> bool {
        job.status == Status::Pending && job.run_at <= self.now
    }

    fn living_with_key(&self, queue: u8, key: Option<u8>) -> Option<usize> {
        self.in_queue(queue).find(|(_, job)| job.lives() && key.is_some() && job.new.dedup_key == key).map(|(at, _)| at)
    }

    /// The index of the job that a pop must return.
    fn next(&self, queue: u8) -> Option<usize> {
        let is_first_of_its_group = |at: usize, job: &Job| {
            let Some(group) = job.new.group else { return true };
            let mut others = self.in_queue(queue).filter(|(_, other)| other.new.group == Some(group));
            !others.any(|(other, it)| it.status == Status::Running || (other < at && self.is_ready(it)))
        };
        let ready = self.in_queue(queue).filter(|(at, job)| self.is_ready(job) && is_first_of_its_group(*at, job));
        ready.min_by_key(|(at, job)| (-job.new.priority, *at)).map(|(at, _)| at)
    }

    /// The job, if it is running and the lease is right; otherwise the code of the problem.
    fn running(&mut self, job: usize, lease: Lease) -> Result<&mut Job, &'static str> {
        let job = self.jobs.get_mut(job).filter(|job| !job.is_gone).ok_or("not-found")?;
        let is_given_and_alive = match lease {
            Lease::Absent => true,
            Lease::Last => job.status == Status::Running && job.lease.is_some(),
            Lease::Foreign => false,
        };
        match job.status {
            _ if !is_given_and_alive => Err("lease-lost"),
            Status::Running => Ok(job),
            Status::Pending | Status::Completed | Status::Dead => Err("job-not-running"),
        }
    }

    fn run(&mut self, op: &Op) -> Expected {
        let now = self.now;
        match *op {
            Op::Complete { job, lease } => {
                let job = self.running(job, lease)?;
                (job.status, job.until) = (Status::Completed, now);
                Ok(job.json())
            }
            Op::Extend { job, lease, lease_ms } => {
                let job = self.running(job, lease)?;
                job.until = job.until.max(now + TimeDelta::milliseconds(lease_ms));
                Ok(job.json())
            }
            Op::Cancel { job } => {
                let job = self.jobs.get_mut(job).filter(|job| !job.is_gone).ok_or("not-found")?;
                job.is_gone = job.status == Status::Pending;
                if job.is_gone { Ok(Value::Null) } else { Err("job-not-pending") }
            }
            Op::Get { job } => {
                let job = self.jobs.get(job).filter(|job| !job.is_gone).ok_or("not-found")?;
                Ok(job.json())
            }
            Op::Status { queue } => Ok(self.status(queue)),
            Op::RetryDead { queue, limit } => {
                let mut dead: Vec<usize> =
                    self.in_queue(queue).filter(|(_, job)| job.status == Status::Dead).map(|(at, _)| at).collect();
                dead.sort_by_key(|at| (-self.jobs[*at].new.priority, *at));
                let mut retried = 0;
                for at in dead {
                    if retried < limit && self.living_with_key(queue, self.jobs[at].new.dedup_key).is_none() {
                        let job = &mut self.jobs[at];
                        (job.status, job.attempts, job.run_at) = (Status::Pending, 0, now);
                        retried += 1;
                    }
                }
                Ok(json!({"retried": retried}))
            }
            Op::Purge { queue, status } => {
                let is_purged = |job: &Job| match status {
                    Some(status) => job.status == status,
                    None => job.status != Status::Running,
                };
                let purged: Vec<usize> =
                    self.in_queue(queue).filter(|(_, job)| is_purged(job)).map(|(at, _)| at).collect();
                for at in &purged {
                    self.jobs[*at].is_gone = true;
                }
                Ok(json!({"purged": purged.len(), "hasMore": false}))
            }
            Op::Push { .. } | Op::Pop { .. } | Op::Fail { .. } | Op::List { .. } | Op::Pass { .. } | Op::Sweep => {
                unreachable!("its answer has what the model has to learn")
            }
        }
    }

    fn status(&self, queue: u8) -> Value {
        let count = |is_so: &dyn Fn(&Job) -> bool| self.in_queue(queue).filter(|(_, job)| is_so(job)).count();
        let ready = self.in_queue(queue).filter(|(_, job)| self.is_ready(job));
        json!({
            "queue": queue.to_string(),
            "pending": count(&|job| self.is_ready(job)),
            "delayed": count(&|job| job.status == Status::Pending && job.run_at > self.now),
            "running": count(&|job| job.status == Status::Running),
            "completed": count(&|job| job.status == Status::Completed),
            "dead": count(&|job| job.status == Status::Dead),
            "total": count(&|_| true),
            "oldestPendingAt": ready.map(|(_, job)| text(job.created_at)).min(),
        })
    }

    /// Checks the answer of a push and stores the ids.
    fn pushed(&mut self, queue: u8, new: &[New], answer: &Value) -> Result<(), TestCaseError> {
        let answers = answer["jobs"].as_array().unwrap();
        prop_assert_eq!(answers.len(), new.len());
        for (new, answer) in new.iter().zip(answers) {
            let twin = self.living_with_key(queue, new.dedup_key);
            prop_assert_eq!(answer["deduplicated"].as_bool(), Some(twin.is_some()), "{:?}", new);
            let at = twin.unwrap_or(self.jobs.len());
            if twin.is_none() {
                let run_at = self.now + TimeDelta::milliseconds(new.delay_ms);
                self.jobs.push(Job {
                    id: answer["id"].as_str().unwrap().to_owned(),
                    queue,
                    new: new.clone(),
                    status: Status::Pending,
                    attempts: 0,
                    created_at: self.now,
                    run_at,
                    until: self.now,
                    lease: None,
                    is_gone: false,
                });
                prop_assert_eq!(&answer["runAt"], &text(run_at));
            }
            prop_assert_eq!(narrowed(answer, &self.jobs[at]), self.jobs[at].json());
        }
        Ok(())
    }

    /// Checks that the right jobs were popped in the right order, and stores their leases.
    fn popped(&mut self, queue: u8, count: usize, lease_ms: i64, answer: &Value) -> Result<(), TestCaseError> {
        let answers = answer["jobs"].as_array().unwrap();
        for place in 0..count {
            let next = self.next(queue);
            let id = next.map(|at| self.jobs[at].id.as_str());
            prop_assert_eq!(answers.get(place).and_then(|job| job["id"].as_str()), id, "of {:?}", self.jobs);
            let Some(at) = next else { break };
            let (answer, until) = (&answers[place], self.now + TimeDelta::milliseconds(lease_ms));
            let job = &mut self.jobs[at];
            (job.status, job.until, job.attempts) = (Status::Running, until, job.attempts + 1);
            job.lease = Some(answer["lease"].as_str().unwrap().to_owned());
            prop_assert_eq!(&answer["leaseExpiresAt"], &text(until));
            prop_assert_eq!(narrowed(answer, job), job.json());
        }
        Ok(())
    }

    /// Checks the state of a job after a failed attempt, and stores the time of its retry.
    fn failed(
        &mut self,
        (at, lease, retry, retry_in_ms): (usize, Lease, bool, Option<i64>),
        answer: Result<Value, String>,
    ) -> Result<(), TestCaseError> {
        let now = self.now;
        let job = match self.running(at, lease) {
            Ok(job) => job,
            Err(code) => {
                prop_assert_eq!(answer, Err(code.to_owned()));
                return Ok(());
            }
        };
        let answer = answer.map_err(TestCaseError::fail)?;
        if retry && job.attempts < job.new.max_attempts {
            let longest = TimeDelta::milliseconds(retry_in_ms.unwrap_or(1_000 << (job.attempts - 1)));
            job.run_at = answer["runAt"].as_str().unwrap().parse().unwrap();
            prop_assert!((now..=now + longest).contains(&job.run_at), "{} after {now}", job.run_at);
            prop_assert!(retry_in_ms.is_none() || job.run_at == now + longest);
            job.status = Status::Pending;
        } else {
            job.status = Status::Dead;
        }
        prop_assert_eq!(&answer["error"], "it failed");
        prop_assert_eq!(narrowed(&answer, job), job.json());
        Ok(())
    }
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn narrowed(answer: &Value, job: &Job) -> Value {
    crate::support::model::narrowed(answer.clone(), &job.json())
}

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
fn random_calls_answer_as_the_model_does() {
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
