//! The embedded PostgreSQL: downloaded once, run as a child process, stopped with this process.

mod cluster;
mod engine;
mod error;

pub(crate) use cluster::write_secret;
pub use cluster::{Access, Cluster};
pub use engine::Engine;
pub use error::Error;
