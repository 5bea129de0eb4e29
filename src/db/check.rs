//! Refuses a database that the server cannot use, or on which its role could bypass the isolation of payers.

use sqlx::Row as _;

use super::migrate::{self, Installed};
use super::schema::Schema;
use super::stamp::Stamp;
use super::{Database, POOL_STATEMENT_TIMEOUT};

/// The oldest PostgreSQL that payerbase runs on, as `server_version_num`.
pub(super) const SERVER_VERSION_NUM_MIN: i32 = 160_000;

/// Why the server does not start on this database.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The database does not answer.
    #[error("the database cannot be reached: {}", super::reason(.0))]
    Unreachable(sqlx::Error),
    /// The database does not know the user, the password or the database.
    #[error("the database refuses the connection: {}; check DATABASE_URL", super::reason(.0))]
    LoginFailed(sqlx::Error),
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
    /// `payerbase migrate` has not run, or an older version ran it.
    #[error("{0}; run `payerbase migrate` of this version")]
    NotMigrated(String),
    /// A newer version migrated the database, and this one cannot serve it.
    #[error("{0} has migrated the database, and servers of this version do not work with it: start that version")]
    Newer(Stamp),
    /// Others than `payerbase_app` may use the database.
    #[error(
        "others than payerbase_app may connect to the database, or payerbase_app has rights on it that it must not have, \
         as after a restore without `pg_restore --create`; run `payerbase migrate`"
    )]
    Open,
    /// The settings of the session are not in force.
    #[error(
        "the settings of the session do not reach PostgreSQL: a connection pooler such as PgBouncer is in between; connect \
         to PostgreSQL itself (docs/OPERATIONS.md)"
    )]
    Pooler,
    /// PostgreSQL has no such text search configuration.
    #[error("PAYERBASE_LANGUAGE: PostgreSQL has no text search configuration {0}")]
    UnknownLanguage(String),
    /// The payers are distributed over several nodes.
    #[error("tenant.routes() names {0} nodes; this version serves databases of one node")]
    ManyNodes(usize),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        let is_pooler = |text: String| text.contains("unsupported startup parameter");
        match code.as_str() {
            "28000" | "28P01" | "3D000" => Self::LoginFailed(error),
            "08P01" if is_pooler(error.to_string()) => Self::Pooler,
            _ => Self::Unreachable(error),
        }
    }
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
    let timeout = sqlx::query_scalar("select setting::bigint from pg_settings where name = 'statement_timeout'");
    let timeout: i64 = timeout.fetch_one(database.pool()).await?;
    if u128::try_from(timeout) != Ok(POOL_STATEMENT_TIMEOUT.as_millis()) {
        return Err(Refusal::Pooler);
    }
    let roles = sqlx::query(
        "select r.rolname::text as role, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
            exists (select from pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p')) as owns_tables,
            exists (select from pg_roles o
              where o.rolname in ('payerbase_owner', 'payerbase_rpc', 'payerbase_auth', 'payerbase_slug', 'payerbase_sweeper', 'payerbase_search', 'payerbase_backup') and pg_has_role(r.oid, o.oid, 'member')
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
    let ours = schema.stamp();
    match migrate::installed(database.pool()).await? {
        Installed::Stamp(stamp) if stamp.digest == ours.digest => {}
        Installed::Stamp(stamp) if stamp.serves(&ours) => {
            tracing::warn!(%stamp, "a newer version has migrated the database: update this server soon");
        }
        Installed::Stamp(stamp) if stamp.revision > ours.revision => return Err(Refusal::Newer(stamp)),
        Installed::Stamp(stamp) => return Err(Refusal::NotMigrated(format!("the database is at {stamp}"))),
        Installed::Unknown => return Err(Refusal::NotMigrated("the version of the database is not known".to_owned())),
        Installed::None => return Err(Refusal::NotMigrated("the database is not migrated".to_owned())),
    }
    if migrate::are_open(database.pool()).await? {
        return Err(Refusal::Open);
    }
    let routes = sqlx::query("select * from tenant.routes()").fetch_all(database.pool()).await?.len();
    if routes != 1 {
        return Err(Refusal::ManyNodes(routes));
    }
    Ok(())
}
