//! Looks for everything that would make a migration fail, before its first change.

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::error::Error;
use super::step::Login;
use crate::db::check::SERVER_VERSION_NUM_MIN;
use crate::db::execute;

/// The roles that the first migration creates.
const ROLES: &[&str] = &[
    "payerbase_owner",
    "payerbase_rpc",
    "payerbase_auth",
    "payerbase_slug",
    "payerbase_sweeper",
    "payerbase_search",
    "payerbase_backup",
    "payerbase_app",
];

/// Checks versions, rights and passwords.
///
/// # Errors
/// [`Error::Refused`] with all that is missing.
pub(super) async fn check(options: &PgConnectOptions, admin: &mut PgConnection, login: Login<'_>) -> Result<(), Error> {
    let mut reasons = server(admin).await?;
    // A wrong version or encoding makes the other questions pointless, and some of them fail.
    if reasons.is_empty() {
        reasons.extend(rights(admin).await?);
        reasons.extend(pgvector(admin).await?);
        reasons.extend(app(options, admin, login).await?);
    }
    if reasons.is_empty() { Ok(()) } else { Err(Error::Refused(reasons)) }
}

async fn server(admin: &mut PgConnection) -> Result<Vec<String>, Error> {
    let row = sqlx::query(
        "select current_setting('server_version') as version, current_setting('server_version_num')::integer as number,
            current_setting('server_encoding') as encoding, pg_is_in_recovery() as is_standby",
    )
    .fetch_one(admin)
    .await?;
    let mut reasons = Vec::new();
    if row.try_get::<i32, _>("number")? < SERVER_VERSION_NUM_MIN {
        let version: String = row.try_get("version")?;
        reasons.push(format!("PostgreSQL {version} is too old: payerbase needs 16 or newer"));
    }
    let encoding: String = row.try_get("encoding")?;
    if encoding != "UTF8" {
        reasons.push(format!(
            "the encoding of the database is {encoding}: create it with `encoding 'UTF8' template template0`"
        ));
    }
    if row.try_get("is_standby")? {
        reasons.push("this PostgreSQL is a read-only standby: connect to the primary".to_owned());
    }
    Ok(reasons)
}

async fn rights(admin: &mut PgConnection) -> Result<Vec<String>, Error> {
    let row = sqlx::query(
        "select r.rolname::text as role, d.datname::text as database, r.rolsuper, r.rolcreaterole,
            pg_has_role(r.oid, d.datdba, 'usage') as owns,
            array(select o.rolname::text from pg_roles o
              where o.rolname = any ($1) and not pg_has_role(r.oid, o.oid, 'usage')
                and not pg_has_role(r.oid, o.oid, 'member with admin option')
              order by o.rolname) as foreign_roles
          from pg_roles r, pg_database d
          where r.rolname = current_user and d.datname = current_database()",
    )
    .bind(ROLES)
    .fetch_one(admin)
    .await?;
    if row.try_get("rolsuper")? {
        return Ok(Vec::new());
    }
    let (role, database): (String, String) = (row.try_get("role")?, row.try_get("database")?);
    let mut reasons = Vec::new();
    if !row.try_get::<bool, _>("owns")? {
        reasons.push(format!("role {role} does not own the database {database}, and is no superuser"));
    }
    if !row.try_get::<bool, _>("rolcreaterole")? {
        reasons.push(format!("role {role} may not create roles: a superuser runs `alter role {role} createrole`"));
    }
    let foreign: Vec<String> = row.try_get("foreign_roles")?;
    if !foreign.is_empty() {
        let foreign = foreign.join(", ");
        reasons.push(format!(
            "role {role} is not a member of roles that another one created: a superuser runs `grant {foreign} to {role} \
             with admin option`"
        ));
    }
    Ok(reasons)
}

async fn pgvector(admin: &mut PgConnection) -> Result<Vec<String>, Error> {
    let row = sqlx::query(
        "select e.extversion as version, e.extnamespace::regnamespace::text as schema, a.default_version as available
          from (select) as one
          left join pg_extension e on e.extname = 'vector'
          left join pg_available_extensions a on a.name = 'vector'",
    )
    .fetch_one(&mut *admin)
    .await?;
    let is_old = |version: &str| {
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        (numbers.next(), numbers.next()) < (Some(0), Some(8))
    };
    let (version, schema): (Option<String>, Option<String>) = (row.try_get("version")?, row.try_get("schema")?);
    let available: Option<String> = row.try_get("available")?;
    let mut reasons = Vec::new();
    match (version, available) {
        (Some(version), _) => {
            if is_old(&version) {
                reasons.push(format!(
                    "pgvector {version} is too old: payerbase needs 0.8 or newer; a superuser runs `alter extension \
                     vector update`"
                ));
            }
            if schema.as_deref() != Some("public") {
                reasons.push(
                    "pgvector is not in schema public: a superuser runs `alter extension vector set schema public`"
                        .to_owned(),
                );
            }
        }
        (None, None) => reasons.push(
            "pgvector is not installed on this PostgreSQL server: install 0.8 or newer (Debian: \
             postgresql-<version>-pgvector)"
                .to_owned(),
        ),
        (None, Some(version)) if is_old(&version) => {
            reasons.push(format!("pgvector {version} is too old: install 0.8 or newer on the PostgreSQL server"));
        }
        (None, Some(_)) => {
            // Whether a role may do it depends on the provider: try.
            let mut trial = admin.begin().await?;
            let created = execute(&mut trial, "create extension vector with schema public").await;
            trial.rollback().await?;
            match created {
                Err(sqlx::Error::Database(error)) => reasons.push(format!(
                    "pgvector cannot be created ({}): a superuser runs `create extension vector with schema public` in \
                     this database",
                    error.message()
                )),
                created => created?,
            }
        }
    }
    Ok(reasons)
}

/// Whether the server will be able to log in, and no other database loses its password.
async fn app(options: &PgConnectOptions, admin: &mut PgConnection, login: Login<'_>) -> Result<Vec<String>, Error> {
    let row = sqlx::query(
        "select (select rolcanlogin from pg_roles where rolname = 'payerbase_app') as can_login,
            array(select d.datname::text from pg_database d, aclexplode(d.datacl) a, pg_roles r
              where r.rolname = 'payerbase_app' and a.grantee = r.oid and d.datname <> current_database()
              order by d.datname) as others",
    )
    .fetch_one(admin)
    .await?;
    let (can_login, others): (Option<bool>, Vec<String>) = (row.try_get("can_login")?, row.try_get("others")?);
    Ok(match login {
        Login::Existing if can_login != Some(true) => {
            vec!["the role payerbase_app cannot log in: set PAYERBASE_APP_PASSWORD, at least the first time".to_owned()]
        }
        Login::With(password) if !others.is_empty() && !is_password(options, password).await => vec![format!(
            "PAYERBASE_APP_PASSWORD is not the present password of payerbase_app, which also serves {} on this PostgreSQL \
             server: give the present one, or change it for all databases with psql's `\\password payerbase_app`",
            others.join(", ")
        )],
        Login::With(_) | Login::Existing | Login::Switched => Vec::new(),
    })
}

async fn is_password(options: &PgConnectOptions, password: &SecretString) -> bool {
    let options = options.clone().username("payerbase_app").password(password.expose_secret());
    match options.connect().await {
        Ok(connection) => connection.close().await.is_ok(),
        // Not yet, for this database: the role may connect only after the first migration. The password was right.
        Err(sqlx::Error::Database(error)) => error.code().as_deref() == Some("42501"),
        Err(_unreachable) => false,
    }
}
