//! What calls use of the rights of their caller that are counted: the allowance of its token.
//!
//! A write takes it in its own turn, together with its effect. A read takes it in a turn before it runs.

use std::sync::Arc;

use serde_json::json;

use super::conditions::{Conditions, Rights};
use super::pipeline::command;
use super::plan::{Plan, Step};
use super::spec::Spec;
use super::tenant::Tenant;
use crate::pay::Price;
use crate::problem::Problem;

/// Takes a call from the allowance of its caller.
pub(super) const USE_RIGHTS: Spec = Spec::write("useRights");

/// The asset and the amount that a call was paid with.
pub(super) type PaidWith = (String, i64);

impl Tenant {
    /// What a plan uses of the allowance of the caller's token. `None`: it has no allowance, or needs none for this plan.
    pub(super) fn rights_used<P: Plan>(&self, plan: &mut P) -> Option<Rights> {
        let grant = self.proof.grant()?;
        let allowance = grant.allowance.as_ref()?;
        // Every token may ask who it is, and end itself.
        let is_counted = |step: &Step<'_>| step.spec.scope.is_some() && !step.method.is_about(&grant.token);
        let calls = plan.steps().filter(is_counted).count();
        (calls > 0).then(|| Rights { allowance: allowance.id.clone(), calls })
    }

    /// The price of a call that is paid from the credit, in the assets that the token may spend.
    pub(super) fn price_within_rights(&self, price: &Arc<Price>) -> Arc<Price> {
        let allowance = self.proof.grant().and_then(|grant| grant.allowance.as_ref());
        match allowance.and_then(|allowance| allowance.assets.as_ref()) {
            Some(assets) => Arc::new(price.only_in(assets)),
            None => Arc::clone(price),
        }
    }

    /// Checks that the rights of the caller allow a write, before work outside of its turn.
    ///
    /// # Errors
    /// `allowance-exceeded`, and those of the lanes.
    pub(super) async fn check_rights(&self, conditions: &Conditions) -> Result<(), Problem> {
        match &conditions.rights {
            Some(rights) => self.send_rights(rights, None, true).await,
            None => Ok(()),
        }
    }

    /// Takes a call from the allowance before it runs.
    ///
    /// # Errors
    /// `allowance-exceeded`, and those of the lanes.
    pub(super) async fn use_rights(&self, rights: &Rights, paid_with: Option<PaidWith>) -> Result<(), Problem> {
        self.send_rights(rights, paid_with, false).await
    }

    async fn send_rights(&self, rights: &Rights, paid_with: Option<PaidWith>, is_check: bool) -> Result<(), Problem> {
        let (asset, price) = paid_with.unzip();
        let params = json!({"rights": rights, "asset": asset, "price": price, "isCheck": is_check}).to_string();
        let ask = command(&USE_RIGHTS, params, 1, &Conditions::default());
        self.send::<()>(&USE_RIGHTS, ask).await.map(|_used| ())
    }
}
