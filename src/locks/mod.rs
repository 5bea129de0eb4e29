//! Locks: leases with a fence, on the clock of the database.
//!
//! Limits: names of 1 to 256 bytes, leases of 1 second to 24 hours, waits of at most 30 seconds, metadata of at most
//! 4 KiB.

pub mod limits;
pub mod methods;
pub mod routes;
pub mod types;

/// SQL functions of locks.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql")];
