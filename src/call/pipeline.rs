//! The pipeline: the steps of every call, whether it is a single method or a transaction.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::conditions::Conditions;
use super::method::Context;
use super::outcome;
use super::plan::Plan;
use super::request::Answer;
use super::spec::Spec;
use super::tenant::Tenant;
use crate::auth::Reservation;
use crate::problem::{Code, Problem};
use crate::telemetry::{because, waited};
use crate::turn::Command;
use crate::waiting::NoPlace;

/// Whether a write was answered under its key, so that it does not run again.
pub(super) const HAS_ANSWER: Spec = Spec::read("hasAnswer");

impl Tenant {
    /// The way of a call, from its proof to its answer.
    pub(super) async fn run<P: Plan>(
        &self,
        plan: &mut P,
        conditions: &Conditions,
    ) -> Result<Answer<P::Output>, Problem> {
        self.authorize(plan)?;
        let weight = self.prepare(plan, conditions)?;
        let mut reserved = Vec::new();
        let answer = self.attempt(plan, conditions, weight, &mut reserved).await;
        self.settle(reserved, &answer).await;
        let mut answer = answer?;
        self.after_commit(plan, &mut answer.output)?;
        Ok(answer)
    }

    async fn attempt<P: Plan>(
        &self,
        plan: &mut P,
        conditions: &Conditions,
        weight: usize,
        reserved: &mut Vec<Reservation>,
    ) -> Result<Answer<P::Output>, Problem> {
        if self.admit(plan, conditions).await? {
            self.work_outside(plan, reserved).await?;
        }
        let mut command = command(&P::SPEC, plan.params(&self.engine.site)?, weight, conditions);
        command.vector = plan.vector().cloned();
        self.execute(plan, command).await
    }

    /// Gives back the slugs that were reserved for a call that made no link with them.
    async fn settle<T>(&self, reserved: Vec<Reservation>, answer: &Result<Answer<T>, Problem>) {
        let slugs = &self.engine.outside.slugs;
        for reservation in reserved {
            match answer {
                Ok(answer) if !answer.is_replay => reservation.keep(),
                // The link may exist.
                Err(problem) if problem.code() == Code::OutcomeUnknown => {}
                _ => slugs.release(reservation).await,
            }
        }
    }

    /// Checks that the caller may run every step.
    fn authorize<P: Plan>(&self, plan: &mut P) -> Result<(), Problem> {
        plan.steps().try_for_each(|step| match step.spec.scope {
            Some(scope) => self.proof.require(scope).map_err(|problem| step.position.of_step(problem)),
            None => Ok(()),
        })
    }

    /// Checks and completes the parameters of every step. Returns their total weight.
    fn prepare<P: Plan>(&self, plan: &mut P, conditions: &Conditions) -> Result<usize, Problem> {
        for step in plan.steps() {
            let context = Context {
                payer: self.payer().as_str(),
                key: conditions.key.as_ref(),
                index: step.position.index(),
                site: &self.engine.site,
                language: &self.engine.language,
                can_embed: self.engine.outside.embeddings.is_some(),
            };
            step.method.prepare(&context).map_err(|problem| step.position.of_params(problem))?;
        }
        plan.weight()
    }

    /// Whether the call needs work outside of its turn. A write that was answered under its key needs none: the turn returns
    /// that answer.
    async fn admit<P: Plan>(&self, plan: &mut P, conditions: &Conditions) -> Result<bool, Problem> {
        let has_needs = plan.steps().any(|step| !step.method.needs().is_empty());
        match conditions.to_json().filter(|_| has_needs && conditions.key.is_some()) {
            Some(params) => {
                let ask = command(&HAS_ANSWER, params, 1, &Conditions::default());
                Ok(!self.send::<bool>(&HAS_ANSWER, ask).await?.output)
            }
            None => Ok(has_needs),
        }
    }

    /// Makes what the steps need before the turn.
    async fn work_outside<P: Plan>(&self, plan: &mut P, reserved: &mut Vec<Reservation>) -> Result<(), Problem> {
        let needs = plan.steps().map(|step| (step.position, step.method.needs()));
        let needs = needs.filter(|(_, needs)| !needs.is_empty()).collect();
        self.engine.outside.provide(self.payer(), needs, reserved).await
    }

    /// Runs the statement. A call that waits repeats it until it returns something or the wait is over. It joins the line
    /// before its first attempt, so that it neither overtakes a waiter nor misses a wake-up. Without a place in the line, it
    /// is tried once, or refused if others wait.
    async fn execute<P: Plan>(&self, plan: &P, command: Command) -> Result<Answer<P::Output>, Problem> {
        let Some(wait) = plan.wait() else { return self.send(&P::SPEC, command).await };
        let deadline = Instant::now() + wait.wanted.patience;
        let full = || {
            because("too many calls wait");
            Problem::new(Code::Overloaded)
        };
        let waiter = match self.engine.waiters.join(self.payer(), wait.wanted.kind, &wait.wanted.name) {
            Ok(waiter) => waiter,
            Err(NoPlace::BehindOthers) => return Err(full()),
            Err(NoPlace::First) => {
                let answer = self.send(&P::SPEC, command).await;
                return match (wait.retry_after)(&answer) {
                    Some(_busy) => Err(full()),
                    None => answer,
                };
            }
        };
        let ready = async |delay| {
            let started = Instant::now();
            let is_in_time = waiter.ready(delay, deadline).await;
            waited(started.elapsed());
            is_in_time
        };
        let mut is_in_time = waiter.is_first() || ready(Duration::MAX).await;
        loop {
            let answer = self.send(&P::SPEC, command.clone()).await;
            match (wait.retry_after)(&answer) {
                Some(delay) if is_in_time => is_in_time = ready(delay).await,
                _ => return answer,
            }
        }
    }

    async fn send<T: DeserializeOwned>(&self, spec: &Spec, command: Command) -> Result<Answer<T>, Problem> {
        let result = self.engine.turns.dispatch(self.payer().clone(), command).await?;
        outcome::read(spec, &result)
    }

    /// Completes the result with what the database does not know, and wakes waiting calls.
    fn after_commit<P: Plan>(&self, plan: &P, output: &mut P::Output) -> Result<(), Problem> {
        for wake in plan.after_commit(output, &self.engine.site)? {
            self.engine.waiters.wake_everywhere(self.payer(), wake);
        }
        Ok(())
    }
}

fn command(spec: &Spec, params: String, weight: usize, conditions: &Conditions) -> Command {
    let Spec { name, access, batching, is_visit, .. } = *spec;
    Command { method: name, access, batching, params, conditions: conditions.to_json(), weight, is_visit, vector: None }
}
