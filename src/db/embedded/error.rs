//! What can go wrong with the embedded PostgreSQL.

use std::path::PathBuf;

use crate::package;

/// Why the embedded PostgreSQL does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something with files or processes.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No PostgreSQL is packaged for this machine.
    #[error(
        "no embedded PostgreSQL for {0}: install PostgreSQL 16 or newer with pgvector and set PAYERBASE_POSTGRES_BIN to the \
         folder of its programs, or set DATABASE_URL"
    )]
    UnknownPlatform(String),
    /// It could not be fetched.
    #[error("{0}; start again, or set PAYERBASE_POSTGRES_BIN or DATABASE_URL")]
    Fetch(#[from] package::Error),
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: &'static str,
        /// The end of what it printed.
        output: String,
    },
    /// Another payerbase uses the folder.
    #[error("another payerbase is running on {0}: stop it, or choose another --data-dir")]
    InUse(PathBuf),
    /// It started and is not usable.
    #[error("the embedded PostgreSQL cannot be used: {0}")]
    Database(#[from] sqlx::Error),
}

/// Says what was being done when the operating system refused.
pub(super) fn context<T>(result: std::io::Result<T>, what: impl FnOnce() -> String) -> Result<T, Error> {
    result.map_err(|source| Error::Io { what: what(), source })
}
