//! Limits of calls.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// How long the answer to an idempotency key is kept.
    IDEMPOTENCY_KEPT: time = Duration::from_hours(24);
    /// Time before the end of an answer in which its call is prepared as if there were none: it may end before the turn.
    IDEMPOTENCY_MARGIN: time = Duration::from_mins(1);
    /// Idempotency keys that one call of the sweeper deletes.
    IDEMPOTENCY_SWEPT: number = 1_000;
    /// Maximum size of all results of a transaction, each counted once more per reference to it.
    RESULTS_BYTES_MAX: bytes = 8 << 20;
}
