//! Credentials and sign-ins for fuzz targets.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::authenticator::Credential;
use super::challenge::Challenge;
use super::database_key::DatabaseKey;
use super::request_sign_in::{NotSignedIn, RequestLine, SignedRequest};
use super::scope::Scope;
use super::token::{Token, TokenId};
use crate::payer::Payer;
use crate::problem::Problem;
use crate::site::Site;
use crate::wallet::Network;

/// The id of the token in the headers of a request.
///
/// # Errors
/// `token-missing` and `token-malformed`
pub fn token_of(headers: &HeaderMap) -> Result<TokenId, Problem> {
    Credential::of(headers, None).map(|credential| match credential {
        Credential::Bearer(token) => token.id,
        Credential::Test(test) => test.token.id,
    })
}

/// The token that a wallet gets for a challenge with this nonce.
#[must_use]
pub fn token_of_nonce(nonce: &str) -> (TokenId, SecretString) {
    let (token, text) = Token::of_nonce(nonce);
    (token.id, text)
}

/// A server at which wallets sign in.
pub struct Server {
    key: DatabaseKey,
    site: Site,
    networks: Vec<Network>,
}

/// What a wallet signs for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The wallet.
    pub payer: Payer,
    /// Its network.
    pub network: Network,
    /// The scopes of the token.
    pub scopes: Vec<Scope>,
    /// The lifetime of the token.
    pub lifetime: Duration,
    /// When the challenge was made.
    pub issued_at: DateTime<Utc>,
    /// Random bytes.
    pub random: [u8; 8],
}

impl Server {
    /// A server with this key of its database and this address. `None` if the key is none.
    #[must_use]
    pub fn new(key: [u8; 32], site: Site, networks: Vec<Network>) -> Option<Self> {
        Some(Self { key: DatabaseKey::new(key)?, site, networks })
    }

    /// The nonce of a challenge. `None` if a value is too large.
    #[must_use]
    pub fn nonce(&self, fields: Fields) -> Option<String> {
        let Fields { payer, network, scopes, lifetime, issued_at, random } = fields;
        Challenge { payer, network, scopes, lifetime, issued_at, random }.nonce(&self.key, &self.site)
    }

    /// The challenge of a nonce, and its message.
    #[must_use]
    pub fn challenge(&self, nonce: &str) -> Option<(Fields, String)> {
        let challenge = Challenge::of(nonce, &self.key, &self.site)?;
        let message = challenge.message(nonce, &self.site);
        let Challenge { payer, network, scopes, lifetime, issued_at, random } = challenge;
        Some((Fields { payer, network, scopes, lifetime, issued_at, random }, message))
    }

    /// The nonce of a sign-in for one request.
    #[must_use]
    pub fn nonce_of_request(&self, line: RequestLine<'_>, issued_at: DateTime<Utc>) -> Option<String> {
        line.nonce(&self.key, &self.site, issued_at)
    }

    /// Who signed in for one request.
    ///
    /// # Errors
    /// [`NotSignedIn`]
    pub fn verify_request(
        &self,
        line: RequestLine<'_>,
        header: &str,
        now: DateTime<Utc>,
    ) -> Result<SignedRequest, NotSignedIn> {
        line.verify(&self.key, &self.site, &self.networks, header, now)
    }
}
