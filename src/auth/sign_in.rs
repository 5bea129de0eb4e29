//! Signing in with a wallet: from an address to a challenge, and from its signature to a token.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use rand::RngExt as _;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::challenge::Challenge;
use super::database_key::{DatabaseKey, DatabaseKeys};
use super::look_ups::LOOK_UP_TIMEOUT;
use super::scope::Scope;
use super::token::{Token, TokenId};
use crate::db::{Database, in_time, is_exhausted};
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::site::Site;
use crate::telemetry::because;
use crate::wallet::{Network, has_signed};

/// Signs wallets in.
pub struct SignIn {
    database: Database,
    site: Site,
    networks: Vec<Network>,
    keys: Arc<DatabaseKeys>,
    /// One token is stored at a time: the other connections are for look-ups of tokens.
    storing: Arc<Semaphore>,
}

/// The message that a wallet signs to sign in.
pub struct ToSign {
    /// The message.
    pub message: String,
    /// Identifies the challenge.
    pub nonce: String,
    /// Until then, the challenge can be used.
    pub expires_at: DateTime<Utc>,
}

/// A token of a wallet that signed in.
pub struct SignedIn {
    /// The token: the only copy of its secret.
    pub token: SecretString,
    /// Its public id.
    pub id: TokenId,
    /// The wallet.
    pub payer: Payer,
    /// The scopes of the token.
    pub scopes: Vec<Scope>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

impl SignIn {
    /// Wallets of `networks` sign in at the server with the address `site`.
    #[must_use]
    pub fn new(database: Database, keys: Arc<DatabaseKeys>, site: Site, networks: Vec<Network>) -> Self {
        Self { database, site, networks, keys, storing: Arc::new(Semaphore::new(1)) }
    }

    /// Makes the challenge for a wallet that wants a token with these rights.
    ///
    /// # Errors
    /// `invalid-value` for a network that the server does not serve, or that has no such address; `database-unavailable`.
    pub async fn challenge(
        &self,
        payer: Payer,
        network: Network,
        scopes: Vec<Scope>,
        lifetime: Duration,
    ) -> Result<ToSign, Problem> {
        let invalid = |detail| Problem::new(Code::InvalidValue).field("/chain", detail);
        if !self.networks.contains(&network) {
            let known: Vec<String> = self.networks.iter().map(ToString::to_string).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(invalid(format!("must be a network of this server: {known}")));
        }
        if payer.has_several_keys() {
            let detail = "must be the address of one key: an address of several keys cannot sign in";
            return Err(Problem::new(Code::InvalidValue).field("/address", detail));
        }
        if Network::of(&payer, network.chain_id()) != Some(network) {
            return Err(invalid("must be a network of the address".to_owned()));
        }
        // As the nonce names them.
        let scopes = Scope::ALL.iter().copied().filter(|scope| scopes.contains(scope)).collect();
        let issued_at = Utc::now().trunc_subsecs(0);
        let challenge = Challenge { payer, network, scopes, lifetime, issued_at, random: rand::rng().random() };
        let nonce = challenge.nonce(self.key().await?, &self.site).ok_or_else(|| Problem::new(Code::Internal))?;
        let (message, expires_at) = (challenge.message(&nonce, &self.site), challenge.expires_at());
        Ok(ToSign { message, nonce, expires_at })
    }

    /// Makes the token of the wallet that signed a challenge.
    ///
    /// # Errors
    /// `sign-in-failed`, `overloaded`, `database-unavailable`, `database-exhausted`.
    pub async fn verify(&self, nonce: &str, signature: &str) -> Result<SignedIn, Problem> {
        let failed = |detail: &'static str| Problem::new(Code::SignInFailed).detail(detail);
        let challenge = Challenge::of(nonce, self.key().await?, &self.site);
        let challenge = challenge.ok_or_else(|| failed("This server has not made the challenge."))?;
        if !self.networks.contains(&challenge.network) {
            return Err(failed("This server does not serve the network of the wallet."));
        }
        if !challenge.is_current(Utc::now()) {
            return Err(failed("The challenge has expired."));
        }
        if !has_signed(&challenge.payer, &challenge.message(nonce, &self.site), signature) {
            return Err(failed("The signature is not of this message by the key of the address."));
        }
        let (token, text) = Token::of_nonce(nonce);
        let expires_at = self.store(&challenge, &token).await?;
        let expires_at = expires_at.ok_or_else(|| failed("The challenge was used before."))?;
        let Challenge { payer, scopes, .. } = challenge;
        Ok(SignedIn { token: text, id: token.id, payer, scopes, expires_at })
    }

    /// Stores a token, and answers when it expires. `None` if the challenge was used before.
    async fn store(&self, challenge: &Challenge, token: &Token) -> Result<Option<DateTime<Utc>>, Problem> {
        let scopes: Vec<String> = challenge.scopes.iter().map(ToString::to_string).collect();
        let store = sqlx::query_scalar("select auth.sign_in($1, $2, $3, $4, $5, $6)")
            .bind(token.id.as_str().to_owned())
            .bind(token.secret.as_bytes().to_vec())
            .bind(challenge.payer.as_str().to_owned())
            .bind(scopes)
            .bind(challenge.lifetime.as_secs_f64())
            .bind(challenge.network.to_string());
        let storing = timeout(LOOK_UP_TIMEOUT, Arc::clone(&self.storing).acquire_owned()).await;
        let Ok(Ok(storing)) = storing else {
            because("too many wallets sign in");
            return Err(Problem::new(Code::Overloaded));
        };
        let database = self.database.clone();
        // In a task, so that a client that hangs up does not break the connection.
        let stored = tokio::spawn(async move {
            let store = async { store.fetch_all(&mut *database.auth().acquire().await?).await };
            let stored = in_time(LOOK_UP_TIMEOUT, store).await;
            drop(storing);
            stored
        });
        match stored.await.map_err(|_panicked| Problem::new(Code::Internal))? {
            Ok(stored) => Ok(stored.into_iter().next().flatten()),
            Err(error) => Err(self.failed(&error).await),
        }
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// The key of the codes in nonces.
    pub(super) async fn key(&self) -> Result<&DatabaseKey, Problem> {
        self.keys.get().await
    }

    async fn failed(&self, error: &sqlx::Error) -> Problem {
        because(format!("cannot sign in: {}", self.database.why(error).await));
        Problem::new(if is_exhausted(error) { Code::DatabaseExhausted } else { Code::DatabaseUnavailable })
    }
}
