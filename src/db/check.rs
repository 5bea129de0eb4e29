//! Refuses a database that the server cannot use, or on which its role could bypass the isolation of payers.

use sqlx::Row as _;

use super::schema::Schema;
use super::{Database, migrate};

/// The oldest PostgreSQL that payerbase runs on, as `server_version_num`.
const SERVER_VERSION_NUM_MIN: i32 = 160_000;

/// Why the server does not start on this database.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The database does not answer.
    #[error("the database cannot be reached: {}", super::reason(.0))]
    Unreachable(#[from] sqlx::Error),
    /// The role has rights that would bypass the isolation of payers.
    #[error("role {role} {reason}; connect as payerbase_app, which `payerbase migrate` creates")]
    Privileged {
        /// The current role, or the role that logged in.
        role: String,
        /// The right that it must not have.
        reason: &'static str,
    },
    /// PostgreSQL is older than 16.
    #[error("PostgreSQL {0} is too old: payerbase needs 16 or newer")]
    TooOld(String),
    /// The encoding of the database is not UTF-8.
    #[error("the encoding of the database is {0}; payerbase needs UTF8")]
    Encoding(String),
    /// `payerbase migrate` has not run, or another version ran it.
    #[error("the database is not migrated to this version; run `payerbase migrate`")]
    NotMigrated,
    /// PostgreSQL has no such text search configuration.
    #[error("PAYERBASE_LANGUAGE: PostgreSQL has no text search configuration {0}")]
    UnknownLanguage(String),
    /// The payers are distributed over several nodes.
    #[error("tenant.routes() names {0} nodes; this version serves databases of one node")]
    ManyNodes(usize),
}

/// Checks the database, the role that the server runs as, and the role that it logged in as.
///
/// `login_may_be_privileged` is for `payerbase dev` with `DATABASE_URL`: there the server logs in as the developer and
/// switches the session to `payerbase_app`.
///
/// # Errors
/// See [`Refusal`].
pub async fn check(
    database: &Database,
    schema: &Schema,
    language: &str,
    login_may_be_privileged: bool,
) -> Result<(), Refusal> {
    let roles = sqlx::query(
        "select r.rolname::text as role, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
            exists (select from pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p')) as owns_tables,
            exists (select from pg_roles o
              where o.rolname in ('payerbase_owner', 'payerbase_rpc', 'payerbase_auth', 'payerbase_slug', 'payerbase_sweeper', 'payerbase_search') and pg_has_role(r.oid, o.oid, 'member')
            ) as is_member,
            current_setting('server_encoding') as encoding, current_setting('server_version') as version, current_setting('server_version_num')::integer as version_num
          from pg_roles r
          where r.rolname = current_user or (not $1 and r.rolname = session_user)",
    )
    .bind(login_may_be_privileged)
    .fetch_all(database.pool())
    .await?;
    for row in roles {
        if row.try_get::<i32, _>("version_num")? < SERVER_VERSION_NUM_MIN {
            return Err(Refusal::TooOld(row.try_get("version")?));
        }
        let encoding: String = row.try_get("encoding")?;
        if encoding != "UTF8" {
            return Err(Refusal::Encoding(encoding));
        }
        for (column, reason) in [
            ("rolsuper", "is a superuser"),
            ("rolbypassrls", "bypasses row-level security"),
            ("rolcreaterole", "may create roles"),
            ("owns_tables", "owns tables"),
            ("is_member", "is a member of a role that owns payerbase's tables or functions"),
        ] {
            if row.try_get::<bool, _>(column)? {
                return Err(Refusal::Privileged { role: row.try_get("role")?, reason });
            }
        }
    }
    let known =
        sqlx::query("select from pg_ts_config where cfgname = $1 and cfgnamespace = 'pg_catalog'::regnamespace");
    if known.bind(language).fetch_all(database.pool()).await?.is_empty() {
        return Err(Refusal::UnknownLanguage(language.to_owned()));
    }
    if !migrate::is_current(database.pool(), schema).await? {
        return Err(Refusal::NotMigrated);
    }
    let routes = sqlx::query("select * from tenant.routes()").fetch_all(database.pool()).await?.len();
    if routes != 1 {
        return Err(Refusal::ManyNodes(routes));
    }
    Ok(())
}
