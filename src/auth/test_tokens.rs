//! Tokens that tests know in advance. Only `payerbase dev` takes them: `pb_test_<payer>`, for any payer, and the one in
//! `PAYERBASE_DEV_TOKEN`. The first use of one stores it, so that all else is as with a token that was created.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tokio::sync::{Mutex, MutexGuard};

use super::scope::Scope;
use super::token::Token;
use super::tokens::store_token;
use crate::db::admin::Admin;
use crate::db::reason;
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::site::is_of_no_foreign_page;
use crate::telemetry::because;

/// What the token of a payer begins with.
pub(super) const PREFIX: &str = "pb_test_";
/// Ten years.
const LIFETIME: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);

/// Tokens that tests know in advance.
#[derive(Clone)]
pub struct TestTokens {
    admin: Admin,
    fixed: Option<(SecretString, Payer)>,
    /// Held by a request that stores a token.
    storing: Arc<Mutex<()>>,
}

/// A token that a test has sent.
pub(super) struct TestToken {
    pub token: Token,
    payer: Payer,
}

impl TestTokens {
    /// Stores tokens as this role, that of `payerbase token`.
    ///   fixed  a token with any text, and its payer
    #[must_use]
    pub fn new(admin: Admin, fixed: Option<(SecretString, Payer)>) -> Self {
        Self { admin, fixed, storing: Arc::default() }
    }

    /// The token with this text. `None`: it is none of these tokens.
    ///
    /// # Errors
    /// `token-malformed` if the payer is no address, or if a web page of another machine may have sent the token: anybody can write
    /// `pb_test_<payer>`.
    pub(super) fn read(&self, text: &str, headers: &HeaderMap) -> Result<Option<TestToken>, Problem> {
        let is_fixed = |fixed: &SecretString| fixed.expose_secret().as_bytes().ct_eq(text.as_bytes()).into();
        if let Some((fixed, payer)) = &self.fixed
            && is_fixed(fixed)
        {
            return Ok(Some(TestToken { token: Token::known(text), payer: payer.clone() }));
        }
        let Some(payer) = text.strip_prefix(PREFIX) else { return Ok(None) };
        let malformed = |detail: String| Problem::new(Code::TokenMalformed).detail(detail);
        let payer: Payer =
            payer.parse().map_err(|error| malformed(format!("`pb_test_` is followed by a payer, which {error}.")))?;
        match is_of_no_foreign_page(headers) {
            true => Ok(Some(TestToken { token: Token::known(&format!("{PREFIX}{payer}")), payer })),
            false => Err(malformed(
                "Neither a web page of another machine nor a call to a public name of this server can use `pb_test_` tokens: create a token, or set PAYERBASE_DEV_TOKEN."
                    .to_owned(),
            )),
        }
    }

    /// Waits until no other request stores a token, and lets none do so as long as the guard exists.
    pub(super) async fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.storing.lock().await
    }

    /// Stores a token, unless another request has.
    ///
    /// # Errors
    /// `database-unavailable`
    pub(super) async fn store(&self, test: &TestToken) -> Result<(), Problem> {
        let stored = async {
            let mut admin = self.admin.connect().await?;
            store_token(&mut admin, &test.token, &test.payer, &[Scope::Everything], Some("test"), LIFETIME).await
        };
        match stored.await {
            Err(error) if !error.as_database_error().is_some_and(|error| error.is_unique_violation()) => {
                because(reason(&error));
                Err(Problem::new(Code::DatabaseUnavailable))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
