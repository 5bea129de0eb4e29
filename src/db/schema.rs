//! The functions that `payerbase migrate` installs, as text.
//!
//! SQL names a limit as `{{name}}`, so that it is written once, in Rust. The text that is installed is still static: the
//! values are filled in before it reaches the database.

use std::fmt::Write as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// A value that SQL uses by name.
#[derive(Clone, Debug)]
pub struct Named {
    name: &'static str,
    sql: String,
}

impl Named {
    /// A number.
    #[must_use]
    pub fn number(name: &'static str, number: usize) -> Self {
        Self { name, sql: number.to_string() }
    }

    /// A time span: `interval '86400 seconds'` in SQL.
    #[must_use]
    pub fn time(name: &'static str, time: Duration) -> Self {
        Self { name, sql: format!("interval '{} seconds'", time.as_secs()) }
    }

    /// SQL text.
    #[must_use]
    pub fn sql(name: &'static str, sql: String) -> Self {
        Self { name, sql }
    }
}

/// All functions, in the order of their installation, each text with the role that owns its functions.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    functions: Vec<(&'static str, String)>,
}

impl Schema {
    /// Adds functions of one owner, with these values filled in.
    #[must_use]
    pub fn with(mut self, owner: &'static str, sql: &str, values: &[Named]) -> Self {
        let mut text = sql.to_owned();
        for Named { name, sql } in values {
            text = text.replace(&format!("{{{{{name}}}}}"), sql);
        }
        self.functions.push((owner, text));
        self
    }

    /// The functions of each owner.
    pub fn functions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.functions.iter().map(|(owner, sql)| (*owner, sql.as_str()))
    }

    /// The comment on schema `rpc` when exactly this version is installed: the version, and a digest of all functions and
    /// migrations.
    #[must_use]
    pub fn stamp(&self) -> String {
        let mut digest = Sha256::new();
        for migration in sqlx::migrate!().iter() {
            digest.update(&*migration.checksum);
        }
        for (owner, sql) in self.functions() {
            digest.update(owner);
            digest.update(sql);
        }
        let mut stamp = format!("payerbase {} ", env!("CARGO_PKG_VERSION"));
        for byte in digest.finalize() {
            let _infallible = write!(stamp, "{byte:02x}");
        }
        stamp
    }
}
