//! From the headers of a request to the proof of its payer.

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use secrecy::SecretString;

use super::grants::Grants;
use super::proof::Proof;
use super::refusals::Refusals;
use super::test_tokens::{PREFIX, TestToken, TestTokens};
use super::token::Token;
use super::tokens::{TokenRights, Tokens};
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// Authenticates requests.
pub struct Authenticator {
    tokens: Arc<Tokens>,
    grants: Grants,
    refusals: Arc<Refusals>,
    test_tokens: Option<TestTokens>,
}

/// A credential of a request. Another kind of credential will be another variant.
pub(super) enum Credential {
    Bearer(Token),
    Test(TestToken),
}

impl Credential {
    pub(super) fn of(headers: &HeaderMap, test_tokens: Option<&TestTokens>) -> Result<Self, Problem> {
        let mut values = headers.get_all(AUTHORIZATION);
        let Some(value) = values.next() else {
            return Err(Problem::new(Code::TokenMissing));
        };
        let malformed = || Problem::new(Code::TokenMalformed);
        let text = value.to_str().map_err(|_not_ascii| malformed())?;
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("bearer") || values.next().is_some() {
            return Err(malformed());
        }
        if token.trim().is_empty() {
            return Err(malformed().detail("The token is empty."));
        }
        let token = token.trim();
        if let Some(test) = test_tokens.map(|test_tokens| test_tokens.read(token, headers)).transpose()?.flatten() {
            return Ok(Self::Test(test));
        }
        Token::parse(&SecretString::from(token)).map(Self::Bearer).ok_or_else(|| match token.starts_with(PREFIX) {
            true => malformed().detail("Only `payerbase dev` takes `pb_test_` tokens."),
            false => malformed(),
        })
    }
}

impl Authenticator {
    /// Verifies tokens with `tokens`, and looks up what payers have granted.
    ///   test_tokens  tokens of tests; none on a server with data to protect
    #[must_use]
    pub fn new(tokens: Arc<Tokens>, grants: Grants, refusals: Arc<Refusals>, test_tokens: Option<TestTokens>) -> Self {
        Self { tokens, grants, refusals, test_tokens }
    }

    /// The calls that were refused.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// The proof of a caller who acts for another payer.
    ///
    /// # Errors
    /// `not-granted` if the payer has granted nothing to the caller; `overloaded`, `database-unavailable`.
    pub async fn act_for(&self, payer: &Payer, caller: Proof) -> Result<Proof, Problem> {
        if payer == caller.payer() {
            return Ok(caller);
        }
        let grants = self.grants.of(payer, caller.payer()).await?;
        match grants.is_empty() {
            true => {
                let detail = "Nothing was changed: the payer has granted nothing to the caller. Ask it for a grant (`createGrant`), or call without `Payerbase-Act-For`.";
                let problem = Problem::new(Code::NotGranted).detail(detail);
                self.refusals.add_call(&caller, &problem);
                Err(problem)
            }
            false => Ok(Proof::of_grantee(caller, payer.clone(), grants)),
        }
    }

    /// The proof that a request carries.
    ///   admit  checks whether a token may be looked up, and counts one that is malformed
    ///
    /// # Errors
    /// The problems of status 401, `database-unavailable` and `overloaded`; those of `admit`.
    pub async fn prove(&self, headers: &HeaderMap, admit: impl Fn() -> Result<(), Problem>) -> Result<Proof, Problem> {
        let credential = Credential::of(headers, self.test_tokens.as_ref()).or_else(|problem| {
            match headers.contains_key(AUTHORIZATION) {
                true => admit().and(Err(problem)),
                false => Err(problem),
            }
        });
        let rights = match credential? {
            Credential::Bearer(token) => self.tokens.recognize(&token, admit).await?,
            Credential::Test(test) => Box::pin(self.recognize_test(&test)).await?,
        };
        let valid = rights.check_valid();
        valid.inspect_err(|problem| self.refusals.add(&rights.payer, Some(&rights.token), problem))?;
        Ok(Proof::of_token(rights))
    }

    /// The rights of a token of a test, which is stored when it is used for the first time.
    async fn recognize_test(&self, test: &TestToken) -> Result<Arc<TokenRights>, Problem> {
        let look_up = || self.tokens.recognize(&test.token, || Ok(()));
        let is_unknown = |found: &Result<_, Problem>| {
            found.as_ref().is_err_and(|problem: &Problem| problem.code() == Code::TokenInvalid)
        };
        let mut found = look_up().await;
        if is_unknown(&found)
            && let Some(test_tokens) = &self.test_tokens
        {
            let _first = test_tokens.one_at_a_time().await;
            found = look_up().await;
            if is_unknown(&found) {
                test_tokens.store(test).await?;
                found = look_up().await;
            }
            // It may have joined a look-up that began before the token was stored. The next one begins after that.
            if is_unknown(&found) {
                found = look_up().await;
            }
        }
        found
    }
}
