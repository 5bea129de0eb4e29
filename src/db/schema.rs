//! The functions that `payerbase migrate` installs, as text.
//!
//! SQL names a limit as `{{name}}` ([`crate::limits`]). The text that is installed is still static: the values are filled in
//! before it reaches the database.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::stamp::Stamp;
use crate::limits::Named;

/// All functions, in the order of their installation, each text with the role that owns its functions.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    functions: Vec<(&'static str, String)>,
}

impl Schema {
    /// Adds functions of one owner. These limits replace their names.
    #[must_use]
    pub fn with(mut self, owner: &'static str, sql: &str, limits: &[Named]) -> Self {
        self.functions.push((owner, Named::fill(limits, sql, |limit| &limit.sql)));
        self
    }

    /// The functions of each owner.
    pub fn functions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.functions.iter().map(|(owner, sql)| (*owner, sql.as_str()))
    }

    /// The stamp of these functions.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp::ours(self.digest())
    }

    /// SHA-256 of all migrations and functions, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for migration in sqlx::migrate!().iter() {
            digest.update(&*migration.checksum);
        }
        for (owner, sql) in self.functions() {
            digest.update(owner);
            digest.update(sql);
        }
        let mut hexadecimal = String::new();
        for byte in digest.finalize() {
            let _infallible = write!(hexadecimal, "{byte:02x}");
        }
        hexadecimal
    }
}
