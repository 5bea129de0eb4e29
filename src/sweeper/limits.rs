//! Limits of the sweeper.

use crate::limits::limits;

limits! {
    /// Payers or links that one statement of a walk finds, with one index look-up each.
    WALK_STEPS: number = 1_000;
    /// Rows that one statement of a walk reads.
    WALK_ROWS: number = 10_000;
    /// Slugs that one statement of a walk reads, with one look-up of a link each.
    WALK_SLUGS: number = 2_000;
    /// Queues whose jobs one statement counts.
    BACKLOG_QUEUES: number = 20;
    /// Maximum number of jobs that the metrics count in one queue and one state.
    BACKLOG_JOBS: number = 10_000;
}
