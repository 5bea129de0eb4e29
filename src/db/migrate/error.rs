//! Why a database is not migrated.

use crate::db::reason;
use crate::db::stamp::Stamp;

/// Why a database is not migrated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database or the role lacks something: all of it.
    #[error("the database cannot be migrated, and nothing was changed:{}", .0.iter().map(|reason| format!("\n  - {reason}")).collect::<String>())]
    Refused(Vec<String>),
    /// A newer version migrated the database.
    #[error(
        "{theirs} has migrated this database, and this is {}: run that version or a newer one",
        Stamp::ours_in_words()
    )]
    Newer {
        /// That version.
        theirs: String,
    },
    /// The database was made when the migrations were still being edited, before 0.2.0.
    #[error(
        "this database was made while payerbase was being developed (its migration {0} is another one), and it cannot be \
         migrated: create a new database"
    )]
    TooOld(i64),
    /// No version has migrated the database.
    #[error("the database is not migrated: run `payerbase migrate`")]
    NotMigrated,
    /// A migration failed.
    #[error("migration {0} failed: {reason}; it changed nothing", reason = reason(.1))]
    Failed(i64, sqlx::Error),
    /// The database failed.
    #[error("the database failed: {}", reason(.0))]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// Whether another session held a lock for too long.
    pub(super) fn is_lock_timeout(&self) -> bool {
        match self {
            Self::Failed(_, error) | Self::Database(error) => {
                error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55P03"))
            }
            Self::Refused(_) | Self::Newer { .. } | Self::TooOld(_) | Self::NotMigrated => false,
        }
    }
}
