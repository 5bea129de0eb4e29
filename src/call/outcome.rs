//! Decodes the results of SQL functions, and turns failed calls into problems.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::request::Answer;
use super::spec::Spec;
use crate::json::read_members;
use crate::problem::{Code, Problem};
use crate::telemetry::because;
use crate::turn::Access;

/// The result of a method in SQL. Every expected outcome is data.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome<T> {
    Ok(T),
    /// The result of a pop without a job. It is not recorded under the idempotency key: a retry runs again.
    Empty(T),
    /// The result of an earlier call with the same idempotency key.
    Replay(T),
    Problem(#[serde(deserialize_with = "read_members")] Map<String, Value>),
}

/// Reads the result of a method.
pub(super) fn read<T: DeserializeOwned>(spec: &Spec, result: &str) -> Result<Answer<T>, Problem> {
    match serde_json::from_str(result).map_err(|error| unreadable(spec, &error))? {
        Outcome::Ok(output) | Outcome::Empty(output) => Ok(Answer::of(output, false)),
        Outcome::Replay(output) => Ok(Answer::of(output, true)),
        Outcome::Problem(members) => Err(Problem::from_sql(members)),
    }
}

/// The result of a call that ran cannot be read: a bug in payerbase. A write is committed.
pub(super) fn unreadable(spec: &Spec, error: &serde_json::Error) -> Problem {
    let problem = mismatch(spec.name, error);
    match spec.access {
        Access::Write => Problem::new(Code::OutcomeUnknown),
        Access::Read => problem,
    }
}

/// The types of a method in Rust and in SQL differ: a bug in payerbase.
pub(super) fn mismatch(method: &str, error: &serde_json::Error) -> Problem {
    because(format!("{method}: its types in Rust and in SQL differ: {error}"));
    Problem::new(Code::Internal)
}
