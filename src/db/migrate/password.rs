//! The password of `payerbase_app`.

use postgres_protocol::password::scram_sha_256;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnection;

use super::error::Error;
use crate::db::execute;

/// Sets the password. The database gets a SCRAM verifier (RFC 5803) instead of the password itself, which could appear in
/// the database's log.
pub(super) async fn set(admin: &mut PgConnection, password: &SecretString) -> Result<(), Error> {
    let verifier = scram_sha_256(password.expose_secret().as_bytes());
    execute(admin, &format!("alter role payerbase_app login password '{verifier}'")).await?;
    Ok(())
}
