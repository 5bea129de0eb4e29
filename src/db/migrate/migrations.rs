//! The numbered migrations.

use std::collections::HashMap;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;

use super::error::Error;
use super::step::Step;

/// The migrations of this version. `migrate` has a lock of its own: sqlx's would hold up `create index concurrently`.
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    migrator.set_locking(false);
    migrator
}

/// The migrations that the database does not have yet.
pub(super) async fn missing(admin: &mut PgConnection) -> Result<Vec<Step>, Error> {
    let migrator = migrator();
    let applied = applied(admin).await?;
    let newest = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
    if let Some(newer) = applied.keys().filter(|version| **version > newest).max() {
        return Err(Error::Newer { theirs: format!("a newer version (migration {newer})") });
    }
    let mut missing = Vec::new();
    for migration in migrator.iter() {
        match applied.get(&migration.version) {
            Some(checksum) if *checksum == *migration.checksum => {}
            Some(_another) => return Err(Error::TooOld(migration.version)),
            None => missing
                .push(Step::Migration { version: migration.version, name: migration.description.clone().into_owned() }),
        }
    }
    Ok(missing)
}

/// The checksums of the applied migrations.
async fn applied(admin: &mut PgConnection) -> Result<HashMap<i64, Vec<u8>>, Error> {
    let table: Option<String> =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations')::text").fetch_one(&mut *admin).await?;
    if table.is_none() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("select version, checksum from _sqlx_migrations").fetch_all(admin).await?;
    Ok(rows.into_iter().collect())
}

/// Applies the migrations up to `version`.
pub(super) async fn apply(admin: &mut PgConnection, version: i64) -> Result<(), Error> {
    let applied = migrator().run_to(version, admin).await;
    if let Err(MigrateError::ExecuteMigration(error, version)) = applied {
        return Err(Error::Failed(version, error));
    }
    applied.map_err(|error| Error::Database(sqlx::Error::Migrate(Box::new(error))))
}
