//! Queues: jobs with priority, retries, leases and dead letters. Delivery is at least once.
//!
//! Limits: payloads and results up to 256 KiB, batches up to 100 jobs, 1 to 1,000 attempts, leases of 1 second to 24
//! hours, delays up to 365 days. Completed jobs are kept for 24 hours, dead jobs for 14 days.

pub mod attempt;
pub mod limits;
pub mod manage;
pub mod methods;
pub mod pop;
pub mod push;
pub mod routes;
mod spec;
pub mod types;

/// SQL functions of this slice.
pub(crate) const SQL: &[&str] = &[
    include_str!("state.sql"),
    include_str!("push.sql"),
    include_str!("pop.sql"),
    include_str!("rpc.sql"),
    include_str!("read.sql"),
];
