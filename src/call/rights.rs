//! The rights that a call uses up, or that may end while it runs: the allowance of the token, and the grant of another payer.
//!
//! A write uses them in its own turn, after it succeeded. A read uses them in turns of its own, before it runs.

use std::sync::Arc;

use serde_json::json;

use super::conditions::{CallerCharge, Conditions, Guard, Rights, Uses};
use super::plan::{Plan, Step};
use super::send::command;
use super::spec::Spec;
use super::tenant::Tenant;
use super::token_limits::{self, Holder};
use crate::auth::{Grant, Scope, TokenId, TokenRights};
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
    pays: Payer,
    /// The grant with which the caller acts for the payer.
    grant: Option<TokenId>,
    /// What it uses of a token or a grant, each with its payer.
    rights: Vec<(Payer, Rights)>,
    /// The assets that may be spent, as the database names them. `None`: any.
    assets: Option<Vec<String>>,
}

impl Used {
    /// The price of the call, in the assets that may be spent.
    pub fn price(&self, price: &Arc<Price>) -> Arc<Price> {
        self.assets.as_ref().map_or_else(|| Arc::clone(price), |assets| Arc::new(price.only_in(assets)))
    }

    fn of(&self, payer: &Payer) -> Option<Rights> {
        self.rights.iter().find(|(of, _)| of == payer).map(|(_, rights)| rights.clone())
    }

    /// What the turn of a write uses.
    ///   price  the price of the call
    pub fn in_turn(&self, payer: &Payer, caller: &Payer, price: Option<&Price>) -> Option<Box<Uses>> {
        let rights = self.of(payer);
        let of_caller = (caller != payer).then(|| self.of(caller)).flatten();
        let price = price.filter(|_| caller != payer && self.pays == *caller);
        let caller = (of_caller.is_some() || price.is_some()).then(|| CallerCharge {
            payer: caller.as_str().to_owned(),
            rights: of_caller,
            assets: price.map(|price| price.assets.to_vec()).unwrap_or_default(),
            prices: price.map(|price| price.amounts.to_vec()).unwrap_or_default(),
        });
        (rights.is_some() || caller.is_some()).then(|| Box::new(Uses { rights, caller }))
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
    ) -> Result<Option<Arc<Grant>>, Problem> {
        let Some(grants) = self.proof.grants() else { return Ok(None) };
        let mut refusal = Problem::new(Code::NotGranted);
        for grant in grants {
            match check_grant(&grant.rights, plan, conditions) {
                Ok(()) => return Ok(Some(Arc::clone(grant))),
                Err(problem) => refusal = problem,
            }
        }
        let last = grants.last().map(|grant| &grant.rights.token);
        self.engine.refusals.add(self.payer(), last, &refusal);
        Err(refusal)
    }

    /// Puts a refusal into the log of the payer for whom the caller acts, if the payer or its grant is the reason.
    pub(super) fn tell_giver(&self, used: Option<&Used>, problem: &Problem) {
        let Some(grant) = used.and_then(|used| used.grant.as_ref()) else { return };
        let code = problem.code();
        let is_of_grant = problem.get("holder").is_some_and(|holder| holder == Holder::Grant.noun());
        if matches!(code, Code::NotGranted | Code::QuotaExceeded) || is_of_grant {
            self.engine.refusals.add(self.payer(), Some(grant), problem);
        }
    }

    /// What a plan uses of the rights of its caller. `None` for most calls: the token has no allowance, and is that of the payer.
    ///   grant  that with which the caller acts for the payer
    pub(super) fn rights_used<P: Plan>(&self, plan: &mut P, grant: Option<&Grant>) -> Option<Box<Used>> {
        let token = self.proof.rights();
        if grant.is_none() && token.is_none_or(|token| token.allowance.is_none()) {
            return None;
        }
        // Every token may ask who it is, and end itself.
        let is_own = |step: &Step<'_>| token.is_some_and(|token| step.method.is_about(&token.token));
        let calls = plan.steps().filter(|step| step.spec.scope.is_some() && !is_own(step)).count();
        let rights = |holder: Holder, id: Option<String>, of: &TokenRights| {
            let allowance = of.allowance.as_ref().map(|allowance| allowance.id.clone());
            let is_used = calls > 0 && (id.is_some() || allowance.is_some());
            is_used.then_some(Rights { grant: id, allowance, holder: holder.noun(), calls })
        };
        let caller = self.proof.caller();
        let of_token =
            token.and_then(|token| rights(Holder::Token, None, token)).map(|rights| (caller.clone(), rights));
        // The turn of a write checks that the grant is valid.
        let id = |grant: &Grant| (P::SPEC.access == Access::Write).then(|| grant.rights.token.as_str().to_owned());
        let of_grant = grant.and_then(|grant| rights(Holder::Grant, id(grant), &grant.rights));
        let of_grant = of_grant.map(|rights| (self.payer().clone(), rights));
        let paid_in = self.paid().and_then(|paid| self.engine.prices.assets().get(paid.amount().0).cloned());
        let (pays, paying) = match grant.filter(|grant| !grant.grantee_pays && paid_in.is_none()) {
            Some(grant) => (self.payer(), Some(&grant.rights)),
            None => (caller, token),
        };
        let allowance = paying.and_then(|paying| paying.allowance.as_ref());
        let assets = match paid_in {
            // A payment that came with the request is new money of the caller, in any asset.
            Some(asset) => Some(vec![asset]),
            None => allowance.and_then(|allowance| allowance.assets.clone()),
        };
        let rights = of_token.into_iter().chain(of_grant).collect();
        let grant = grant.map(|grant| grant.rights.token.clone());
        Some(Box::new(Used { pays: pays.clone(), grant, rights, assets }))
    }

    /// The payer who pays for a call.
    pub(super) fn pays<'a>(&'a self, used: Option<&'a Used>) -> &'a Payer {
        used.map_or_else(|| self.payer(), |used| &used.pays)
    }

    /// Checks that rights allow a call, before money moves or work is done outside of its turn.
    ///   paid_with  what the call will be paid with, if it is known
    ///
    /// # Errors
    /// `allowance-exceeded`, `not-granted`, and those of the lanes.
    pub(super) async fn check_rights(&self, used: &Used, paid_with: Option<PaidWith>) -> Result<(), Problem> {
        self.send_rights(used, paid_with, true).await
    }

    /// Takes a read from allowances.
    ///   paid_with  what the call is paid with
    ///
    /// # Errors
    /// `allowance-exceeded`, and those of the lanes.
    pub(super) async fn use_rights(&self, used: &Used, paid_with: Option<PaidWith>) -> Result<(), Problem> {
        if used.rights.len() > 1 {
            // Nothing is taken from the first if the second has too little.
            self.send_rights(used, paid_with.clone(), true).await?;
        }
        self.send_rights(used, paid_with, false).await
    }

    async fn send_rights(&self, used: &Used, paid_with: Option<PaidWith>, is_check: bool) -> Result<(), Problem> {
        for (payer, rights) in &used.rights {
            let (asset, price) = paid_with.clone().filter(|_| *payer == used.pays).unzip();
            let params = json!({"rights": rights, "asset": asset, "price": price, "isCheck": is_check}).to_string();
            let ask = command(&USE_RIGHTS, params, 1, &Conditions::default());
            let used = self.send::<()>(payer, &USE_RIGHTS, ask).await;
            used.map_err(|problem| {
                // The call itself has not begun.
                let is_lost = problem.code() == Code::OutcomeUnknown;
                if is_lost { Problem::new(Code::DatabaseUnavailable) } else { problem }
            })?;
        }
        Ok(())
    }
}

/// Checks that a grant allows all steps of a plan.
fn check_grant<P: Plan>(grant: &TokenRights, plan: &mut P, conditions: &Conditions) -> Result<(), Problem> {
    check_guard(grant, conditions.guard.as_ref())?;
    plan.steps().try_for_each(|step| {
        let position = step.position;
        check_step(grant, &step).map_err(|problem| position.of_step(problem))
    })
}

fn check_step(grant: &TokenRights, step: &Step<'_>) -> Result<(), Problem> {
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
fn check_guard(grant: &TokenRights, guard: Option<&Guard>) -> Result<(), Problem> {
    match guard {
        Some(_) => {
            check_scope(grant, Scope::LocksRead)?;
            token_limits::check_guard(Holder::Grant, &grant.limits, guard)
        }
        None => Ok(()),
    }
}

fn check_scope(grant: &TokenRights, needed: Scope) -> Result<(), Problem> {
    match grant.scopes.iter().any(|scope| scope.allows(needed)) {
        true => Ok(()),
        false => Err(Holder::Grant.refused(format_args!("has no scope `{}`", needed.as_str()))),
    }
}
