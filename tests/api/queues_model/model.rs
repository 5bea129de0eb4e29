//! The model: the documented behaviour of queues.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::model::Expected;

#[derive(Clone, Debug)]
pub(super) struct New {
    pub(super) priority: i64,
    pub(super) delay_ms: i64,
    pub(super) max_attempts: u32,
    pub(super) dedup_key: Option<u8>,
    pub(super) group: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Lease {
    /// The call sends no lease.
    Absent,
    /// The lease of the last pop, which may have ended.
    Last,
    Foreign,
}

/// A random call or event. `job` is the index among all jobs that were ever pushed.
#[derive(Clone, Debug)]
pub(super) enum Op {
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
pub(super) enum Status {
    Pending,
    Running,
    Completed,
    Dead,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Dead => "dead",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) queue: u8,
    pub(super) new: New,
    pub(super) status: Status,
    pub(super) attempts: u32,
    pub(super) created_at: DateTime<Utc>,
    /// Earliest time of the next pop.
    pub(super) run_at: DateTime<Utc>,
    /// End of the lease, or time of completion.
    pub(super) until: DateTime<Utc>,
    pub(super) lease: Option<String>,
    pub(super) is_gone: bool,
}

impl Job {
    pub(super) fn lives(&self) -> bool {
        !self.is_gone && matches!(self.status, Status::Pending | Status::Running)
    }

    pub(super) fn json(&self) -> Value {
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
pub(super) struct Model {
    pub(super) now: DateTime<Utc>,
    /// All jobs, in order of arrival.
    pub(super) jobs: Vec<Job>,
}

impl Model {
    /// Moves the time and ends the attempts of expired leases.
    pub(super) fn pass(&mut self, now: DateTime<Utc>) {
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

    pub(super) fn in_queue(&self, queue: u8) -> impl Iterator<Item = (usize, &Job)> {
        self.jobs.iter().enumerate().filter(move |(_, job)| !job.is_gone && job.queue == queue)
    }

    pub(super) fn is_ready(&self, job: &Job) -> bool {
        job.status == Status::Pending && job.run_at <= self.now
    }

    pub(super) fn living_with_key(&self, queue: u8, key: Option<u8>) -> Option<usize> {
        self.in_queue(queue).find(|(_, job)| job.lives() && key.is_some() && job.new.dedup_key == key).map(|(at, _)| at)
    }

    /// The index of the job that a pop must return.
    pub(super) fn next(&self, queue: u8) -> Option<usize> {
        let is_first_of_its_group = |at: usize, job: &Job| {
            let Some(group) = job.new.group else { return true };
            let mut others = self.in_queue(queue).filter(|(_, other)| other.new.group == Some(group));
            !others.any(|(other, it)| it.status == Status::Running || (other < at && self.is_ready(it)))
        };
        let ready = self.in_queue(queue).filter(|(at, job)| self.is_ready(job) && is_first_of_its_group(*at, job));
        ready.min_by_key(|(at, job)| (-job.new.priority, *at)).map(|(at, _)| at)
    }

    /// The job, if it is running and the lease is right; otherwise the code of the problem.
    pub(super) fn running(&mut self, job: usize, lease: Lease) -> Result<&mut Job, &'static str> {
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

    pub(super) fn run(&mut self, op: &Op) -> Expected {
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

    pub(super) fn status(&self, queue: u8) -> Value {
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
    pub(super) fn pushed(&mut self, queue: u8, new: &[New], answer: &Value) -> Result<(), TestCaseError> {
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
    pub(super) fn popped(
        &mut self,
        queue: u8,
        count: usize,
        lease_ms: i64,
        answer: &Value,
    ) -> Result<(), TestCaseError> {
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
    pub(super) fn failed(
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

pub(super) fn narrowed(answer: &Value, job: &Job) -> Value {
    crate::support::model::narrowed(answer.clone(), &job.json())
}
