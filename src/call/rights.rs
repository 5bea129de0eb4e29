//! The rights that a call uses up, or that may end while it runs: the allowance of the token, and the grant of another payer.
//!
//! A write uses the rights of the payer of its turn in that turn, after it succeeded. A read uses its rights in a turn of its own
//! before it runs. So does a write for another payer with the allowance of the caller's token.

use std::sync::Arc;

use serde_json::json;

use super::conditions::{Conditions, Guard, Rights};
use super::pipeline::command;
use super::plan::{Plan, Step};
use super::spec::Spec;
use super::tenant::Tenant;
use super::token_limits::{self, Holder};
use crate::auth::{Given, Grant, Scope};
use crate::pay::Price;
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::turn::Access;

/// Takes a call from an allowance.
pub(super) const USE_RIGHTS: Spec = Spec::write("useRights");

/// The asset and the amount that a call was paid with.
pub(super) type PaidWith = (String, i64);

/// What a call uses of the rights of its caller.
pub(super) struct Used {
    /// The payer who pays for the call.
    pub pays: Payer,
    /// What the turn of the call uses.
    pub in_turn: Option<Box<Rights>>,
    /// What is taken before, in a turn of each payer.
    pub before: Vec<(Payer, Rights)>,
    /// The assets that may be spent, as the database names them. `None`: any.
    assets: Option<Vec<String>>,
}

impl Used {
    /// The price of the call, in the assets that may be spent.
    pub fn price(&self, price: &Arc<Price>) -> Arc<Price> {
        self.assets.as_ref().map_or_else(|| Arc::clone(price), |assets| Arc::new(price.only_in(assets)))
    }
}

impl Tenant {
    /// The oldest grant that allows all steps of a plan to a caller who acts for another payer. `None`: the caller is the payer.
    ///
    /// # Errors
    /// `not-granted`
    pub(super) fn choose_grant<P: Plan>(
        &self,
        plan: &mut P,
        conditions: &Conditions,
    ) -> Result<Option<Arc<Given>>, Problem> {
        let Some(given) = self.proof.given() else { return Ok(None) };
        let mut refusal = Problem::new(Code::NotGranted);
        for given in given {
            match check_grant(&given.rights, plan, conditions) {
                Ok(()) => return Ok(Some(Arc::clone(given))),
                Err(problem) => refusal = problem,
            }
        }
        Err(refusal)
    }

    /// What a plan uses of the rights of its caller. `None` for most calls: the token has no allowance, and is that of the payer.
    ///   given  the grant with which the caller acts for the payer
    pub(super) fn rights_used<P: Plan>(&self, plan: &mut P, given: Option<&Given>) -> Option<Box<Used>> {
        let token = self.proof.grant();
        if given.is_none() && token.is_none_or(|token| token.allowance.is_none()) {
            return None;
        }
        // Every token may ask who it is, and end itself.
        let is_own = |step: &Step<'_>| token.is_some_and(|token| step.method.is_about(&token.token));
        let calls = plan.steps().filter(|step| step.spec.scope.is_some() && !is_own(step)).count();
        let rights = |grant: Option<String>, of: &Grant| {
            let allowance = of.allowance.as_ref().map(|allowance| allowance.id.clone());
            let is_used = calls > 0 && (grant.is_some() || allowance.is_some());
            is_used.then_some(Rights { grant, allowance, calls })
        };
        let of_token = token.and_then(|token| rights(None, token));
        let of_grant = given.and_then(|given| {
            let is_write = P::SPEC.access == Access::Write;
            let id = is_write.then(|| given.rights.token.as_str().to_owned());
            rights(id, &given.rights)
        });
        let caller_pays = given.is_none_or(|given| given.grantee_pays || self.paid().is_some());
        let (pays, paying) = match given.filter(|_| !caller_pays) {
            Some(given) => (self.payer(), Some(&given.rights)),
            None => (self.proof.caller(), token),
        };
        // A payment that came with the request is new money of the caller.
        let allowance = paying.filter(|_| self.paid().is_none()).and_then(|paying| paying.allowance.as_ref());
        let assets = allowance.and_then(|allowance| allowance.assets.clone());
        let caller = self.proof.caller().clone();
        let (in_turn, before) = match (P::SPEC.access, given) {
            (Access::Read, _) => {
                (None, [of_token.map(|of| (caller, of)), of_grant.map(|of| (self.payer().clone(), of))])
            }
            (Access::Write, None) => (of_token, [None, None]),
            (Access::Write, Some(_)) => (of_grant, [of_token.map(|of| (caller, of)), None]),
        };
        let before = before.into_iter().flatten().collect();
        Some(Box::new(Used { pays: pays.clone(), in_turn: in_turn.map(Box::new), before, assets }))
    }

    /// Checks that the rights of the caller allow a write, before work outside of its turn.
    ///
    /// # Errors
    /// `allowance-exceeded`, `not-granted`, and those of the lanes.
    pub(super) async fn check_rights(&self, conditions: &Conditions) -> Result<(), Problem> {
        match &conditions.rights {
            Some(rights) => self.send_rights(self.payer(), rights, None, true).await,
            None => Ok(()),
        }
    }

    /// Takes what a call uses before it runs.
    ///   paid_with  what the call was paid with, if it is metered
    ///
    /// # Errors
    /// `allowance-exceeded`, and those of the lanes.
    pub(super) async fn use_rights(
        &self,
        before: &[(Payer, Rights)],
        pays: &Payer,
        paid_with: Option<PaidWith>,
    ) -> Result<(), Problem> {
        for (payer, rights) in before {
            let paid_with = paid_with.clone().filter(|_| payer == pays);
            self.send_rights(payer, rights, paid_with, false).await?;
        }
        Ok(())
    }

    async fn send_rights(
        &self,
        payer: &Payer,
        rights: &Rights,
        paid_with: Option<PaidWith>,
        is_check: bool,
    ) -> Result<(), Problem> {
        let (asset, price) = paid_with.unzip();
        let params = json!({"rights": rights, "asset": asset, "price": price, "isCheck": is_check}).to_string();
        let ask = command(&USE_RIGHTS, params, 1, &Conditions::default());
        self.send::<()>(payer, &USE_RIGHTS, ask).await.map(drop).map_err(|problem| match problem.code() {
            // The call itself has not begun.
            Code::OutcomeUnknown => Problem::new(Code::DatabaseUnavailable),
            _ => problem,
        })
    }
}

/// Checks that a grant allows all steps of a plan.
fn check_grant<P: Plan>(grant: &Grant, plan: &mut P, conditions: &Conditions) -> Result<(), Problem> {
    check_guard(grant, conditions.guard.as_ref())?;
    plan.steps().try_for_each(|step| {
        let position = step.position;
        check_step(grant, &step).map_err(|problem| position.of_step(problem))
    })
}

fn check_step(grant: &Grant, step: &Step<'_>) -> Result<(), Problem> {
    let holder = Holder::Grant;
    let Some(scope) = step.spec.scope.filter(|scope| !scope.is_of_account()) else {
        return Err(holder.refused(format_args!("does not allow `{}`, a method of the account", step.spec.name)));
    };
    check_scope(grant, scope)?;
    check_guard(grant, step.guard)?;
    token_limits::check_method(holder, &grant.limits, step)?;
    token_limits::check_names(holder, &grant.limits, step)
}

/// A guard tells whether a lock is held, so it needs the right to read locks.
fn check_guard(grant: &Grant, guard: Option<&Guard>) -> Result<(), Problem> {
    match guard {
        Some(_) => {
            check_scope(grant, Scope::LocksRead)?;
            token_limits::check_guard(Holder::Grant, &grant.limits, guard)
        }
        None => Ok(()),
    }
}

fn check_scope(grant: &Grant, needed: Scope) -> Result<(), Problem> {
    match grant.scopes.iter().any(|scope| scope.allows(needed)) {
        true => Ok(()),
        false => Err(Holder::Grant.refused(format_args!("has no scope `{}`", needed.as_str()))),
    }
}
