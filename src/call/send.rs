//! From a call to its turn, and from the result to an answer.

use std::time::{Duration, Instant};

use futures_util::future::Either;
use rand::RngExt as _;
use serde::de::DeserializeOwned;

use super::conditions::Conditions;
use super::method::Wait;
use super::outcome;
use super::request::Answer;
use super::spec::Spec;
use super::tenant::Tenant;
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::telemetry::{because, waited};
use crate::turn::{Access, CallResult, Command, Origin};
use crate::waiting::NoPlace;

/// How long a call is tried again while another turn of its caller runs. With the time of the last try, it takes no longer than a
/// server that stops waits.
const CALLER_PATIENCE: Duration = Duration::from_millis(1_500);
/// Pause before it is tried again. It doubles with each try.
const CALLER_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause. A call that waits for a resource pauses so long before its next try.
const CALLER_PAUSE_MAX: Duration = Duration::from_millis(50);
/// How often a call of a caller with too little credit is tried.
const POOR_TRIES: u32 = 3;

impl Tenant {
    /// Repeats the statement of a call that waits, until it returns something or the wait is over. The call joins the line
    /// before its first attempt, so that it neither overtakes a waiter nor misses a wake-up. Without a place in the line, it
    /// is tried once, or refused if others wait.
    pub(super) async fn execute_waiting<T: DeserializeOwned + Send + 'static>(
        &self,
        spec: &Spec,
        wait: Wait<T>,
        command: Command,
    ) -> Result<Answer<T>, Problem> {
        let deadline = Instant::now() + wait.wanted.patience;
        let full = || {
            because("too many calls wait");
            Problem::new(Code::Overloaded)
        };
        let waiter =
            match self.engine.waiters.join(self.payer(), self.proof.caller(), wait.wanted.kind, &wait.wanted.name) {
                Ok(waiter) => waiter,
                Err(NoPlace::BehindOthers) => return Err(full()),
                Err(NoPlace::First) => {
                    let answer = self.send_turn(spec, command).await;
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
            let answer = self.send_turn(spec, command.clone()).await;
            // Another turn of the caller, who acts for the payer, holds its lock: the call waits on.
            let is_busy = self.proof.grants().is_some()
                && answer.as_ref().is_err_and(|problem| problem.code() == Code::PayerBusy);
            match (wait.retry_after)(&answer).or_else(|| is_busy.then_some(CALLER_PAUSE_MAX)) {
                Some(delay) if is_in_time => is_in_time = ready(delay).await,
                _ => return answer,
            }
        }
    }

    /// Runs the command of a call.
    pub(super) fn send_turn<T: DeserializeOwned + Send + 'static>(
        &self,
        spec: &Spec,
        command: Command,
    ) -> impl Future<Output = Result<Answer<T>, Problem>> + Send {
        match self.proof.grants() {
            None => Either::Left(self.send(self.payer(), spec, command)),
            Some(_) => Either::Right(Box::pin(self.send_patiently(spec, command))),
        }
    }

    /// Runs the command of a call for another payer. A turn that charges the caller does not wait for the lock of the caller, so
    /// it is tried again.
    async fn send_patiently<T: DeserializeOwned + Send + 'static>(
        &self,
        spec: &Spec,
        command: Command,
    ) -> Result<Answer<T>, Problem> {
        let deadline = Instant::now() + CALLER_PATIENCE;
        let (mut pause, mut poor_tries) = (CALLER_PAUSE, 0);
        loop {
            let answer = self.send(self.payer(), spec, command.clone()).await;
            let is_again = match answer.as_ref().err().map(Problem::code) {
                Some(Code::PayerBusy) => true,
                // Calls of the caller in the same batch may have held its credit, and given it back.
                Some(Code::PaymentRequired) => {
                    poor_tries += 1;
                    poor_tries < POOR_TRIES
                }
                _ => false,
            };
            if !is_again || Instant::now() > deadline {
                return answer;
            }
            let jitter = rand::rng().random_range(0.5..1.0);
            tokio::time::sleep(pause.mul_f64(jitter)).await;
            pause = CALLER_PAUSE_MAX.min(pause * 2);
        }
    }

    /// Runs a command in a turn of a payer.
    pub(super) async fn send<T: DeserializeOwned + Send + 'static>(
        &self,
        payer: &Payer,
        spec: &Spec,
        mut command: Command,
    ) -> Result<Answer<T>, Problem> {
        if payer != self.proof.caller() && command.origin == Origin::Payer {
            command.origin = Origin::Grantee;
        }
        let CallResult { json, held } = self.engine.turns.dispatch(payer.clone(), command).await?;
        let (spec, bytes) = (*spec, json.len());
        let mut answer = self.aside(bytes, unanswered(&spec), move || outcome::read(&spec, &json)).await?;
        answer.held = held;
        Ok(answer)
    }
}

/// The problem of a call that ran and whose result cannot be sent.
pub(super) fn unanswered(spec: &Spec) -> Code {
    match spec.access {
        Access::Write => Code::OutcomeUnknown,
        Access::Read => Code::Overloaded,
    }
}

/// The command of a method.
pub(super) fn command(spec: &Spec, params: String, weight: usize, conditions: &Conditions) -> Command {
    let Spec { name, access, batching, origin, .. } = *spec;
    Command {
        method: name,
        access,
        batching,
        params,
        conditions: conditions.to_json(),
        weight,
        origin,
        vector: None,
        price: None,
    }
}
