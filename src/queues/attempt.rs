//! `completeJob`, `failJob` and `extendJob`: what the worker of a running job calls.

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::limits::ERROR_BYTES_MAX;
use super::spec::{ID, check_size, wake_poppers, write};
use super::types::{DelayMs, Id, Job, LeaseMs};
use crate::call::{Context, Method, Ref, Spec, method};
use crate::json::Json;
use crate::problem::{Code, Problem};
use crate::quotas::Primitive;
use crate::site::Site;
use crate::waiting::Wake;

/// Problems of a method that needs a running job.
const NOT_RUNNING: &[Code] = &[Code::NotFound, Code::LeaseLost, Code::JobNotRunning];

const LEASE: Ref = ("lease", "\"00000000-0000-0000-0000-000000000000\"");

/// Complete a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct CompleteJob {
    /// Id of the job.
    #[schema(ignore)]
    pub id: Id,
    /// Lease from the pop. `null` or absent: complete the running attempt, whichever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Id>,
    /// Result of the job: any JSON, at most {{payload_bytes_max}} and 64 levels deep, counted like a payload.
    /// Default: `null`.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    #[schema(value_type = Value, example = json!({"sent": true}))]
    pub result: Json,
}

impl Method for CompleteJob {
    type Output = Job;
    const SPEC: Spec = write("completeJob")
        .primitive(Primitive::Jobs)
        .by_lease()
        .with_run()
        .problems(&[Code::NotFound, Code::LeaseLost, Code::JobNotRunning, Code::QuotaExceeded])
        .refs(&[ID, LEASE, ("result", "null")]);

    fn prepare(&mut self, _: &Context<'_>) -> Result<(), Problem> {
        check_size(&self.result, "/result")
    }

    fn after_commit(&self, job: &mut Job, _: &Site) -> Option<Wake> {
        // The next job of the group is ready.
        job.group.as_ref().and_then(|_| wake_poppers(&job.queue, 1))
    }
}

/// Report that an attempt failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct FailJob {
    /// Id of the job.
    #[schema(ignore)]
    pub id: Id,
    /// Reason of the failure, in UTF-8. A longer text is cut at {{error_bytes_max}}, and U+0000 is left out, so that a
    /// report is never refused for its text. `null` or absent: empty.
    #[serde(default, deserialize_with = "error_text")]
    #[schema(value_type = Option<String>, required = false, example = "connection refused")]
    pub error: String,
    /// Lease from the pop. `null` or absent: fail the running attempt, whichever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Id>,
    /// Whether to retry the job if attempts are left. `false`: the job is dead. Default: `true`.
    #[serde(default = "yes", deserialize_with = "or_yes")]
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
    const SPEC: Spec =
        write("failJob").primitive(Primitive::Jobs).by_lease().problems(NOT_RUNNING).refs(&[ID, LEASE]).takes_nul();

    fn after_commit(&self, job: &mut Job, _: &Site) -> Option<Wake> {
        wake_poppers(&job.queue, 1)
    }
}

const fn yes() -> bool {
    true
}

fn or_yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(yes))
}

/// The text without U+0000, which PostgreSQL cannot store, cut between two characters.
fn error_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mut error = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    error.retain(|c| c != '\0');
    error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
    Ok(error)
}

/// Extend the lease of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
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

method!(ExtendJob => Job, write("extendJob").by_lease().problems(NOT_RUNNING).refs(&[ID, LEASE]));
