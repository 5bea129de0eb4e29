//! The proof that a payer answers for a call.

use std::sync::Arc;

use super::scope::Scope;
use super::tokens::Grant;
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// Why a call may run for a payer. Only `auth` makes one:
///
/// ```compile_fail
/// let proof = payerbase::auth::Proof(todo!());
/// ```
///
/// ```compile_fail
/// let proof = payerbase::auth::Proof::of_grant(todo!());
/// ```
#[derive(Clone)]
pub struct Proof(Kind);

#[derive(Clone)]
enum Kind {
    /// The caller holds a token of the payer.
    Grant(Arc<Grant>),
    /// Nobody asks: a visitor follows a link, the sweeper sweeps. What runs needs no scope.
    Nobody(Payer),
}

impl Proof {
    pub(super) fn of_grant(grant: Arc<Grant>) -> Self {
        Self(Kind::Grant(grant))
    }

    pub(super) fn of_visitor(payer: Payer) -> Self {
        Self(Kind::Nobody(payer))
    }

    /// For the sweeper.
    pub(crate) fn of_sweeper(payer: Payer) -> Self {
        Self(Kind::Nobody(payer))
    }

    /// Who pays.
    #[must_use]
    pub fn payer(&self) -> &Payer {
        match &self.0 {
            Kind::Grant(grant) => &grant.payer,
            Kind::Nobody(payer) => payer,
        }
    }

    /// What the caller holds.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant> {
        match &self.0 {
            Kind::Grant(grant) => Some(grant),
            Kind::Nobody(_) => None,
        }
    }

    /// Refuses what the credential does not allow.
    ///
    /// # Errors
    /// `missing-scope`.
    pub fn require(&self, needed: Scope) -> Result<(), Problem> {
        if self.grant().is_some_and(|grant| grant.scopes.iter().any(|scope| scope.allows(needed))) {
            return Ok(());
        }
        Err(Problem::new(Code::MissingScope).member("scope", needed.as_str()))
    }
}
