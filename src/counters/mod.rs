//! Counters: 64-bit signed integers with optional bounds. The first call creates a counter.
//!
//! Limits: names of 1 to 256 bytes, values of 64 bits, pages of 1,000.

pub mod methods;
pub mod routes;
pub mod types;

/// The functions of this slice.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql")];
