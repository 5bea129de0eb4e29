//! The schema of problems in the OpenAPI document.

use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::{Code, InvalidField};
use crate::queues::types::Status;
use crate::time::Time;

/// The answer to a failed request (RFC 9457). The page `/problems` describes each `code`. A problem has only the members
/// that its code brings; later versions may add codes and members.
#[derive(ToSchema)]
#[schema(as = Problem, rename_all = "camelCase")]
#[expect(dead_code, reason = "only a schema: `Problem` writes the body")]
pub(super) struct ProblemBody {
    /// URI reference of the page that describes this kind of problem.
    #[schema(rename = "type", example = "/problems#invalid-value")]
    r#type: String,
    /// Summary of this kind of problem: one sentence, the same for every occurrence.
    title: String,
    /// HTTP status of the answer.
    #[schema(example = 422)]
    status: u16,
    /// Explanation of this occurrence, or advice.
    detail: String,
    /// Id of the request, as in the log.
    instance: String,
    /// Stable code of this kind of problem. Programs can branch on it.
    code: ProblemCode,
    /// Invalid values; absent if none.
    errors: Option<Vec<InvalidField>>,
    /// Size limit, in bytes (`payload-too-large`).
    limit_bytes: Option<u64>,
    /// Limit of the tokens of a text for the embedding model (`payload-too-large`).
    limit_tokens: Option<u64>,
    /// Quota of the payer (`quota-exceeded`).
    limit: Option<u64>,
    /// Id of the payment that came with the request, or that it belongs to (`payment-used`, `payment-unknown`, and problems
    /// of calls that were paid).
    payment: Option<String>,
    /// Place of the fault in the text of the statement, in bytes (`sql-error`). Absent if SQLite does not know it.
    offset: Option<u64>,
    /// Constraint that does not hold: `unique`, `primary-key`, `not-null`, `check`, `foreign-key` or `datatype` (`sql-error`).
    /// Absent for other errors.
    constraint: Option<String>,
    /// Name of the header that is not valid (`invalid-header`).
    header: Option<String>,
    /// Scope that the token lacks (`missing-scope`).
    scope: Option<String>,
    /// Index of the call at fault in a transaction, from 0.
    index: Option<u32>,
    /// Method of the call at fault in a transaction.
    method: Option<String>,
    /// Current value of the counter (`counter-out-of-bounds`, `counter-overflow`).
    value: Option<i64>,
    /// Lower bound of the counter; `null` if none (`counter-out-of-bounds`).
    min: Option<i64>,
    /// Upper bound of the counter; `null` if none (`counter-out-of-bounds`).
    max: Option<i64>,
    /// End of the current lease (`lock-held`).
    expires_at: Option<Time>,
    /// Time until the end of the current lease, in milliseconds (`lock-held`).
    expires_in_ms: Option<i64>,
    /// End of the lease (`lock-expired`).
    expired_at: Option<Time>,
    /// Lock of the guard that does not hold (`stale-fence`).
    lock: Option<String>,
    /// Fence of the guard that does not hold (`stale-fence`).
    fence: Option<i64>,
    /// Whose allowance is used up: `token` or `grant` (`allowance-exceeded`).
    holder: Option<String>,
    /// Status of the job (`job-not-running`, `job-not-pending`).
    job_status: Option<Status>,
    /// Dimensions of the vector of the query (`dimension-mismatch`).
    dimensions: Option<u32>,
    /// Model of the vector of the query; `null` if not known (`dimension-mismatch`).
    embedding_model: Option<String>,
    /// Models and dimensions of the stored vectors (`dimension-mismatch`).
    stored: Option<Vec<StoredVectors>>,
}

/// Stored vectors of one model and one number of dimensions.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only a schema: SQL writes the value")]
pub(super) struct StoredVectors {
    /// Number of dimensions.
    dimensions: u32,
    /// Model that made the vectors; `null` if not known.
    #[schema(required)]
    embedding_model: Option<String>,
    /// Number of memories.
    memories: u64,
}

/// The stable code of a problem.
pub(super) struct ProblemCode;

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        let codes = Code::ALL.iter().map(|code| code.slug());
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
        schema.description(Some("Stable code of a kind of problem. `/problems` describes each.")).into()
    }
}

impl ToSchema for ProblemCode {}
