//! Limits of locks.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// Maximum size of the metadata of a lease: compact JSON in UTF-8, with all digits of its numbers.
    LEASE_METADATA_MAX: bytes = 4_096;
    /// Maximum size of the metadata of a lease, as the database writes it: with a space after each comma and colon.
    LEASE_METADATA_STORED_MAX: bytes = 8_192;
    /// How long a lock is kept after its lease ended.
    LOCK_KEPT: time = Duration::from_hours(1);
    /// Locks that one call of the sweeper deletes.
    LOCKS_SWEPT: number = 1_000;
}
