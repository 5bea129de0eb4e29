//! Token look-ups: a cache in front of `auth.tokens_with_allowances`. A poll removes revoked tokens from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use secrecy::SecretString;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::allowance::AllowanceOf;
use super::cache_metrics::CacheMetrics;
use super::look_ups::{LOOK_UP_TIMEOUT, LookUps, Source};
use super::scope::Scope;
use super::token::{Token, TokenId};
use super::token_limits::TokenLimits;
use crate::db::{AUTH_CONNECTIONS, Database, in_time, is_lost, reason};
use crate::name::Name;
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// Maximum number of cached tokens, about 300 bytes each.
const CACHED_MAX: u64 = 100_000;
/// Interval of the poll for revoked tokens.
const REVOCATION_POLL: Duration = Duration::from_secs(2);
/// Cached tokens are used only while the last successful poll is younger than this. A revoked token is therefore refused within
/// 5 seconds, even when the database cannot be reached.
const REVOCATION_FRESH: Duration = Duration::from_millis(4_500);

/// Maximum time between two successful polls before the cache is cleared. `auth.revoked_lately` reaches back a minute;
/// half of it leaves room for a slow answer.
const REVOCATION_WINDOW: Duration = Duration::from_secs(30);

/// The rights of a token, and its validity.
#[derive(Debug)]
pub struct TokenRights {
    /// The payer of the token.
    pub payer: Payer,
    /// The scopes of the token.
    pub scopes: Vec<Scope>,
    /// Its limits beside the scopes.
    pub limits: TokenLimits,
    /// Its allowance. `None`: no limit.
    pub allowance: Option<AllowanceOf>,
    /// The public part of the token.
    pub token: TokenId,
    /// Name of the token.
    pub name: Option<String>,
    /// Time of expiry, by the database's clock.
    pub expires_at: DateTime<Utc>,
    secret_sha256: Vec<u8>,
    /// Time of expiry on this process's monotonic clock, computed from the time left by the database's clock. `None`:
    /// the token has expired.
    ends: Option<Instant>,
    revoked: bool,
}

impl TokenRights {
    fn from_row(row: &PgRow) -> sqlx::Result<(String, Arc<Self>)> {
        let rights = Self::read(row)?;
        Ok((rights.token.as_str().to_owned(), Arc::new(rights)))
    }

    pub(super) fn read(row: &PgRow) -> sqlx::Result<Self> {
        let decode = |error: String| sqlx::Error::Decode(error.into());
        let id: String = row.try_get("id")?;
        let payer: String = row.try_get("payer")?;
        let scopes: Vec<String> = row.try_get("scopes")?;
        let prefix: Option<String> = row.try_get("prefix")?;
        let (allowance, assets): (Option<String>, _) = (row.try_get("allowance")?, row.try_get("allowance_assets")?);
        let left_ms: i64 = row.try_get("expires_in_ms")?;
        let left = u64::try_from(left_ms).ok().filter(|left| *left > 0).map(Duration::from_millis);
        Ok(Self {
            payer: payer.parse().map_err(|error: crate::payer::NotAnAddress| decode(error.to_string()))?,
            // Ignore scopes of newer versions.
            scopes: scopes.iter().filter_map(|scope| scope.parse().ok()).collect(),
            limits: TokenLimits {
                methods: row.try_get("methods")?,
                prefix: prefix.map(Name::try_from).transpose().map_err(decode)?,
            },
            allowance: allowance.map(|id| AllowanceOf { id, assets }),
            token: TokenId::stored(id),
            name: row.try_get("name")?,
            expires_at: row.try_get("expires_at")?,
            secret_sha256: row.try_get("secret_sha256")?,
            ends: left.and_then(|left| Instant::now().checked_add(left)),
            revoked: row.try_get("revoked")?,
        })
    }

    /// Whether it has not ended.
    pub(super) fn is_valid(&self) -> bool {
        self.check_valid().is_ok()
    }

    /// Checks that it has not ended.
    ///
    /// # Errors
    /// `token-revoked`, `token-expired`.
    pub(super) fn check_valid(&self) -> Result<(), Problem> {
        if self.revoked {
            return Err(Problem::new(Code::TokenRevoked));
        }
        match self.ends.is_some_and(|ends| ends > Instant::now()) {
            true => Ok(()),
            false => Err(Problem::new(Code::TokenExpired)),
        }
    }
}

/// Verifies tokens.
pub struct Tokens {
    database: Database,
    look_ups: LookUps<Arc<TokenRights>>,
    known: Cache<TokenId, Arc<TokenRights>>,
    epoch: Instant,
    /// Time of the last successful poll for revoked tokens, in milliseconds after `epoch`; 0 if none.
    polled_ms: AtomicU64,
    metrics: CacheMetrics,
}

impl Tokens {
    /// Starts the poll for revoked tokens, which ends when the last owner is dropped.
    #[must_use]
    pub fn new(database: Database) -> Arc<Self> {
        Self::measured(database, CacheMetrics::default())
    }

    /// Like [`Tokens::new`], with metrics.
    #[must_use]
    pub(crate) fn measured(database: Database, metrics: CacheMetrics) -> Arc<Self> {
        let look_ups = LookUps::start(Source {
            database: database.clone(),
            pool: Database::auth,
            statement: "select * from auth.tokens_with_allowances($1)",
            read: TokenRights::from_row,
            statements_max: usize::try_from(AUTH_CONNECTIONS).unwrap_or(1),
        });
        let tokens = Arc::new(Self {
            database,
            look_ups,
            known: Cache::builder().max_capacity(CACHED_MAX).time_to_idle(Duration::from_secs(3_600)).build(),
            epoch: Instant::now(),
            polled_ms: AtomicU64::new(0),
            metrics,
        });
        let weak = Arc::downgrade(&tokens);
        tokio::spawn(async move {
            while let Some(tokens) = weak.upgrade() {
                match tokens.forget_revoked().await {
                    Ok(()) => tokens.database.answered(),
                    // A database that cannot be reached is logged once, where that is found out.
                    Err(error) if is_lost(&error) => drop(tokens.database.why(&error).await),
                    Err(error) => tracing::warn!(error = reason(&error), "cannot read which tokens were revoked"),
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
            // The answer will not reach back to the last poll.
            self.known.invalidate_all();
        }
        let lately = async {
            let mut connection = self.database.watch().acquire().await?;
            sqlx::query_scalar("select * from auth.revoked_lately()").fetch_all(&mut *connection).await
        };
        let revoked: Vec<String> = in_time(LOOK_UP_TIMEOUT, lately).await?;
        for id in revoked {
            self.known.invalidate(&TokenId::stored(id)).await;
        }
        self.polled_ms.store(u64::try_from(asked.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
        Ok(())
    }

    /// Time since the last successful poll.
    fn silence(&self) -> Duration {
        match self.polled_ms.load(Ordering::Acquire) {
            0 => Duration::MAX,
            heard => self.epoch.elapsed().saturating_sub(Duration::from_millis(heard)),
        }
    }

    /// Verifies a token and returns its rights.
    ///
    /// # Errors
    /// `token-invalid` if the id or the secret is wrong; `token-revoked` and `token-expired` only if the secret is
    /// right; `database-unavailable`; `overloaded` if too many unknown tokens are looked up.
    pub async fn verify(&self, token: &Token) -> Result<Arc<TokenRights>, Problem> {
        let rights = self.recognize(token, || Ok(())).await?;
        rights.check_valid().map(|()| rights)
    }

    /// The rights of a token, also of one that has ended.
    ///   admit  checks whether the token may be looked up in the database
    ///
    /// # Errors
    /// `token-invalid` if the id or the secret is wrong; `database-unavailable`; `overloaded` if too many unknown tokens are
    /// looked up; those of `admit`.
    pub(super) async fn recognize(
        &self,
        token: &Token,
        admit: impl Fn() -> Result<(), Problem>,
    ) -> Result<Arc<TokenRights>, Problem> {
        self.metrics.lookups.inc();
        // While the database does not answer, good tokens are looked up too.
        let is_fresh = self.silence() < REVOCATION_FRESH;
        if !is_fresh {
            self.known.invalidate(&token.id).await;
        }
        let rights = match self.known.get(&token.id).await {
            Some(rights) => rights,
            None => {
                if is_fresh {
                    admit()?;
                }
                self.find(&token.id).await?
            }
        };
        if !token.secret.matches(&rights.secret_sha256) {
            return Err(Problem::new(Code::TokenInvalid));
        }
        Ok(rights)
    }

    /// The rights of a token, also of a revoked one. Concurrent requests with one token share one look-up.
    async fn find(&self, id: &TokenId) -> Result<Arc<TokenRights>, Problem> {
        match self.known.try_get_with_by_ref(id, self.look_up(id)).await {
            Ok(rights) => Ok(rights),
            Err(uncached) => match &*uncached {
                Uncached::Revoked(rights) => Ok(Arc::clone(rights)),
                Uncached::Unknown => Err(Problem::new(Code::TokenInvalid)),
                Uncached::NoAnswer(problem) => Err(problem.clone()),
            },
        }
    }

    async fn look_up(&self, id: &TokenId) -> Result<Arc<TokenRights>, Uncached> {
        self.metrics.misses.inc();
        match self.look_ups.find(id.as_str()).await.map(|found| found.into_iter().next()) {
            Ok(Some(rights)) if rights.revoked => Err(Uncached::Revoked(rights)),
            Ok(Some(rights)) => Ok(rights),
            Ok(None) => Err(Uncached::Unknown),
            Err(problem) => Err(Uncached::NoAnswer(problem)),
        }
    }
}

/// The result of a look-up that is not cached.
#[derive(Debug)]
enum Uncached {
    Revoked(Arc<TokenRights>),
    Unknown,
    NoAnswer(Problem),
}

/// Creates a token and stores it. Returns its text, the only copy of the secret, and its time of expiry.
///
/// # Errors
/// Errors of the database.
pub async fn create_token(
    admin: &mut PgConnection,
    payer: &Payer,
    scopes: &[Scope],
    name: Option<&str>,
    lifetime: Duration,
) -> Result<(SecretString, DateTime<Utc>), sqlx::Error> {
    let (token, text) = Token::generate();
    let expires_at = store_token(admin, &token, payer, scopes, name, lifetime).await?;
    Ok((text, expires_at))
}

/// Stores a token. Returns its time of expiry.
pub(super) async fn store_token(
    admin: &mut PgConnection,
    token: &Token,
    payer: &Payer,
    scopes: &[Scope],
    name: Option<&str>,
    lifetime: Duration,
) -> Result<DateTime<Utc>, sqlx::Error> {
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
    expires_at.first().copied().ok_or(sqlx::Error::RowNotFound)
}
