//! Errors of the embedded PostgreSQL.

use std::path::PathBuf;

use crate::pip;

/// Why the embedded PostgreSQL does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The data folder cannot be created or written.
    #[error("the data folder {} cannot be used: {source}; choose another one with --data-dir or PAYERBASE_DATA_DIR", dir.display())]
    Folder {
        /// The data folder.
        dir: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The folder is no data folder.
    #[error(
        "{} is not a data folder of payerbase: its credentials.json cannot be read ({source}); choose another folder with \
         --data-dir or PAYERBASE_DATA_DIR",
        dir.display()
    )]
    NoCluster {
        /// The folder.
        dir: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// As root, PostgreSQL runs as another user, who cannot enter the folder.
    #[error(
        "PostgreSQL, which does not run as root, cannot enter the data folder {}: choose one with --data-dir whose parents every \
         user may enter, such as /var/lib/payerbase\n{output}",
        dir.display()
    )]
    OutOfReach {
        /// The data folder.
        dir: PathBuf,
        /// The output of PostgreSQL's program.
        output: String,
    },
    /// The package has no PostgreSQL for this platform.
    #[error(
        "no embedded PostgreSQL for {0}: install PostgreSQL 16 or newer with pgvector and set PAYERBASE_POSTGRES_BIN to the \
         folder of its programs, or set DATABASE_URL"
    )]
    UnknownPlatform(String),
    /// These programs of PostgreSQL are too old.
    #[error("PAYERBASE_POSTGRES_BIN has programs of PostgreSQL {major}: payerbase needs 16 or newer")]
    TooOld {
        /// The major version of the programs.
        major: u32,
    },
    /// Another version of PostgreSQL made the data folder.
    #[error(
        "the data folder {} was made by PostgreSQL {made_by}, and the programs are of PostgreSQL {major}: set \
         PAYERBASE_POSTGRES_BIN to the programs of PostgreSQL {made_by}, or choose another folder with --data-dir or \
         PAYERBASE_DATA_DIR",
        dir.display()
    )]
    OtherVersion {
        /// The data folder.
        dir: PathBuf,
        /// The major version that made the folder.
        made_by: u32,
        /// The major version of the programs.
        major: u32,
    },
    /// PostgreSQL could not be downloaded.
    #[error("{0}; start again, or set PAYERBASE_POSTGRES_BIN or DATABASE_URL")]
    Fetch(#[from] pip::Error),
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed: {output}")]
    Program {
        /// The name of the program.
        program: &'static str,
        /// The end of its output.
        output: String,
    },
    /// Another payerbase uses the data folder.
    #[error("another payerbase is running on the data folder {0}: stop it, or choose another --data-dir")]
    InUse(PathBuf),
    /// PostgreSQL started, but refused a connection or a statement.
    #[error("the embedded PostgreSQL cannot be used: {}", crate::db::reason(.0))]
    Database(#[from] sqlx::Error),
}

/// Adds the failed operation to an error of the operating system.
pub(super) fn context<T>(result: std::io::Result<T>, what: impl FnOnce() -> String) -> Result<T, Error> {
    result.map_err(|source| Error::Io { what: what(), source })
}
