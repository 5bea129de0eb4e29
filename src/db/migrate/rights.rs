//! The rights on the database itself. They are not part of a dump that is restored without `pg_restore --create`.

use sqlx::postgres::PgConnection;

use super::error::Error;
use crate::db::execute;

/// Whether others than `payerbase_app` and the owner have rights on the database, or may create in schema `public`, or
/// `payerbase_app` may not connect.
pub(in crate::db) async fn are_open(database: impl sqlx::PgExecutor<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select not has_database_privilege('payerbase_app', d.oid, 'connect')
            or has_schema_privilege('payerbase_app', 'public', 'create')
            or exists (select from aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
              where a.grantee = 0
                or a.grantee = 'payerbase_app'::regrole and a.privilege_type <> 'CONNECT')
          from pg_database d
          where d.datname = current_database()",
    )
    .fetch_one(database)
    .await
}

/// Takes these rights, as the first migration does.
pub(super) async fn close(admin: &mut PgConnection) -> Result<(), Error> {
    execute(
        admin,
        "do $$ begin
           execute format('revoke all on database %I from public, payerbase_app', current_database());
           execute format('grant connect on database %I to payerbase_app', current_database());
           revoke create on schema public from public, payerbase_app;
         end $$",
    )
    .await?;
    Ok(())
}
