//! Links: short URLs that count their visitors.
//!
//! `followLink` is called by the public route `/l/{slug}`, for the owner of the slug. Limits: URLs of 2,048 bytes, slugs of 64
//! characters, statistics over 366 days.

pub mod methods;
pub mod routes;
mod target;
pub mod types;
pub mod visitor;

/// The functions of this slice.
pub(crate) const SQL: &[&str] = &[include_str!("rpc.sql")];
/// The functions of slugs, which belong to another role.
pub(crate) const SLUG_SQL: &str = include_str!("slug.sql");
