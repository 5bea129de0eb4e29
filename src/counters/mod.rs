//! Counters: 64-bit signed integers with optional bounds. The first write creates a counter.
//!
//! Limits: names of 1 to 256 bytes, values of 64 bits, pages of at most 1,000 counters.

pub mod methods;
pub mod routes;
pub mod types;

/// SQL functions of counters.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql"), include_str!("run.sql")];
