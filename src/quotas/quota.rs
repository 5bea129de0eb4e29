//! What has a quota, and how much of it a payer may have.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What has a quota: the primitives, and the single clicks of links with their totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Primitive {
    /// Counters.
    Counters,
    /// Links, without their clicks.
    Links,
    /// Single clicks of links, and their totals.
    Clicks,
    /// Locks, also those that are kept after their lease.
    Locks,
    /// Jobs, also finished ones that are kept.
    Jobs,
    /// Memories.
    Memories,
}

/// The maximum that a payer may have of each primitive. `None`: no maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Number of rows.
    pub rows: Option<i64>,
    /// Number of bytes.
    pub bytes: Option<i64>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { rows: Some(10_000_000), bytes: Some(10 << 30) }
    }
}

impl Quotas {
    /// Whether one of them is used up.
    #[must_use]
    pub fn are_reached(&self, rows: i64, bytes: i64) -> bool {
        self.rows.is_some_and(|max| rows >= max) || self.bytes.is_some_and(|max| bytes >= max)
    }

    /// Whether nothing has a maximum.
    #[must_use]
    pub fn are_off(&self) -> bool {
        self.rows.is_none() && self.bytes.is_none()
    }
}

/// The quotas as the log shows them.
impl fmt::Display for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |quota: Option<i64>| quota.map_or_else(|| "none".to_owned(), |quota| quota.to_string());
        write!(f, "{} rows, {} bytes", shown(self.rows), shown(self.bytes))
    }
}
