//! A payer that is proven, and the calls that run for it.

use std::sync::Arc;

use super::engine::Engine;
use super::method::{Method, Operation as _};
use super::plan::Single;
use super::request::{Answer, Request};
use super::transaction::{Results, Transaction};
use crate::auth::{Proof, TokenRights};
use crate::number::Integers;
use crate::payer::Payer;
use crate::payments::Purchase;
use crate::problem::{Code, Problem};
use crate::quotas::Quotas;

/// A payer that is proven. This is the only way to data: every call runs through [`Tenant::call`] or [`Tenant::transact`],
/// for this payer alone.
#[derive(Clone)]
pub struct Tenant {
    pub(super) proof: Proof,
    pub(super) engine: Arc<Engine>,
    /// What the request says about payments. `None` if it costs nothing.
    pub(super) purchase: Option<Arc<Purchase>>,
    /// How answers write wide integers.
    pub(super) integers: Integers,
}

impl Tenant {
    /// Calls of this payer run in `engine`.
    #[must_use]
    pub fn new(proof: Proof, engine: Arc<Engine>) -> Self {
        Self { proof, engine, purchase: None, integers: Integers::default() }
    }

    /// Calls are paid with this purchase, where there is one.
    #[must_use]
    pub fn with(mut self, purchase: Option<Arc<Purchase>>) -> Self {
        self.purchase = purchase;
        self
    }

    /// Answers write wide integers so.
    #[must_use]
    pub fn writing(mut self, integers: Integers) -> Self {
        self.integers = integers;
        self
    }

    /// The payer.
    #[must_use]
    pub fn payer(&self) -> &Payer {
        self.proof.payer()
    }

    /// The token of the caller, and its rights. `None` for visitors of links and for the sweeper.
    #[must_use]
    pub fn rights(&self) -> Option<&TokenRights> {
        self.proof.rights()
    }

    /// How much each payer may have of each primitive.
    #[must_use]
    pub fn quotas(&self) -> Quotas {
        self.engine.written.quotas()
    }

    /// Runs one method.
    ///
    /// # Errors
    /// `missing-scope`, the problems of the method, and those of the lanes: `overloaded`, `payer-busy`,
    /// `database-unavailable`, and for writes `outcome-unknown`.
    pub async fn call<M: Method>(&self, request: Request<M>) -> Result<Answer<M::Output>, Problem> {
        let Request { method, conditions, bytes } = request;
        let answer = self.run(Single(method), conditions, bytes).await;
        self.measured(<M as Method>::SPEC.name, answer)
    }

    /// Runs a transaction: several writes and fast reads in one turn, all or none. Answers their results in order.
    ///
    /// # Errors
    /// The problems that [`Tenant::call`] has for each of its calls, with the members `index` and `method`.
    pub async fn transact(&self, request: Request<Transaction>) -> Result<Answer<Results>, Problem> {
        let Request { method, conditions, bytes } = request;
        let methods = self.engine.methods;
        let answer = match self.aside(bytes, Code::Overloaded, move || method.compile(methods)).await {
            Ok(compiled) => self.run(compiled, conditions, bytes).await,
            Err(problem) => Err(problem),
        };
        self.measured(Transaction::SPEC.name, answer)
    }

    /// Does work on a request or an answer of this size.
    ///   refusal  the problem if the work cannot be done
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        bytes: usize,
        refusal: Code,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = self.engine.aside().run(self.proof.caller(), bytes, work).await;
        done.unwrap_or_else(|_not_done| Err(Problem::new(refusal)))
    }

    fn measured<T>(&self, method: &'static str, answer: Result<T, Problem>) -> Result<T, Problem> {
        let outcome = answer.as_ref().map_or_else(|problem| problem.code().slug(), |_output| "ok");
        self.engine.metrics.called(method, outcome);
        answer
            .map_err(|problem| problem.with_integers(self.integers))
            .inspect_err(|problem| self.engine.refusals.add_call(&self.proof, problem))
    }
}
