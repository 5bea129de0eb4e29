//! Migrations: scripts that run once each.

use sha2::{Digest as _, Sha256};

use super::database::{Database, quoted};
use super::memory::Address;
use super::rules::MIGRATIONS_TABLE;
use super::stopped::Stopped;
use crate::sqlite::statement::Migration;

impl Database {
    /// Runs a migration, unless it has run before. Returns whether it ran.
    pub(super) fn migrate(&mut self, migration: &Migration) -> Result<bool, Stopped> {
        let sha256 = hex::encode(Sha256::digest(&migration.sql));
        let id = quoted(&migration.id);
        if self.run_own("SELECT name FROM sqlite_schema WHERE name = 'pb_migrations'")?.is_empty() {
            self.run_own(MIGRATIONS_TABLE)?;
        }
        if let Some(applied) = self.run_own(&format!("SELECT sha256 FROM pb_migrations WHERE id = {id}"))?.first() {
            return if *applied == sha256 { Ok(false) } else { Err(Stopped::MigrationChanged) };
        }
        self.run_script(&migration.sql)?;
        let applied =
            format!("INSERT INTO pb_migrations VALUES ({id}, '{sha256}', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))");
        self.run_own(&applied)?;
        Ok(true)
    }

    /// Runs the statements of a text in order, without their rows.
    pub(super) fn run_script(&mut self, sql: &str) -> Result<(), Stopped> {
        let text = self.guest.put(sql.as_bytes())?;
        let ran = self.run_script_at(text, sql.len());
        self.guest.free(text)?;
        ran
    }

    fn run_script_at(&mut self, text: Address, length: usize) -> Result<(), Stopped> {
        let mut from = 0;
        while from < length {
            let at = i32::try_from(from).map_err(|_too_long| Stopped::Broken)?;
            let prepared = self.prepare_one(text.wrapping_add(at), length - from);
            let (statement, rest) = prepared.map_err(|stopped| stopped.after(from))?;
            if statement != 0 {
                let ran = self.run_without_rows(statement);
                self.finish(statement, ran).map_err(|stopped| stopped.after(from))?;
            } else if rest == 0 {
                break;
            }
            from += rest;
        }
        Ok(())
    }

    fn run_without_rows(&mut self, statement: Address) -> Result<(), Stopped> {
        if self.guest.call(|functions| &functions.parameter_count, (statement,))? != 0 {
            return Err(Stopped::NotAllowed("The statements of a migration have no parameters.".into()));
        }
        while self.step(statement)? {}
        Ok(())
    }
}
