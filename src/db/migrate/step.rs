//! What a migration does.

use std::fmt;

use secrecy::SecretString;

use crate::db::stamp::Stamp;

/// How the server becomes `payerbase_app`.
#[derive(Clone, Copy)]
pub enum Login<'a> {
    /// It logs in with this password, which the migration sets.
    With(&'a SecretString),
    /// It logs in with the password, the certificate or whatever the role has already.
    Existing,
    /// It logs in as another role and switches to `payerbase_app`, as `payerbase dev` does with `DATABASE_URL`.
    Switched,
}

/// One change of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A numbered migration.
    Migration {
        /// Its number.
        version: i64,
        /// Its name.
        name: String,
    },
    /// An index of a large table, which is built while servers write.
    Index {
        /// Its name.
        name: String,
    },
    /// The functions of this version.
    Functions {
        /// Their stamp.
        new: Stamp,
        /// The stamp of the functions that they replace.
        old: Option<Stamp>,
    },
    /// The end of what only functions of earlier versions use: an index, and the former locks of payers.
    OldFunctions,
    /// The rights on the database and on schema `public`, as a restored database may lack them.
    Rights,
    /// The password of `payerbase_app`.
    Password,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Migration { version, name } => write!(f, "migration {version}: {name}"),
            Self::Index { name } => write!(f, "index {name}"),
            Self::OldFunctions => f.write_str("end of what only functions of earlier versions use"),
            Self::Functions { new, old: Some(old) } => write!(f, "functions of {new}, instead of those of {old}"),
            Self::Functions { new, old: None } => write!(f, "functions of {new}"),
            Self::Rights => f.write_str("rights: nobody but payerbase_app and the owner may connect to the database"),
            Self::Password => f.write_str("password of payerbase_app"),
        }
    }
}
