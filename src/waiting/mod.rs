//! Long polls: calls that wait for a lock or a job.
//!
//! `Waiters` holds the waiting calls of this process. [`Replicas`] shares wake-ups with other servers through Redis.

mod replicas;
mod waiters;
mod wake;

pub use replicas::Replicas;
pub(crate) use waiters::{NoPlace, Waiters};
pub use waiters::{POLL_INTERVAL, WAITING_MAX, WAITING_PAYER_MAX};
pub use wake::{Awaited, WaitMs, Wake, Wanted};
