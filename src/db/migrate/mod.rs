//! Migrates a database to this version: numbered migrations for roles and tables, then indexes of large tables, then the
//! functions, which are installed again when their text has changed. What only older functions used is dropped at last.
//!
//! Everything that can be refused is refused before the first change. A migration that is interrupted is repeated by the
//! next one. Migrations only expand: servers of the previous version keep running meanwhile (docs/OPERATIONS.md).

mod error;
mod functions;
mod migrations;
mod online;
mod password;
mod preflight;
mod rights;
mod step;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

pub use self::error::Error;
pub use self::functions::require_installed;
pub(super) use self::functions::{Installed, installed};
pub(super) use self::rights::are_open;
pub use self::step::{Login, Step};
use super::execute;
use super::schema::Schema;

/// Advisory lock of a migration: two migrations of one database wait for each other.
const LOCK: i64 = 0x7061_7965_7262_6173;
/// Pause between two attempts to get it. A session that waits for a lock would hold up `create index concurrently`.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The settings of the session. A change that cannot lock its table soon gives up, so that calls do not wait behind it.
const SESSION: &str = "set lock_timeout = '5s'; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0;
  set default_transaction_read_only = off; set client_min_messages = warning";
/// Number of attempts to lock a table.
const ATTEMPTS_MAX: u32 = 24;

/// The changes that [`migrate`] would make. Changes nothing.
///
/// # Errors
/// Those of [`migrate`].
pub async fn plan(admin: &PgConnectOptions, schema: &Schema, login: Login<'_>) -> Result<Vec<Step>, Error> {
    let mut connection = connect(admin).await?;
    let steps = steps(admin, &mut connection, schema, login).await;
    connection.close().await?;
    steps
}

/// Migrates the database to this version. Returns the changes that it made, in their order.
///
/// # Errors
/// [`Error::Refused`] lists everything that the database or the role lacks; [`Error::Newer`] and [`Error::TooOld`] tell that
/// another version made the database. In these cases nothing was changed. Otherwise the steps before the failed one stay,
/// and the next migration goes on from there.
pub async fn migrate(admin: &PgConnectOptions, schema: &Schema, login: Login<'_>) -> Result<Vec<Step>, Error> {
    let mut connection = connect(admin).await?;
    while !sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut connection).await? {
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    let steps = steps(admin, &mut connection, schema, login).await?;
    for step in &steps {
        apply(step, &mut connection, schema, login).await?;
        tracing::info!("done: {step}");
    }
    connection.close().await?;
    Ok(steps)
}

async fn connect(admin: &PgConnectOptions) -> Result<PgConnection, Error> {
    let mut connection = admin.clone().application_name("payerbase migrate").connect().await?;
    execute(&mut connection, SESSION).await?;
    Ok(connection)
}

async fn steps(
    admin: &PgConnectOptions,
    connection: &mut PgConnection,
    schema: &Schema,
    login: Login<'_>,
) -> Result<Vec<Step>, Error> {
    preflight::check(admin, connection, login).await?;
    let mut steps = migrations::missing(connection).await?;
    let is_new = steps.iter().any(|step| matches!(step, Step::Migration { version: 1, .. }));
    steps.extend(online::missing_indexes(connection).await?);
    steps.extend(functions::step(connection, schema).await?);
    steps.extend(online::old_functions(connection).await?);
    // A new database gets its rights from the first migration.
    if !is_new && are_open(&mut *connection).await? {
        steps.push(Step::Rights);
    }
    if let Login::With(_) = login {
        steps.push(Step::Password);
    }
    Ok(steps)
}

/// Applies a step. Tries again while a table that it changes is locked for a long time.
async fn apply(step: &Step, admin: &mut PgConnection, schema: &Schema, login: Login<'_>) -> Result<(), Error> {
    for attempt in 1.. {
        let applied = match (step, login) {
            (Step::Migration { version, .. }, _) => migrations::apply(admin, *version).await,
            (Step::Index { name }, _) => online::build_index(admin, name).await,
            (Step::Functions { .. }, _) => functions::install(admin, schema).await,
            (Step::OldFunctions, _) => online::end_old_functions(admin).await,
            (Step::Rights, _) => rights::close(admin).await,
            (Step::Password, Login::With(password)) => password::set(admin, password).await,
            (Step::Password, _) => Ok(()),
        };
        match applied {
            Err(error) if error.is_lock_timeout() && attempt < ATTEMPTS_MAX => {
                tracing::warn!("waiting for a lock: another session uses a table that must be changed");
            }
            applied => return applied,
        }
    }
    Ok(())
}

/// Creates an empty database named `payerbase` if there is none.
///
/// # Errors
/// Those of the database.
pub async fn create_database(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut admin = PgConnection::connect_with(options).await?;
    let exists = sqlx::query("select from pg_database where datname = 'payerbase'").fetch_all(&mut admin).await?;
    if exists.is_empty() {
        admin.execute("create database payerbase").await?;
    }
    admin.close().await
}
