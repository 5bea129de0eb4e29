//! Quotas: how much a payer may have of each primitive, and how much it has written since that was measured.
//!
//! Each server adds up what it writes ([`Written`]) and notes it in the database: once an hour, and much at once. The sweeper measures a
//! primitive of a payer that has written much of it, and marks it as full if the quota is used up. Each server knows the payers
//! with a mark ([`FullPayers`]): their calls that add rows look for it in their turn (`rpc.quota_problem`).

mod full;
pub mod limits;
mod quota;
mod written;

pub use full::FullPayers;
pub use quota::{Primitive, Quotas};
pub use written::{Count, Counts, Written};

/// SQL functions of quotas.
pub(crate) const SQL: &[&str] = &[include_str!("quotas.sql"), include_str!("measure.sql")];
