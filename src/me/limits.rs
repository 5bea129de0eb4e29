//! Limits of the usage report.

use crate::limits::limits;

limits! {
    /// The highest number that `getMe` counts to.
    COUNTED_MAX: number = 100_000;
}
