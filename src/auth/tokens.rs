//! The tokens that are known: a cache before `auth.token_by_id`, cleared by what was revoked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use secrecy::SecretString;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::scope::Scope;
use super::token::{Token, TokenId};
use crate::db::Database;
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// How many tokens are remembered: about 300 bytes each.
const CACHED_MAX: u64 = 100_000;
/// How often the server asks what was revoked.
const REVOCATION_POLL: Duration = Duration::from_secs(2);
/// How long a look-up may take, waiting for a connection included.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(3);
/// For how long an answer about revocation holds. A cached token is believed only if one is younger than this, so a
/// revoked token is refused within 5 seconds even when the database cannot be asked.
const REVOCATION_FRESH: Duration = Duration::from_millis(4_500);

/// How far back `auth.revoked_lately` reaches is a minute; half of it leaves room for a slow answer.
const REVOCATION_WINDOW: Duration = Duration::from_secs(30);

/// What a token gives its holder.
#[derive(Debug)]
pub struct Grant {
    /// Who pays.
    pub payer: Payer,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The public half of the token.
    pub token: TokenId,
    /// What the operator called it.
    pub name: Option<String>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    secret_sha256: Vec<u8>,
    /// When it ends, on our own steady clock, from the time left by the database's.
    ends: Option<Instant>,
    revoked: bool,
}

impl Grant {
    fn from_row(id: &TokenId, row: &PgRow) -> Result<Self, sqlx::Error> {
        let decode = |error: String| sqlx::Error::Decode(error.into());
        let payer: String = row.try_get("payer")?;
        let scopes: Vec<String> = row.try_get("scopes")?;
        let left_ms: i64 = row.try_get("expires_in_ms")?;
        let left = u64::try_from(left_ms).ok().filter(|left| *left > 0).map(Duration::from_millis);
        Ok(Self {
            payer: payer.parse().map_err(|error: crate::payer::NotAnAddress| decode(error.to_string()))?,
            // A scope that a newer version granted means nothing here.
            scopes: scopes.iter().filter_map(|scope| scope.parse().ok()).collect(),
            token: id.clone(),
            name: row.try_get("name")?,
            expires_at: row.try_get("expires_at")?,
            secret_sha256: row.try_get("secret_sha256")?,
            ends: left.and_then(|left| Instant::now().checked_add(left)),
            revoked: row.try_get("revoked")?,
        })
    }
}

/// Tells tokens from anything else.
pub struct Tokens {
    database: Database,
    known: Cache<TokenId, Arc<Grant>>,
    epoch: Instant,
    /// When the database last said what was revoked, in milliseconds after `epoch`; 0 is never.
    heard_ms: AtomicU64,
}

impl Tokens {
    /// Starts asking the database what was revoked, until the last owner is gone.
    #[must_use]
    pub fn new(database: Database) -> Arc<Self> {
        let tokens = Arc::new(Self {
            database,
            known: Cache::builder().max_capacity(CACHED_MAX).time_to_idle(Duration::from_secs(3_600)).build(),
            epoch: Instant::now(),
            heard_ms: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&tokens);
        tokio::spawn(async move {
            while let Some(tokens) = weak.upgrade() {
                if let Err(error) = tokens.forget_revoked().await {
                    tracing::warn!(%error, "cannot ask which tokens were revoked");
                }
                drop(tokens);
                tokio::time::sleep(REVOCATION_POLL).await;
            }
        });
        tokens
    }

    async fn forget_revoked(&self) -> Result<(), sqlx::Error> {
        let asked = self.epoch.elapsed().max(Duration::from_millis(1));
        if self.silence() > REVOCATION_WINDOW {
            // The answer will not reach back to what we last heard.
            self.known.invalidate_all();
        }
        let lately = sqlx::query_scalar("select * from auth.revoked_lately()").fetch_all(self.database.auth_pool());
        let revoked: Vec<String> = in_time(lately).await?;
        for id in revoked {
            self.known.invalidate(&TokenId::from(id)).await;
        }
        self.heard_ms.store(u64::try_from(asked.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
        Ok(())
    }

    /// For how long the database has not said what was revoked.
    fn silence(&self) -> Duration {
        match self.heard_ms.load(Ordering::Acquire) {
            0 => Duration::MAX,
            heard => self.epoch.elapsed().saturating_sub(Duration::from_millis(heard)),
        }
    }

    /// What the token gives its holder.
    ///
    /// # Errors
    /// `token-invalid` whether the id or the secret is wrong; `token-revoked` and `token-expired` only to who holds the
    /// secret; `database-unavailable`.
    pub async fn verify(&self, token: &Token) -> Result<Arc<Grant>, Problem> {
        let cached = if self.silence() < REVOCATION_FRESH { self.known.get(&token.id).await } else { None };
        let grant = match cached {
            Some(grant) => grant,
            None => self.look_up(&token.id).await?.ok_or_else(|| Problem::new(Code::TokenInvalid))?,
        };
        if !token.secret.matches(&grant.secret_sha256) {
            return Err(Problem::new(Code::TokenInvalid));
        }
        if grant.revoked {
            return Err(Problem::new(Code::TokenRevoked));
        }
        if grant.ends.is_none_or(|ends| ends <= Instant::now()) {
            return Err(Problem::new(Code::TokenExpired));
        }
        Ok(grant)
    }

    async fn look_up(&self, id: &TokenId) -> Result<Option<Arc<Grant>>, Problem> {
        let found =
            sqlx::query("select * from auth.token_by_id($1)").bind(id.as_str()).fetch_all(self.database.auth_pool());
        let found = in_time(found).await;
        let grant = found.and_then(|rows| rows.first().map(|row| Grant::from_row(id, row)).transpose());
        let grant = grant.map_err(|error| {
            tracing::warn!(%error, "cannot look a token up");
            Problem::new(Code::DatabaseUnavailable)
        })?;
        let grant = grant.map(Arc::new);
        if let Some(grant) = grant.as_ref().filter(|grant| !grant.revoked) {
            self.known.insert(id.clone(), Arc::clone(grant)).await;
        }
        Ok(grant)
    }
}

/// A connection that says nothing must not hold up who calls, or what was revoked.
async fn in_time<T>(asked: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    match tokio::time::timeout(LOOK_UP_TIMEOUT, asked).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Makes a token. The text is all there will ever be of its secret.
///
/// # Errors
/// Those of the database.
pub async fn create_token(
    admin: &mut PgConnection,
    payer: &Payer,
    scopes: &[Scope],
    name: Option<&str>,
    lifetime: Duration,
) -> Result<(SecretString, DateTime<Utc>), sqlx::Error> {
    let (token, text) = Token::generate();
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let expires_at: Vec<DateTime<Utc>> = sqlx::query_scalar("select auth.create_token($1, $2, $3, $4, $5, $6)")
        .bind(token.id.as_str())
        .bind(token.secret.as_bytes())
        .bind(payer.as_str())
        .bind(scopes)
        .bind(name)
        .bind(lifetime.as_secs_f64())
        .fetch_all(admin)
        .await?;
    let expires_at = expires_at.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    Ok((text, expires_at))
}
