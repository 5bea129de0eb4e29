//! Limits of locks.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// Size of the metadata of a lease, as JSON text of the caller.
    METADATA_BYTES_MAX: bytes = 4_096;
    /// Size of the metadata of a lease, as the database writes it: with spaces and all digits of its numbers.
    METADATA_STORED_BYTES_MAX: bytes = 8_192;
    /// How long a lock is kept after its lease ended.
    LOCK_KEPT: time = Duration::from_hours(1);
    /// Locks that one call of the sweeper deletes.
    LOCKS_SWEPT: number = 1_000;
}
