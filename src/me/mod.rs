//! The caller: its payer, its rights, its usage and its limits.

pub mod methods;
pub mod routes;
pub mod types;

/// The functions of this slice.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql")];
