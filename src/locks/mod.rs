//! Locks: leases with a fencing token, on the clock of the database.
//!
//! Limits: names of 1 to 256 bytes, leases of 1 second to 24 hours, waits of 30 seconds, metadata of 4 KiB.

pub mod methods;
pub mod routes;
pub mod types;

/// The functions of this slice.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql")];
