//! Brings a database to this version: numbered migrations for roles and tables, then the functions, which live beside
//! their slices and are installed anew whenever their text has changed.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Executor as _};

use super::execute;

/// The functions, in the order of their installation, and the role that owns them.
const FUNCTIONS: &[(&str, &str)] = &[
    ("set local role payerbase_auth", include_str!("../auth/rpc.sql")),
    ("set local role payerbase_slug", include_str!("../links/slug.sql")),
    ("set local role payerbase_sweeper", include_str!("../sweeper/find.sql")),
    ("set local role payerbase_search", include_str!("../memories/find.sql")),
    ("set local role payerbase_rpc", include_str!("../turn/turn.sql")),
    ("set local role payerbase_rpc", include_str!("../counters/rpc.sql")),
    ("set local role payerbase_rpc", include_str!("../links/rpc.sql")),
    ("set local role payerbase_rpc", include_str!("../locks/rpc.sql")),
    ("set local role payerbase_rpc", include_str!("../queues/state.sql")),
    ("set local role payerbase_rpc", include_str!("../queues/rpc.sql")),
    ("set local role payerbase_rpc", include_str!("../queues/read.sql")),
    ("set local role payerbase_rpc", include_str!("../memories/rpc.sql")),
    ("set local role payerbase_rpc", include_str!("../memories/graph.sql")),
    ("set local role payerbase_rpc", include_str!("../memories/search.sql")),
    ("set local role payerbase_rpc", include_str!("../memories/nearest.sql")),
    ("set local role payerbase_rpc", include_str!("../memories/worded.sql")),
    ("set local role payerbase_rpc", include_str!("../me/rpc.sql")),
];

/// Two migrations of one database wait for each other on this key.
const LOCK: i64 = 0x7061_7965_7262_6173;

/// Brings the database to this version. `admin` may create roles; `app_password`, when given, becomes the password
/// with which `payerbase_app` may log in.
///
/// # Errors
/// Those of the database. Migrations that ran stay; the functions change all together or not at all.
pub async fn migrate(admin: &mut PgConnection, app_password: Option<&SecretString>) -> Result<(), sqlx::Error> {
    sqlx::migrate!().run(&mut *admin).await.map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
    install_functions(admin).await?;
    if let Some(password) = app_password {
        let mut transaction = admin.begin().await?;
        sqlx::query("select set_config('payerbase.password', $1, true)")
            .bind(password.expose_secret())
            .execute(&mut *transaction)
            .await?;
        execute(
            &mut transaction,
            "do $$ begin
               execute format('alter role payerbase_app login password %L', current_setting('payerbase.password'));
             end $$",
        )
        .await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn install_functions(admin: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut transaction = admin.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    if installed(&mut *transaction).await?.as_deref() == Some(stamp().as_str()) {
        return transaction.rollback().await;
    }
    // Dropped and made again rather than replaced: what is no longer in the text must not stay callable.
    execute(
        &mut transaction,
        "do $$
         declare v_function regprocedure;
         begin
           for v_function in select oid from pg_proc where pronamespace in ('rpc'::regnamespace, 'auth'::regnamespace, 'slug'::regnamespace, 'sweep'::regnamespace, 'search'::regnamespace) loop
             execute format('drop function %s cascade', v_function);
           end loop;
         end $$",
    )
    .await?;
    for (role, functions) in FUNCTIONS {
        execute(&mut transaction, role).await?;
        execute(&mut transaction, functions).await?;
    }
    execute(&mut transaction, "reset role").await?;
    sqlx::query("select set_config('payerbase.stamp', $1, true)").bind(stamp()).execute(&mut *transaction).await?;
    execute(
        &mut transaction,
        "do $$ begin execute format('comment on schema rpc is %L', current_setting('payerbase.stamp')); end $$",
    )
    .await?;
    transaction.commit().await
}

/// Whether exactly this version is installed.
pub(super) async fn is_current(pool: &PgPool) -> Result<bool, sqlx::Error> {
    Ok(installed(pool).await?.as_deref() == Some(stamp().as_str()))
}

async fn installed(database: impl sqlx::PgExecutor<'_>) -> Result<Option<String>, sqlx::Error> {
    let comments = sqlx::query_scalar("select obj_description(to_regnamespace('rpc'), 'pg_namespace')");
    Ok(comments.fetch_all(database).await?.pop().flatten())
}

/// The comment on schema `rpc`: the version, and a digest of everything that this version installs.
fn stamp() -> String {
    let mut digest = Sha256::new();
    for migration in sqlx::migrate!().iter() {
        digest.update(&*migration.checksum);
    }
    for (role, functions) in FUNCTIONS {
        digest.update(role);
        digest.update(functions);
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("payerbase {} {hex}", env!("CARGO_PKG_VERSION"))
}

/// Makes an empty database named `payerbase` where there is none.
///
/// # Errors
/// Those of the database.
pub async fn create_database(options: &sqlx::postgres::PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut admin = PgConnection::connect_with(options).await?;
    let exists = sqlx::query("select from pg_database where datname = 'payerbase'").fetch_all(&mut admin).await?;
    if exists.is_empty() {
        admin.execute("create database payerbase").await?;
    }
    admin.close().await
}
