//! The account of the caller: payer, scopes, usage and limits, and the erasure of its data.

pub mod erase;
pub mod limits;
pub mod methods;
pub mod routes;
pub mod types;

/// SQL functions of the account.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql"), include_str!("erase.sql")];
