//! Memories: texts of an agent, with full-text, vector and hybrid search.
//!
//! `rpc.sql` stores and reads. `words.sql` makes the words of a text, and `reword.sql` those of memories that an earlier
//! version stored. `search.sql` searches, with `nearest.sql` for vectors and `worded.sql` for words.
//! `keys.sql` reads the index of words, tags and metadata. `graph.sql` deletes expired memories and fills the HNSW
//! index of large spaces.
//!
//! Limits: contents up to 100,000 characters, vectors up to 4,096 dimensions, metadata up to 16 KiB, 32 tags. A batch
//! has up to 100 memories and 256 KiB of contents. A search has up to 100 results. A filter has up to 16 levels and 256
//! conditions.

mod check;
pub mod filter;
mod graph;
pub mod limits;
pub mod methods;
pub mod routes;
pub mod search;
pub mod store;
pub mod types;
pub mod update;

pub(crate) use graph::repeated;

/// SQL functions of this slice.
pub(crate) const SQL: &[&str] = &[
    include_str!("words.sql"),
    include_str!("rpc.sql"),
    include_str!("reword.sql"),
    include_str!("graph.sql"),
    include_str!("sweep.sql"),
    include_str!("search.sql"),
    include_str!("nearest.sql"),
    include_str!("worded.sql"),
];
/// SQL function of the index look-up. It belongs to the role `payerbase_search`.
pub(crate) const SEARCH_SQL: &str = include_str!("keys.sql");
