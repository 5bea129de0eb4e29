//! Limits of the measurement of quotas.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// How much each row counts, beside its names, texts, JSON and vectors.
    ROW_BYTES: bytes = 100;
    /// Rows that one step of a measurement reads.
    MEASURED_ROWS: number = 5_000;
    /// Memories that one step of a measurement reads.
    MEASURED_MEMORIES: number = 1_000;
    /// A primitive that was written to is measured again after this time, at the latest.
    USAGE_MEASURED: time = Duration::from_hours(24);
    /// A full primitive that was written to is measured again after this time, at the latest.
    FULL_MEASURED: time = Duration::from_mins(10);
    /// Maximum size of the result of a job, as the database stores it, once the jobs of the payer are full.
    FULL_RESULT_BYTES: bytes = 4_096;
}
