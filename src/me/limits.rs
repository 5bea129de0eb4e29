//! Limits of the account.

use crate::limits::limits;

limits! {
    /// The highest number that `getMe` counts to.
    COUNTED_MAX: number = 100_000;
    /// Rows that one call of `erasePayer` deletes. A database of SQL counts as its pages, and is deleted as a whole.
    ERASED_ROWS: number = 1_000;
    /// Idempotency keys that one call of `erasePayer` looks at, to erase their answers.
    ERASED_ANSWERS: number = 5_000;
    /// Size of a page of `exportPayer`, as JSON of the database, after which no further kind begins, and jobs and memories end. The last
    /// line may exceed it. The lines of other kinds are limited by their number alone.
    EXPORTED_BYTES: bytes = 1 << 20;
}
