//! The pipeline: the steps of every call, whether it is a single method or a transaction.

use std::sync::Arc;

use super::conditions::Conditions;
use super::method::Context;
use super::outcome::mismatch;
use super::plan::Plan;
use super::request::Answer;
use super::rights::Used;
use super::send::{command, unanswered};
use super::spec::Spec;
use super::sql::WaitingSql;
use super::tenant::Tenant;
use super::token_limits::{self, Holder};
use crate::aside::LARGE_BYTES;
use crate::auth::{DatabaseKey, Reservation};
use crate::pay::{Metered, Price};
use crate::problem::{Code, Problem};
use crate::quotas::{Count, Counts};
use crate::sqlite::Tries;
use crate::turn::{Access, Command};

/// Whether a write was answered under its key, so that it does not run again.
pub(super) const HAS_ANSWER: Spec = Spec::read("hasAnswer");

const CALLS_ARE_FREE: &str = "This server takes no payments: its calls are free.";

/// How much work a call is: the size of its request, and its weight.
#[derive(Clone, Copy)]
struct Work {
    bytes: usize,
    weight: usize,
}

impl Tenant {
    /// The way of a call, from its proof to its answer.
    ///   bytes  size of the request
    pub(super) async fn run<P: Plan>(
        &self,
        mut plan: P,
        mut conditions: Conditions,
        bytes: usize,
    ) -> Result<Answer<P::Output>, Problem> {
        self.authorize(&mut plan, &conditions)?;
        self.once_for_its_payment::<P>(&mut conditions);
        if let Some(key) = conditions.key.as_mut().filter(|_| self.proof.grants().is_some()) {
            **key = key.of_caller(self.proof.caller().as_str());
        }
        if let Some(key) = conditions.key.as_mut() {
            self.limit_to_readable(&mut plan, key);
        }
        let servers = match conditions.key.is_some() && plan.steps().any(|step| step.spec.secret.is_some()) {
            true => Some(Box::pin(self.engine.keys.get()).await?.clone()),
            false => None,
        };
        let (tenant, given) = (self.clone(), conditions.clone());
        let prepare = move || {
            let grant = tenant.choose_grant(&mut plan, &given)?;
            let weight = tenant.prepare(&mut plan, &given, servers.as_ref())?;
            let used = tenant.rights_used(&mut plan, grant.as_deref());
            Ok((plan, weight, used))
        };
        let (plan, weight, used) = self.aside(bytes, Code::Overloaded, prepare).await?;
        let (used, work) = (used.as_deref(), Work { bytes, weight });
        let tell_giver = |problem: &Problem| self.tell_giver(used, problem);
        let price = plan.price(&self.engine.prices);
        let price = match &self.purchase {
            Some(_) => Box::pin(self.pay::<P>(&conditions, used, price)).await.inspect_err(tell_giver)?,
            None if P::SPEC.tops_up => return Err(Problem::new(Code::NotFound).detail(CALLS_ARE_FREE)),
            None => price,
        };
        let spent = used.zip(price.as_ref()).map(|(used, price)| used.price(price)).or_else(|| price.clone());
        let mut reserved = Vec::new();
        let answer = match P::SPEC.access {
            Access::Read if used.is_some() || spent.is_some() => {
                let attempt = self.attempt(plan, &conditions, None, None, work, &mut reserved);
                Box::pin(self.metered(spent.as_deref(), used, attempt)).await
            }
            Access::Read | Access::Write => {
                if let Some(used) = used {
                    conditions.uses = used.in_turn(self.payer(), self.proof.caller(), spent.as_deref());
                }
                conditions.looks_for_quotas =
                    P::SPEC.access == Access::Write && self.engine.full.contains(self.payer());
                self.attempt(plan, &conditions, used, spent, work, &mut reserved).await
            }
        };
        let answer =
            answer.map_err(|problem| self.of_payer(self.pays(used), price.as_ref(), problem)).inspect_err(tell_giver);
        if !reserved.is_empty() {
            Box::pin(self.settle(reserved, answer.as_ref().map(|(_, answer)| answer))).await;
        }
        let (plan, answer) = answer?;
        self.after_commit(plan, answer).await
    }

    /// What a call may write.
    ///   bytes  size of the parameters
    fn written<P: Plan>(plan: &mut P, bytes: usize) -> Counts {
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let bytes = number(bytes + plan.referenced_bytes_max());
        let mut counts = Counts::new();
        for step in plan.steps().filter(|step| step.spec.access == Access::Write) {
            if let Some(primitive) = step.spec.primitive {
                let count = counts.entry(primitive).or_insert(Count { writes: 0, bytes });
                count.writes = count.writes.saturating_add(number(step.method.weight()));
            }
        }
        counts
    }

    fn count_written(&self, counts: Counts) {
        for (primitive, count) in counts {
            self.engine.written.add(self.payer(), primitive, count);
        }
    }

    async fn attempt<P: Plan>(
        &self,
        mut plan: P,
        conditions: &Conditions,
        used: Option<&Used>,
        price: Option<Arc<Price>>,
        mut work: Work,
        reserved: &mut Vec<Reservation>,
    ) -> Result<(P, Answer<P::Output>), Problem> {
        let (mut held, mut sql) = (None, None);
        let mut tries = Tries::default();
        if self.admit(&mut plan, conditions).await? {
            let before = Box::pin(self.before_turn(&mut plan, used, price.as_deref(), reserved, &tries)).await;
            if let Some((holds, ran)) = self.unless_answered(conditions, before).await? {
                (held, sql) = (holds, ran);
            }
        }
        // What a caller pays who acts for the payer is in the conditions.
        let price = price.filter(|_| self.pays(used) == self.payer());
        loop {
            if sql.is_some() {
                work.weight = plan.weight()?;
            }
            let site = self.engine.site.clone();
            let params = move || plan.params(&site).map(|params| (plan, params));
            let params = self.aside(work.bytes, Code::Overloaded, params).await?;
            plan = params.0;
            work.bytes = params.1.len();
            let mut command = command(&P::SPEC, params.1, work.weight, conditions);
            command.vector = plan.vector().cloned();
            command.price = price.clone();
            // Counted when the turn has ended, or when the caller hangs up.
            let counted = scopeguard::guard(Self::written(&mut plan, work.bytes), |counts| self.count_written(counts));
            let answer = self.execute(&plan, command).await;
            drop(counted);
            let is_conflict = answer.as_ref().is_err_and(|problem| problem.code() == Code::DatabaseBusy);
            if let Some(ran) = sql.take() {
                Box::pin(ran.ended(&answer)).await;
                if is_conflict && tries.again() {
                    let ran = Box::pin(self.run_sql(&mut plan, &tries)).await;
                    sql = self.unless_answered(conditions, ran).await?.flatten();
                    continue;
                }
            }
            let answer = answer?;
            drop(held);
            return Ok((plan, answer));
        }
    }

    /// Does what the steps need before their turn.
    async fn before_turn<P: Plan>(
        &self,
        plan: &mut P,
        used: Option<&Used>,
        price: Option<&Price>,
        reserved: &mut Vec<Reservation>,
        tries: &Tries,
    ) -> Result<(Option<Box<Metered>>, Option<Box<WaitingSql>>), Problem> {
        let mut held = None;
        if let Some(price) = price {
            // Work outside costs, so the price is held meanwhile. The turn takes it.
            held = Some(Box::new(Box::pin(self.engine.meter.admit(self.pays(used), price)).await?));
        }
        if let Some(used) = used {
            let paid_with = price.zip(held.as_ref()).and_then(|(price, held)| held.paid_with(price));
            Box::pin(self.check_rights(used, paid_with)).await?;
        }
        Box::pin(self.work_outside(plan, reserved)).await?;
        let sql = Box::pin(self.run_sql(plan, tries)).await?;
        Ok((held, sql))
    }

    /// The same call under the same key may have been done meanwhile, so that this one is refused: a row is there, a price
    /// is paid. `None`: the turn returns the answer.
    async fn unless_answered<T>(
        &self,
        conditions: &Conditions,
        before: Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        match before {
            Ok(done) => Ok(Some(done)),
            Err(_) if Box::pin(self.is_answered(conditions)).await? => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Gives back the slugs that were reserved for a call that made no link with them.
    async fn settle<T>(&self, reserved: Vec<Reservation>, answer: Result<&Answer<T>, &Problem>) {
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
    fn authorize<P: Plan>(&self, plan: &mut P, conditions: &Conditions) -> Result<(), Problem> {
        let rights = self.proof.rights();
        if let Some(rights) = rights {
            token_limits::check_guard(Holder::Token, &rights.limits, conditions.guard.as_ref())?;
        }
        plan.steps().try_for_each(|step| {
            let guarded =
                rights.map_or(Ok(()), |rights| token_limits::check_guard(Holder::Token, &rights.limits, step.guard));
            guarded.map_err(|problem| step.position.of_step(problem))?;
            if rights.is_some_and(|rights| step.method.is_about(&rights.token)) {
                return Ok(());
            }
            let allowed = step.spec.scope.map_or(Ok(()), |scope| self.proof.require(scope));
            let allowed = allowed.and_then(|()| {
                rights.map_or(Ok(()), |rights| token_limits::check_method(Holder::Token, &rights.limits, &step))
            });
            allowed.map_err(|problem| step.position.of_step(problem))
        })
    }

    /// Checks and completes the parameters of every step. Returns their total weight.
    ///   servers  the key of the database, if a step makes a secret from the key of the call
    fn prepare<P: Plan>(
        &self,
        plan: &mut P,
        conditions: &Conditions,
        servers: Option<&DatabaseKey>,
    ) -> Result<usize, Problem> {
        let rights = self.proof.rights();
        for step in plan.steps() {
            if let Some(rights) = rights.filter(|rights| !step.method.is_about(&rights.token)) {
                let allowed = token_limits::check_names(Holder::Token, &rights.limits, &step);
                allowed.map_err(|problem| step.position.of_step(problem))?;
            }
            if step.spec.shows_secret_once && conditions.key.is_some() {
                let detail =
                    format!("{} takes no Idempotency-Key: its answer has a secret, which is not kept.", step.spec.name);
                let problem = Problem::new(Code::InvalidHeader).member("header", "idempotency-key").detail(detail);
                return Err(step.position.of_step(problem));
            }
            let context = Context {
                payer: self.payer().as_str(),
                key: conditions.key.as_deref().zip(servers),
                proof: &self.proof,
                index: step.position.index(),
                site: &self.engine.site,
                language: &self.engine.language,
                methods: self.engine.methods,
                prices: &self.engine.prices,
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
        Ok(has_needs && !Box::pin(self.is_answered(conditions)).await?)
    }

    /// Whether a write was answered under its key.
    pub(super) async fn is_answered(&self, conditions: &Conditions) -> Result<bool, Problem> {
        match conditions.key.as_ref().and_then(|_| conditions.to_json()) {
            Some(params) => {
                let ask = command(&HAS_ANSWER, params, 1, &Conditions::default());
                Ok(self.send::<bool>(self.payer(), &HAS_ANSWER, ask).await?.output)
            }
            None => Ok(false),
        }
    }

    /// Makes what the steps need before the turn.
    async fn work_outside<P: Plan>(&self, plan: &mut P, reserved: &mut Vec<Reservation>) -> Result<(), Problem> {
        let needs = plan.steps().map(|step| (step.position, step.method.needs()));
        let needs = needs.filter(|(_, needs)| !needs.is_empty()).collect();
        self.engine.outside.provide(self.payer(), self.proof.caller(), needs, reserved).await
    }

    /// Runs the statement.
    async fn execute<P: Plan>(&self, plan: &P, command: Command) -> Result<Answer<P::Output>, Problem> {
        match plan.wait() {
            None => self.send_turn(&P::SPEC, command).await,
            Some(wait) => Box::pin(self.execute_waiting(&P::SPEC, wait, command)).await,
        }
    }

    /// Completes the result with what the database does not know, and wakes waiting calls. A large result becomes JSON here.
    async fn after_commit<P: Plan>(
        &self,
        plan: P,
        mut answer: Answer<P::Output>,
    ) -> Result<Answer<P::Output>, Problem> {
        let engine = Arc::clone(&self.engine);
        let bytes = if answer.held.is_some() { LARGE_BYTES } else { 0 };
        let integers = self.integers;
        let complete = move || {
            answer.integers = integers;
            let wakes = plan.after_commit(&mut answer.output, &engine.site, integers)?;
            if let Some(held) = &answer.held {
                // It grows to twice its size if it does not fit.
                let mut json = Vec::with_capacity(held.bytes() + LARGE_BYTES);
                let written = integers.write(&mut json, &answer.output);
                written.map_err(|error| mismatch(P::SPEC.name, &error))?;
                answer.json = Some(json);
            }
            Ok((answer, wakes))
        };
        let (answer, wakes) = self.aside(bytes, unanswered(&P::SPEC), complete).await?;
        for wake in wakes {
            self.engine.waiters.wake_everywhere(self.payer(), wake);
        }
        Ok(answer)
    }
}
