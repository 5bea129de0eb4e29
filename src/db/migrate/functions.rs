//! The functions: installed all together, when their text has changed.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::error::Error;
use super::step::Step;
use crate::db::execute;
use crate::db::schema::Schema;
use crate::db::stamp::Stamp;

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

/// The functions that a database has.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::db) enum Installed {
    /// None.
    None,
    /// Those of this stamp.
    Stamp(Stamp),
    /// Those of a version that is not known.
    Unknown,
}

/// The functions that the database has.
pub(in crate::db) async fn installed(database: impl sqlx::PgExecutor<'_>) -> Result<Installed, sqlx::Error> {
    let comments = sqlx::query_scalar("select obj_description(to_regnamespace('rpc'), 'pg_namespace')");
    let comment: Option<String> = comments.fetch_all(database).await?.pop().flatten();
    Ok(match comment {
        None => Installed::None,
        Some(comment) => comment.parse().map_or(Installed::Unknown, Installed::Stamp),
    })
}

/// Refuses a database without functions.
///
/// # Errors
/// [`Error::NotMigrated`], and those of the database.
pub async fn require_installed(admin: &mut PgConnection) -> Result<(), Error> {
    match installed(admin).await? {
        Installed::None => Err(Error::NotMigrated),
        Installed::Stamp(_) | Installed::Unknown => Ok(()),
    }
}

/// The step that installs the functions, unless exactly these are installed.
pub(super) async fn step(admin: &mut PgConnection, schema: &Schema) -> Result<Option<Step>, Error> {
    let new = schema.stamp();
    match installed(admin).await? {
        Installed::Stamp(old) if old.digest == new.digest => Ok(None),
        Installed::Stamp(old) if old.revision > new.revision => Err(Error::Newer { theirs: old.to_string() }),
        Installed::Stamp(old) => Ok(Some(Step::Functions { new, old: Some(old) })),
        Installed::None | Installed::Unknown => Ok(Some(Step::Functions { new, old: None })),
    }
}

pub(super) async fn install(admin: &mut PgConnection, schema: &Schema) -> Result<(), Error> {
    let mut transaction = admin.begin().await?;
    // Loads the library of pgvector, so that functions may set its parameters.
    execute(&mut transaction, "do $$ begin perform '[1]'::public.vector; end $$").await?;
    execute(&mut transaction, DROP_FUNCTIONS).await?;
    for (owner, functions) in schema.functions() {
        execute(&mut transaction, &format!("set local role {owner}")).await?;
        execute(&mut transaction, functions).await?;
    }
    execute(&mut transaction, "reset role").await?;
    sqlx::query("select set_config('payerbase.stamp', $1, true)")
        .bind(schema.stamp().comment())
        .execute(&mut *transaction)
        .await?;
    execute(
        &mut transaction,
        "do $$ begin execute format('comment on schema rpc is %L', current_setting('payerbase.stamp')); end $$",
    )
    .await?;
    Ok(transaction.commit().await?)
}
