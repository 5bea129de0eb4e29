//! The embedded PostgreSQL: fetched once, run as a child process, stopped with us.

mod cluster;
mod engine;

use std::path::PathBuf;

pub(crate) use cluster::write_secret;
pub use cluster::{Access, Cluster};
pub use engine::Engine;

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
fn context<T>(result: std::io::Result<T>, what: impl FnOnce() -> String) -> Result<T, Error> {
    result.map_err(|source| Error::Io { what: what(), source })
}

/// The user that PostgreSQL runs as where we are root, which it refuses: `nobody`, by its usual number.
const UNPRIVILEGED: u32 = 65_534;

/// Whether we are root and PostgreSQL therefore needs another user.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where payerbase keeps data when the command line doesn't say: `PAYERBASE_DATA_DIR`, or a folder that PostgreSQL's user
/// can reach.
#[must_use]
pub fn data_dir_of_environment() -> PathBuf {
    if let Some(dir) = std::env::var_os("PAYERBASE_DATA_DIR").filter(|dir| !dir.is_empty()) {
        return PathBuf::from(dir);
    }
    home_or("/var/lib/payerbase", "XDG_DATA_HOME", ".local/share/payerbase")
}

pub(crate) fn home_or(for_root: &str, xdg: &str, below_home: &str) -> PathBuf {
    if is_root() {
        return PathBuf::from(for_root);
    }
    match (std::env::var_os(xdg), std::env::home_dir()) {
        (Some(dir), _) if !dir.is_empty() => PathBuf::from(dir).join("payerbase"),
        (_, Some(home)) => home.join(below_home),
        (_, None) => std::env::temp_dir().join("payerbase"),
    }
}
