//! Memories: texts of an agent, with full-text, vector and hybrid search.
//!
//! `rpc.sql` stores and reads, `search.sql` searches (`nearest.sql` by vector, `worded.sql` by words), `graph.sql` builds the
//! index for approximate search in large spaces. Limits: contents of 100,000 characters, vectors of 4,096 dimensions, metadata
//! of 16 KiB, 32 tags, 100 memories and 256 KiB of contents in a batch, 100 results of a search, filters of 16 levels and
//! 256 conditions.

mod check;
pub mod filter;
pub mod methods;
pub mod routes;
pub mod search;
pub mod search_text;
pub mod store;
pub mod types;
pub mod update;

/// The functions of this slice.
pub(crate) const SQL: &[&str] = &[
    include_str!("rpc.sql"),
    include_str!("graph.sql"),
    include_str!("search.sql"),
    include_str!("nearest.sql"),
    include_str!("worded.sql"),
];
/// The index look-up, which belongs to another role.
pub(crate) const SEARCH_SQL: &str = include_str!("find.sql");
