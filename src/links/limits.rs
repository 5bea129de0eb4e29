//! Limits of links.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// How long a reserved slug waits for its link.
    SLUG_RESERVED: time = Duration::from_mins(10);
    /// Clicks that `getLinkStats` lists one by one.
    RECENT_CLICKS: number = 20;
    /// Clicks that one call of the sweeper adds up or deletes.
    CLICKS_SWEPT: number = 5_000;
}
