//! The account of the caller: payer, scopes, usage and limits.

pub mod limits;
pub mod methods;
pub mod routes;
pub mod types;

/// SQL functions of the account.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql")];
