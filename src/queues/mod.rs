//! Queues: jobs with priority, retries, leases and dead letters. Each job runs at least once.
//!
//! Limits: payloads and results of 256 KiB, 100 jobs in a batch, 1,000 attempts, leases of 1 second to 24 hours, delays of a
//! year. Completed jobs are kept for 24 hours, dead jobs for 14 days.

pub mod methods;
pub mod routes;
pub mod types;

/// The functions of this slice.
pub(crate) const SQL: &[&str] = &[include_str!("state.sql"), include_str!("rpc.sql"), include_str!("read.sql")];
