//! The proof that a call may run for a payer.

use std::sync::Arc;

use super::grants::Grant;
use super::scope::Scope;
use super::tokens::TokenRights;
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// The proof that a call may run for a payer. Only `auth` can create one:
///
/// ```compile_fail
/// let proof = payerbase::auth::Proof(todo!());
/// ```
///
/// ```compile_fail
/// let proof = payerbase::auth::Proof::of_token(todo!());
/// ```
#[derive(Clone)]
pub struct Proof(Kind);

#[derive(Clone)]
enum Kind {
    /// The caller holds a token of the payer.
    Token(Arc<TokenRights>),
    /// The caller has signed a payment, or a sign-in for the request. It may run what a wallet would pay for, but nothing of the
    /// account.
    Signature(Payer),
    /// The caller uses grants of another payer. The call runs on the data of that payer.
    Grantee(Arc<Grantee>),
    /// No token: a visitor follows a link, or the sweeper works. Only calls without a scope may run.
    NoToken(Payer),
}

struct Grantee {
    caller: Proof,
    payer: Payer,
    grants: Arc<[Arc<Grant>]>,
}

impl Proof {
    /// The proof of a caller who acts for a payer with one of these grants.
    pub(super) fn of_grantee(caller: Self, payer: Payer, grants: Arc<[Arc<Grant>]>) -> Self {
        Self(Kind::Grantee(Arc::new(Grantee { caller, payer, grants })))
    }

    pub(super) fn of_token(rights: Arc<TokenRights>) -> Self {
        Self(Kind::Token(rights))
    }

    pub(super) fn of_visitor(payer: Payer) -> Self {
        Self(Kind::NoToken(payer))
    }

    /// The proof of a payer, by a payment or a sign-in that it has signed for the request.
    pub(crate) fn of_signature(payer: Payer) -> Self {
        Self(Kind::Signature(payer))
    }

    /// The sweeper's proof, without a token.
    pub(crate) fn of_sweeper(payer: Payer) -> Self {
        Self(Kind::NoToken(payer))
    }

    /// The payer of the call.
    #[must_use]
    pub fn payer(&self) -> &Payer {
        match &self.0 {
            Kind::Token(rights) => &rights.payer,
            Kind::Grantee(grantee) => &grantee.payer,
            Kind::Signature(payer) | Kind::NoToken(payer) => payer,
        }
    }

    /// The payer who sends the call: another one than that of the call if it acts for that one.
    #[must_use]
    pub fn caller(&self) -> &Payer {
        match &self.0 {
            Kind::Grantee(grantee) => grantee.caller.payer(),
            Kind::Token(_) | Kind::Signature(_) | Kind::NoToken(_) => self.payer(),
        }
    }

    /// The grants with which the caller acts for the payer, the oldest first. `None`: it is the payer.
    #[must_use]
    pub fn grants(&self) -> Option<&[Arc<Grant>]> {
        match &self.0 {
            Kind::Grantee(grantee) => Some(&grantee.grants),
            Kind::Token(_) | Kind::Signature(_) | Kind::NoToken(_) => None,
        }
    }

    /// The rights of the caller's token. `None` without a token: a signature, a visitor, the sweeper.
    #[must_use]
    pub fn rights(&self) -> Option<&TokenRights> {
        match &self.0 {
            Kind::Token(rights) => Some(rights),
            Kind::Grantee(grantee) => grantee.caller.rights(),
            Kind::Signature(_) | Kind::NoToken(_) => None,
        }
    }

    /// Whether the caller has signed the request, and has no token.
    pub(super) fn is_signed(&self) -> bool {
        match &self.0 {
            Kind::Signature(_) => true,
            Kind::Grantee(grantee) => grantee.caller.is_signed(),
            Kind::Token(_) | Kind::NoToken(_) => false,
        }
    }

    /// Checks that the token of the caller has a scope. Grants are checked elsewhere (`call/rights.rs`).
    ///
    /// # Errors
    /// `missing-scope`, also for visitors.
    pub fn require(&self, needed: Scope) -> Result<(), Problem> {
        let is_signed = self.is_signed() && !needed.is_of_account();
        if is_signed || self.rights().is_some_and(|rights| rights.scopes.iter().any(|scope| scope.allows(needed))) {
            return Ok(());
        }
        let detail = format!("The token lacks the scope `{needed}`, which the call needs.");
        Err(Problem::new(Code::MissingScope).detail(detail).member("scope", needed.as_str()))
    }
}
