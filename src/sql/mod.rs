//! SQL: the methods of the payer's own SQLite database.
//!
//! A call runs before its turn, in a worker (`crate::sqlite`). The functions in `rpc.sql` store its pages.

pub mod files;
pub mod methods;
pub mod routes;
pub mod schema;
mod sent;
pub mod types;

/// SQL functions of this slice.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql")];
