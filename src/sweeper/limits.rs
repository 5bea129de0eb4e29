//! Limits of the sweeper.

use crate::limits::limits;

limits! {
    /// Payers or links in one stretch of a walk that takes an index step for each.
    STEPS: number = 1_000;
    /// Rows in one stretch of a walk that reads them all.
    ROWS: number = 10_000;
    /// Slugs in one stretch, each with a look-up of its link.
    SLUGS: number = 2_000;
}
