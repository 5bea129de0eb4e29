//! The proof that somebody pays.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use super::payer::Payer;
use super::scope::Scope;
use super::tokens::Grant;
use crate::problem::{Code, Problem};
use crate::turn::Turns;

/// Who is calling, proven. The only way to data: every call goes through [`Tenant::call`], for this payer alone.
///
/// Nothing outside `auth` can make one:
///
/// ```compile_fail
/// let tenant = payerbase::auth::Tenant { grant: todo!(), turns: todo!() };
/// ```
///
/// ```compile_fail
/// let tenant = payerbase::auth::Tenant::new(todo!(), todo!());
/// ```
#[derive(Clone)]
pub struct Tenant {
    grant: Arc<Grant>,
    turns: Arc<Turns>,
}

impl Tenant {
    pub(super) fn new(grant: Arc<Grant>, turns: Arc<Turns>) -> Self {
        Self { grant, turns }
    }

    /// Who pays.
    #[must_use]
    pub fn payer(&self) -> &Payer {
        &self.grant.payer
    }

    /// What proved it.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Refuses what the credential does not allow.
    ///
    /// # Errors
    /// `missing-scope`.
    pub fn require(&self, needed: Scope) -> Result<(), Problem> {
        if self.grant.scopes.iter().any(|scope| scope.allows(needed)) {
            return Ok(());
        }
        Err(Problem::new(Code::MissingScope).member("scope", needed.as_str()))
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
