//! The proof that somebody pays.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use super::payer::Payer;
use super::scope::Scope;
use super::tokens::Grant;
use crate::problem::{Code, Problem};
use crate::turn::{Method, Request, Turns};

/// Who is calling, proven. The only way to data: every call goes through [`Tenant::call`], for this payer alone.
///
/// Nothing outside `auth` can make one:
///
/// ```compile_fail
/// let tenant = payerbase::auth::Tenant { proof: todo!(), turns: todo!() };
/// ```
///
/// ```compile_fail
/// let tenant = payerbase::auth::Tenant::new(todo!(), todo!());
/// ```
#[derive(Clone)]
pub struct Tenant {
    proof: Proof,
    turns: Arc<Turns>,
}

/// Why the call may run for this payer.
#[derive(Clone)]
enum Proof {
    /// The caller holds a token of the payer.
    Grant(Arc<Grant>),
    /// Nobody asks: what runs needs no scope, and the payer has it done.
    Nobody(Payer),
}

impl Tenant {
    pub(super) fn new(grant: Arc<Grant>, turns: Arc<Turns>) -> Self {
        Self { proof: Proof::Grant(grant), turns }
    }

    /// For what needs no scope: a visitor follows a link, the sweeper sweeps.
    pub(super) fn of_nobody(payer: Payer, turns: Arc<Turns>) -> Self {
        Self { proof: Proof::Nobody(payer), turns }
    }

    /// Who pays.
    #[must_use]
    pub fn payer(&self) -> &Payer {
        match &self.proof {
            Proof::Grant(grant) => &grant.payer,
            Proof::Nobody(payer) => payer,
        }
    }

    /// What the caller holds.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant> {
        match &self.proof {
            Proof::Grant(grant) => Some(grant),
            Proof::Nobody(_) => None,
        }
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
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

/// The sweeper at work for a payer: the right to methods that need no scope.
pub(crate) struct Sweep(Tenant);

impl Sweep {
    pub fn new(payer: Payer, turns: &Arc<Turns>) -> Self {
        Self(Tenant::of_nobody(payer, Arc::clone(turns)))
    }

    pub async fn call<M: Method>(&self, request: Request<M>) -> Result<M::Output, Problem> {
        self.0.call(request).await.map(|answer| answer.output)
    }
}

impl FromRequest for Tenant {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let tenant = request.extensions().get::<Self>().cloned();
        ready(tenant.ok_or_else(|| {
            tracing::error!(path = request.path(), "a route asks for a tenant outside of the authenticated scope");
            Problem::new(Code::Internal)
        }))
    }
}
