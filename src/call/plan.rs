//! A plan: what the pipeline runs. It has one step for a single method, and several for a transaction.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::conditions::Guard;
use super::method::{AnyMethod, Method, Wait};
use super::outcome::mismatch;
use super::spec::Spec;
use crate::number::Integers;
use crate::pay::{Price, Prices};
use crate::problem::Problem;
use crate::site::Site;
use crate::vector::Vector;
use crate::waiting::Wake;

/// What the pipeline runs.
pub(super) trait Plan: Send + 'static {
    /// The result.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// The description of the operation.
    const SPEC: Spec;

    /// The methods to run, in order.
    fn steps(&mut self) -> impl Iterator<Item = Step<'_>> + Send;

    /// How much work the plan is, in simple calls.
    ///
    /// # Errors
    /// `invalid-value` if the weight exceeds the limit of one call.
    fn weight(&self) -> Result<usize, Problem>;

    /// What the plan costs. `None`: nothing.
    fn price(&self, prices: &Prices) -> Option<Arc<Price>>;

    /// The parameters of the SQL function, as JSON.
    fn params(&self, site: &Site) -> Result<String, Problem>;

    /// Maximum size of the results that parameters refer to, in bytes.
    fn referenced_bytes_max(&self) -> usize {
        0
    }

    /// The query vector of a search.
    fn vector(&self) -> Option<&Vector>;

    /// The resource that it waits for.
    fn wait(&self) -> Option<Wait<Self::Output>>;

    /// Completes the result, and returns the waiters to wake.
    ///   integers  how results that are JSON already write wide integers
    fn after_commit(&self, output: &mut Self::Output, site: &Site, integers: Integers) -> Result<Vec<Wake>, Problem>;
}

/// One method of a plan.
pub(super) struct Step<'a> {
    pub spec: Spec,
    pub method: &'a mut dyn AnyMethod,
    pub position: Position,
    /// The guard of the step alone, beside that of the whole request.
    pub guard: Option<&'a Guard>,
    /// Whether one of its names is a `$ref`.
    pub refers_to_name: bool,
}

/// Where a step is: alone, or in a transaction. A problem of the step says so.
#[derive(Clone, Copy)]
pub(super) enum Position {
    Alone,
    InTransaction { index: usize, method: &'static str },
}

impl Position {
    /// The index of the step.
    pub fn index(self) -> usize {
        match self {
            Self::Alone => 0,
            Self::InTransaction { index, .. } => index,
        }
    }

    /// A problem of this step.
    pub fn of_step(self, problem: Problem) -> Problem {
        match self {
            Self::Alone => problem,
            Self::InTransaction { index, method } => problem.member("index", index).member("method", method),
        }
    }

    /// A problem of this step whose pointers are relative to its parameters.
    pub fn of_params(self, problem: Problem) -> Problem {
        match self {
            Self::Alone => problem,
            Self::InTransaction { index, .. } => self.of_step(problem.within(&format!("/calls/{index}/params"))),
        }
    }
}

/// The plan of a single call.
pub(super) struct Single<M>(pub M);

impl<M: Method> Plan for Single<M> {
    type Output = M::Output;
    const SPEC: Spec = <M as Method>::SPEC;

    fn steps(&mut self) -> impl Iterator<Item = Step<'_>> + Send {
        let (spec, position, guard) = (<M as Method>::SPEC, Position::Alone, None);
        std::iter::once(Step { spec, method: &mut self.0, position, guard, refers_to_name: false })
    }

    fn weight(&self) -> Result<usize, Problem> {
        Ok(Method::weight(&self.0))
    }

    fn price(&self, prices: &Prices) -> Option<Arc<Price>> {
        prices.of(Self::SPEC.tier)
    }

    fn params(&self, _: &Site) -> Result<String, Problem> {
        serde_json::to_string(&self.0).map_err(|error| mismatch(Self::SPEC.name, &error))
    }

    fn vector(&self) -> Option<&Vector> {
        Method::vector(&self.0)
    }

    fn wait(&self) -> Option<Wait<M::Output>> {
        Method::wait(&self.0)
    }

    fn after_commit(&self, output: &mut M::Output, site: &Site, _: Integers) -> Result<Vec<Wake>, Problem> {
        Ok(Method::after_commit(&self.0, output, site).into_iter().collect())
    }
}
