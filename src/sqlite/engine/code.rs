//! SQLite's results of functions.

pub(super) const OK: i32 = 0;
pub(super) const NO_MEMORY: i32 = 7;
pub(super) const FULL: i32 = 13;
pub(super) const ROW: i32 = 100;
pub(super) const DONE: i32 = 101;
