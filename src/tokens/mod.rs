//! The payer's own tokens and the grants that it gives: made, listed, rotated and revoked with a token that may.
//!
//! A token makes only tokens with at most its own rights and lifetime, and they are revoked with it. The functions behind
//! the methods are in `src/auth/account.sql`: only `payerbase_auth` reaches tokens.

mod grant_routes;
pub mod grants;
mod limits;
pub mod methods;
pub mod routes;
mod secret;
pub mod types;

/// SQL functions of tokens.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql")];
