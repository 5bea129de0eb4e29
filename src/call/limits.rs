//! Limits of calls.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// Maximum number of calls in one transaction.
    TRANSACTION_CALLS_MAX: number = 50;
    /// Maximum number of references in one transaction.
    TRANSACTION_REFS_MAX: number = 100;
    /// Maximum weight of one transaction, in simple calls: it delays the other payers of its lane.
    TRANSACTION_WEIGHT_MAX: number = 500;
    /// How long the answer to an idempotency key is kept.
    IDEMPOTENCY_KEPT: time = Duration::from_hours(24);
    /// Time before the end of a stored answer in which a repeated call does its work outside of the turn again: the answer may
    /// end before the turn.
    IDEMPOTENCY_MARGIN: time = Duration::from_mins(1);
    /// Size from which an answer that is kept under an idempotency key counts.
    LARGE_ANSWER_BYTES: bytes = 4 << 10;
    /// Maximum size of the answers of at least 4 KiB that are kept for a payer. Above it, calls that may have such answers are
    /// refused under an idempotency key.
    KEPT_BYTES_MAX: bytes = 256 << 20;
    /// Idempotency keys that one call of the sweeper deletes.
    IDEMPOTENCY_SWEPT: number = 1_000;
    /// Maximum size of a payload or of a result with references in it, as the database writes it: with a space after each
    /// comma and colon.
    FILLED_BYTES_MAX: bytes = 256 << 10;
    /// Maximum size of all results of a transaction.
    RESULTS_BYTES_MAX: bytes = 8 << 20;
    /// Maximum size of the values of all references of a transaction. A value counts once for each reference to it.
    REFERENCED_BYTES_MAX: bytes = 1 << 20;
}
