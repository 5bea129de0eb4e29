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
use crate::problem::{Code, Problem};
use crate::telemetry::{because, waited};
use crate::turn::Command;

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
        if self.admit(plan, conditions).await? {
            self.work_outside(plan).await?;
        }
        let mut command = command(&P::SPEC, plan.params(&self.engine.site)?, weight, conditions);
        command.vector = plan.vector().cloned();
        let mut answer = self.execute(plan, command).await?;
        self.after_commit(plan, &mut answer.output)?;
        Ok(answer)
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
    async fn work_outside<P: Plan>(&self, plan: &mut P) -> Result<(), Problem> {
        let needs = plan.steps().map(|step| (step.position, step.method.needs()));
        let needs = needs.filter(|(_, needs)| !needs.is_empty()).collect();
        self.engine.outside.provide(self.payer(), needs).await
    }

    /// Runs the statement. A call that waits repeats it until it returns something or the wait is over. It joins the line
    /// before its first attempt, so that it neither overtakes a waiter nor misses a wake-up.
    async fn execute<P: Plan>(&self, plan: &P, command: Command) -> Result<Answer<P::Output>, Problem> {
        let Some(wait) = plan.wait() else { return self.send(&P::SPEC, command).await };
        let deadline = Instant::now() + wait.wanted.patience;
        let waiter = self.engine.waiters.join(self.payer(), wait.wanted.kind, &wait.wanted.name);
        let waiter = waiter.ok_or_else(|| {
            because("too many calls wait");
            Problem::new(Code::Overloaded)
        })?;
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
    let Spec { name, access, batching, .. } = *spec;
    Command { method: name, access, batching, params, conditions: conditions.to_json(), weight, vector: None }
}
