//! Links: short URLs that redirect and count clicks.
//!
//! The public route `/l/{slug}` calls `followLink` for the owner of the slug. Limits: URLs of at most 2,048 bytes,
//! slugs of 3 to 64 characters, statistics over at most 366 days.

pub mod limits;
pub mod methods;
pub mod routes;
mod target;
pub mod types;
pub mod visitor;

/// SQL functions of links.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql")];
/// SQL functions of slugs, owned by another role.
pub(crate) const SLUG_SQL: &str = include_str!("slug.sql");
