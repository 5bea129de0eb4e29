//! Quotas: how much a payer may have of each primitive, and how much it has written since that was measured.
//!
//! Each server adds up what it writes ([`Written`]) and notes it in the database: once an hour, and much at once. The sweeper measures a
//! primitive of a payer that has written much of it, and marks it as full if the quota is used up. Calls that add rows look
//! for the mark in their turn (`rpc.quota_problem`).

pub mod limits;
mod quota;
mod written;

pub use quota::{Primitive, Quotas};
pub use written::{Count, Counts, Written};

/// SQL functions of quotas.
pub(crate) const SQL: &[&str] = &[include_str!("quotas.sql"), include_str!("measure.sql")];
