//! Migrates a database to this version: numbered migrations for roles and tables, then the functions, which are installed
//! again when their text has changed.

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Executor as _};

use super::execute;
use super::schema::Schema;

/// Advisory lock of a migration: two migrations of one database wait for each other.
const LOCK: i64 = 0x7061_7965_7262_6173;

/// Functions and composite types are dropped and created again instead of replaced: a function that was removed must not
/// stay callable.
const DROP_FUNCTIONS: &str = "do $$
declare
  v_schemas constant regnamespace[] := '{rpc,auth,slug,sweep,search}';
  v_function regprocedure;
  v_type regtype;
begin
  for v_function in select oid from pg_proc where pronamespace = any (v_schemas) loop
    execute format('drop function %s', v_function);
  end loop;
  for v_type in select reltype from pg_class where relkind = 'c' and relnamespace = any (v_schemas) loop
    execute format('drop type %s', v_type);
  end loop;
end $$";

/// Migrates the database to this version. `admin` may create roles. `app_password`, if given, becomes the password of the
/// role `payerbase_app`.
///
/// # Errors
/// Those of the database. Migrations that ran stay. The functions change all together or not at all.
pub async fn migrate(
    admin: &mut PgConnection,
    schema: &Schema,
    app_password: Option<&SecretString>,
) -> Result<(), sqlx::Error> {
    sqlx::migrate!().run(&mut *admin).await.map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
    install_functions(admin, schema).await?;
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

async fn install_functions(admin: &mut PgConnection, schema: &Schema) -> Result<(), sqlx::Error> {
    let mut transaction = admin.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    if installed(&mut *transaction).await?.as_deref() == Some(schema.stamp().as_str()) {
        return transaction.rollback().await;
    }
    // Loads the library of pgvector, so that functions may set its parameters.
    execute(&mut transaction, "do $$ begin perform '[1]'::public.vector; end $$").await?;
    execute(&mut transaction, DROP_FUNCTIONS).await?;
    for (owner, functions) in schema.functions() {
        execute(&mut transaction, &format!("set local role {owner}")).await?;
        execute(&mut transaction, functions).await?;
    }
    execute(&mut transaction, "reset role").await?;
    sqlx::query("select set_config('payerbase.stamp', $1, true)")
        .bind(schema.stamp())
        .execute(&mut *transaction)
        .await?;
    execute(
        &mut transaction,
        "do $$ begin execute format('comment on schema rpc is %L', current_setting('payerbase.stamp')); end $$",
    )
    .await?;
    transaction.commit().await
}

/// Whether exactly this version is installed.
pub(super) async fn is_current(pool: &PgPool, schema: &Schema) -> Result<bool, sqlx::Error> {
    Ok(installed(pool).await?.as_deref() == Some(schema.stamp().as_str()))
}

async fn installed(database: impl sqlx::PgExecutor<'_>) -> Result<Option<String>, sqlx::Error> {
    let comments = sqlx::query_scalar("select obj_description(to_regnamespace('rpc'), 'pg_namespace')");
    Ok(comments.fetch_all(database).await?.pop().flatten())
}

/// Creates an empty database named `payerbase` if there is none.
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
