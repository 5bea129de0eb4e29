//! `payerbase token`: create, list and revoke API tokens.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Row as _};

use super::{Outcome, print};
use crate::auth::{Scope, Token, create_token};
use crate::config::Config;
use crate::db::check::Refusal;
use crate::db::embedded::Access;
use crate::db::migrate::require_installed;
use crate::folders::data_dir_of_environment;
use crate::payer::Payer;
use crate::time::Time;

/// Maximum lifetime of a token. Longer use needs a deliberate renewal.
const LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// The database of the operator.
#[derive(Args)]
pub(super) struct Target {
    /// Data folder of a running `payerbase dev`. Default: DATABASE_URL, PAYERBASE_DATA_DIR, or the standard folder.
    #[arg(long, value_name = "FOLDER", global = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it. It cannot be shown again.
    Create {
        /// Payer of the token: an EVM or Stacks address.
        #[arg(long, value_name = "ADDRESS")]
        payer: Payer,
        /// Scope of the token, repeatable: `*` for everything, or `counters:read`, `counters:write`, and the same for
        /// `links`, `locks`, `queues`, `memories`, `sql` and `tokens`; `audit:read`, `credit:read`, `account:export`,
        /// `account:erase`.
        #[arg(long = "scope", value_name = "SCOPE", default_value = "*")]
        scopes: Vec<Scope>,
        /// Lifetime of the token, at most 366d.
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = lifetime)]
        expires_in: Duration,
        /// Name of the token in lists.
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
    },
    /// List tokens without their secrets.
    List {
        /// Only the tokens of this payer.
        #[arg(long, value_name = "ADDRESS")]
        payer: Option<Payer>,
    },
    /// Revoke a token: every server refuses it within 5 seconds.
    Revoke {
        /// Id of the token: the 16 characters after `pb_live_`. `-` reads the id or the token from standard input, where it is not
        /// seen in the list of processes.
        id: String,
    },
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = humantime::parse_duration(text)
        .map_err(|_no_duration| "expected a number and a unit: `30m`, `12h`, `90d` or `1w`".to_owned())?;
    if lifetime.is_zero() || lifetime > LIFETIME_MAX {
        return Err("must be longer than 0s and at most 366d".to_owned());
    }
    Ok(lifetime)
}

pub(super) async fn token(config: Config, target: Target, command: TokenCommand) -> Outcome {
    let mut admin = admin(&config, target)?.connect().await.map_err(Refusal::from)?;
    require_installed(&mut admin).await?;
    match command {
        TokenCommand::Create { payer, scopes, expires_in, name } => {
            let (token, expires_at) = create_token(&mut admin, &payer, &scopes, name.as_deref(), expires_in).await?;
            let id = Token::parse(&token).map(|token| token.id.as_str().to_owned());
            tracing::info!(id, %payer, expires_at = %rfc3339(expires_at), "created a token");
            print(&format!("{}\n", token.expose_secret()))?;
        }
        TokenCommand::List { payer } => list(&mut admin, payer.as_ref()).await?,
        TokenCommand::Revoke { id } => revoke(&mut admin, id).await?,
    }
    Ok(())
}

async fn revoke(admin: &mut PgConnection, id: String) -> Outcome {
    let id = if id == "-" { std::io::read_to_string(std::io::stdin())?.trim().to_owned() } else { id };
    let id = Token::parse(&id.clone().into()).map_or(id, |token| token.id.as_str().to_owned());
    let known = sqlx::query_scalar("select revoked_at from auth.list_tokens(null) where id = $1").bind(&id);
    let known: Vec<Option<DateTime<Utc>>> = known.fetch_all(&mut *admin).await?;
    match known.first() {
        None => return Err("the token does not exist".into()),
        Some(Some(revoked_at)) => {
            tracing::info!(id, revoked_at = %rfc3339(*revoked_at), "the token was revoked already");
            return Ok(());
        }
        Some(None) => {}
    }
    sqlx::query("select auth.revoke_token($1)").bind(&id).execute(admin).await?;
    tracing::info!(id, "revoked: every server refuses it within 5 seconds");
    Ok(())
}

pub(super) fn admin(
    config: &Config,
    target: Target,
) -> Result<PgConnectOptions, Box<dyn std::error::Error + Send + Sync>> {
    match (target.data_dir, config.database.clone()) {
        (None, Some(database)) => Ok(database),
        (data_dir, _) => {
            let data_dir = data_dir.unwrap_or_else(data_dir_of_environment);
            let access = Access::to(&data_dir);
            let access = access.map_err(|error| {
                format!(
                    "{error}\nStart `payerbase dev` with this folder, pass another `--data-dir`, or set DATABASE_URL."
                )
            })?;
            if !access.has_socket() {
                let folder = std::path::absolute(&data_dir).unwrap_or(data_dir);
                return Err(format!(
                    "no `payerbase dev` runs with the data folder {}\nStart it, pass another `--data-dir`, or set DATABASE_URL.",
                    folder.display()
                )
                .into());
            }
            Ok(access.admin())
        }
    }
}

async fn list(admin: &mut PgConnection, payer: Option<&Payer>) -> Outcome {
    let tokens =
        sqlx::query("select * from auth.list_tokens($1)").bind(payer.map(Payer::as_str)).fetch_all(admin).await?;
    let (created, expires) = ("created", "expires");
    let mut table =
        format!("{:<16}  {:<42}  {created:<27}  {expires:<27}  {:<7}  scopes  limits  name\n", "id", "payer", "state");
    for token in tokens {
        let (created_at, expires_at): (DateTime<Utc>, DateTime<Utc>) =
            (token.try_get("created_at")?, token.try_get("expires_at")?);
        let revoked: Option<DateTime<Utc>> = token.try_get("revoked_at")?;
        let state = match revoked {
            Some(_) => "revoked",
            None if expires_at < Utc::now() => "expired",
            None => "live",
        };
        let (id, payer): (String, String) = (token.try_get("id")?, token.try_get("payer")?);
        let (scopes, name): (Vec<String>, Option<String>) = (token.try_get("scopes")?, token.try_get("name")?);
        let (created, expires, name) = (rfc3339(created_at), rfc3339(expires_at), name.unwrap_or_default());
        let (scopes, limits) = (scopes.join(","), limits(&token)?);
        table +=
            &format!("{id:<16}  {payer:<42}  {created:<27}  {expires:<27}  {state:<7}  {scopes}  {limits}  {name}\n");
    }
    print(&table)
}

/// The grantee of a grant, and the limits beside the scopes, such as `pushJob jobs-* {"calls":..}`; `-` for none.
fn limits(token: &PgRow) -> sqlx::Result<String> {
    let (methods, prefix): (Option<Vec<String>>, Option<String>) =
        (token.try_get("methods")?, token.try_get("prefix")?);
    let allowance: Option<serde_json::Value> = token.try_get("allowance")?;
    let methods = methods.map(|methods| methods.join(","));
    let prefix = prefix.map(|prefix| format!("{prefix}*"));
    let grantee: Option<String> = token.try_get("grantee")?;
    let grantee = grantee.map(|grantee| format!("grantee={grantee}"));
    let allowance = allowance.map(|left| left.to_string());
    let limits: Vec<String> = [grantee, methods, prefix, allowance].into_iter().flatten().collect();
    Ok(if limits.is_empty() { "-".to_owned() } else { limits.join(" ") })
}

fn rfc3339(time: DateTime<Utc>) -> String {
    Time(time).to_string()
}
