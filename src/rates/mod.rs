//! Rate limits for client addresses and for payers.
//!
//! Every server decides in memory, without waiting (GCRA, with weights). Servers that use the same Redis tell each other
//! every 100 ms what they let through. Together they let through at most the limit, and what each of them takes within
//! one such interval: at most its burst. Without Redis, each server applies the whole limit alone.

mod bucket;
mod fields;
mod key;
mod limiter;
mod rate;
mod sharing;

pub use bucket::Decision;
pub use fields::{limit_field, policy_field, retry_after_field};
pub use key::{Key, Kind};
pub use limiter::{Limiter, Rated};
pub use rate::{NotARate, Rate};
pub use sharing::share;
