//! Limits of calls.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// How long the answer of an idempotency key is kept.
    IDEMPOTENCY_KEPT: time = Duration::from_hours(24);
    /// Age of an answer from which its call is prepared as if there were none: the answer may end before the turn.
    IDEMPOTENCY_SURE: time = Duration::from_mins(23 * 60 + 59);
    /// Idempotency keys that one call of the sweeper deletes.
    IDEMPOTENCY_SWEPT: number = 1_000;
    /// Size of all results of a transaction, each counted once more per reference to it.
    RESULTS_BYTES_MAX: bytes = 8 << 20;
    /// Nesting of a parameter that contains the result of an earlier call.
    REFERENCE_DEPTH_MAX: number = 64;
}
