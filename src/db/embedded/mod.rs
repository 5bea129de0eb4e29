//! The embedded PostgreSQL: downloaded once, run as a child process, stopped with this process.

mod cluster;
mod create;
mod durability;
mod engine;
mod error;
mod files;
mod log_file;

pub use cluster::{Access, Cluster};
pub use create::prepare;
pub use durability::Durability;
pub use engine::Engine;
pub use error::Error;
pub(crate) use files::write_secret;
