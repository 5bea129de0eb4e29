//! `completeJob`, `failJob` and `extendJob`: what the worker of a running job calls.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::limits::ERROR_BYTES_MAX;
use super::spec::{ID, wake_poppers, write};
use super::types::{DelayMs, Id, Job, LeaseMs};
use crate::call::{Method, Ref, Spec, method};
use crate::json::Json;
use crate::problem::Code;
use crate::site::Site;
use crate::waiting::Wake;

/// Problems of a method that needs a running job.
const NOT_RUNNING: &[Code] = &[Code::NotFound, Code::LeaseLost, Code::JobNotRunning];

const LEASE: Ref = ("lease", "\"00000000-0000-0000-0000-000000000000\"");

/// Complete a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompleteJob {
    /// Id of the job.
    #[schema(ignore)]
    pub id: Id,
    /// Lease from the pop. `null` or absent: complete the running attempt, whichever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Id>,
    /// Result of the job: any JSON, at most {{payload_bytes_max}} and 64 levels deep. Default: `null`.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    #[schema(value_type = Value, example = json!({"sent": true}))]
    pub result: Json,
}

impl Method for CompleteJob {
    type Output = Job;
    const SPEC: Spec = write("completeJob").with_run().problems(NOT_RUNNING).refs(&[ID, LEASE, ("result", "null")]);

    fn after_commit(&self, job: &mut Job, _: &Site) -> Option<Wake> {
        // The next job of the group is ready.
        job.group.as_ref().and_then(|_| wake_poppers(&job.queue, 1))
    }
}

/// Report that an attempt failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailJob {
    /// Id of the job.
    #[schema(ignore)]
    pub id: Id,
    /// Reason of the failure, at most {{error_bytes_max}} of UTF-8.
    #[serde(deserialize_with = "error_text")]
    #[schema(max_length = 8192, example = "connection refused")]
    pub error: String,
    /// Lease from the pop. `null` or absent: fail the running attempt, whichever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Id>,
    /// Whether to retry the job if attempts are left. `false`: the job is dead. Default: `true`.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub retry: bool,
    /// Delay before the retry, in milliseconds, 0 to 31,536,000,000 (365 days). `null` or absent: the back-off of the
    /// job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 31536000000i64)]
    pub retry_in_ms: Option<DelayMs>,
    /// Random factor of the back-off, at least 0 and less than 1. The server draws it.
    #[serde(skip_deserializing, default = "rand::random")]
    #[schema(ignore)]
    pub jitter: f64,
}

impl Method for FailJob {
    type Output = Job;
    const SPEC: Spec = write("failJob").problems(NOT_RUNNING).refs(&[ID, LEASE]);

    fn after_commit(&self, job: &mut Job, _: &Site) -> Option<Wake> {
        wake_poppers(&job.queue, 1)
    }
}

const fn yes() -> bool {
    true
}

fn error_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let error = String::deserialize(deserializer)?;
    match error.len() > ERROR_BYTES_MAX {
        true => Err(D::Error::custom(format!("must be at most {ERROR_BYTES_MAX} bytes of UTF-8"))),
        false => Ok(error),
    }
}

/// Extend the lease of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtendJob {
    /// Id of the job.
    #[schema(ignore)]
    pub id: Id,
    /// Lease from the pop.
    pub lease: Id,
    /// New lease time, counted from now, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours). A lease is
    /// never shortened.
    #[schema(value_type = i64, minimum = 1000, maximum = 86400000, example = 60000)]
    pub lease_ms: LeaseMs,
}

method!(ExtendJob => Job, write("extendJob").problems(NOT_RUNNING).refs(&[ID, LEASE]));
