//! How a call is paid: a payment becomes credit of the payer, and the credit pays for the call.

use std::sync::Arc;

use super::conditions::{Conditions, IdempotencyKey};
use super::plan::Plan;
use super::rights::Used;
use super::tenant::Tenant;
use super::token_limits::Holder;
use crate::pay::{Price, Tier};
use crate::payer::Payer;
use crate::payments::Paid;
use crate::problem::{Code, Problem};
use crate::turn::Access;

/// How often a read can be sent again with its payment for nothing.
const FREE_REPEATS: u32 = 5;

impl Tenant {
    /// The payment that came with the request.
    pub(super) fn paid(&self) -> Option<&Arc<Paid>> {
        self.purchase.as_ref().and_then(|purchase| purchase.paid.as_ref())
    }

    /// A write that is paid by a payment runs once for it.
    pub(super) fn once_for_its_payment<P: Plan>(&self, conditions: &mut Conditions) {
        if let (Some(paid), Some(request)) = (self.paid(), conditions.request_sha256.as_deref())
            && P::SPEC.access == Access::Write
        {
            let key = || Box::new(IdempotencyKey::of_payment(&paid.id().to_string(), *request));
            conditions.key.get_or_insert_with(key);
        }
    }

    /// Settles the payment that came with the request: its money becomes credit. Returns the price that is left to pay: a read
    /// that is sent again with its payment, because its answer was lost, costs nothing for some times.
    pub(super) async fn pay<P: Plan>(
        &self,
        conditions: &Conditions,
        used: Option<&Used>,
        price: Option<Arc<Price>>,
    ) -> Result<Option<Arc<Price>>, Problem> {
        let Some((purchase, paid)) = self.purchase.as_ref().zip(self.paid()) else {
            return if P::SPEC.tops_up { Err(Problem::new(Code::PaymentRequired)) } else { Ok(price) };
        };
        let (place, amount) = paid.amount();
        let needed = price.as_ref().and_then(|price| price.amounts.get(place)).copied().unwrap_or_default();
        if let Some(used) = used
            && !Box::pin(self.is_answered(conditions)).await?
        {
            let asset = price.as_ref().and_then(|price| price.assets.get(place)).cloned();
            self.check_rights(used, asset.map(|asset| (asset, needed))).await?;
        }
        if needed > amount {
            let detail = format!(
                "Nothing was paid: the call costs {needed}, in the smallest unit of the asset. Pay one of the new offers in `PAYMENT-REQUIRED`, top up the credit, or send fewer calls."
            );
            let problem = Problem::new(Code::PaymentRequired).detail(detail);
            return Err(self.of_purchase(price.as_ref(), problem));
        }
        let Some(request) = conditions.request_sha256.as_deref() else { return Err(Problem::new(Code::Internal)) };
        let settled = self.engine.payments.settle(paid, P::SPEC.name, *request).await;
        purchase.ended(&settled);
        let receipt = settled.map_err(|problem| self.of_purchase(price.as_ref(), problem))?;
        self.engine.meter.forget(self.proof.caller());
        let is_free = P::SPEC.tier == Tier::Read && (1..=FREE_REPEATS).contains(&receipt.repeats);
        Ok(price.filter(|_| !is_free))
    }

    /// Adds to a problem what the payer needs to know of its payment, and notes what the call costs.
    pub(super) fn of_purchase(&self, price: Option<&Arc<Price>>, problem: Problem) -> Problem {
        if let (Some(purchase), Some(price)) = (&self.purchase, price)
            && problem.code() == Code::PaymentRequired
        {
            purchase.is_short_of(Arc::clone(price));
        }
        match self.purchase.as_ref().filter(|purchase| purchase.response().is_some()).and(self.paid()) {
            // The problem may name another payment.
            Some(paid) if problem.get("payment").is_none() => problem.member("payment", paid.id().to_string()),
            Some(_) | None => problem,
        }
    }

    /// Runs a read: holds its price, uses allowances, and charges the price if the read succeeded.
    pub(super) async fn metered<T>(
        &self,
        price: Option<&Price>,
        used: Option<&Used>,
        read: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let metered = match price {
            Some(price) => Some(self.engine.meter.admit(self.pays(used), price).await?),
            None => None,
        };
        if let Some(used) = used {
            let paid_with = price.zip(metered.as_ref()).and_then(|(price, metered)| metered.paid_with(price));
            Box::pin(self.use_rights(used, paid_with)).await?;
        }
        let answer = read.await?;
        if let Some(metered) = metered {
            metered.charge();
        }
        Ok(answer)
    }

    /// The problem of a call. If another payer pays, the caller cannot solve `payment-required` with a payment.
    pub(super) fn of_payer(&self, pays: &Payer, price: Option<&Arc<Price>>, problem: Problem) -> Problem {
        if problem.code() == Code::PaymentRequired && pays != self.proof.caller() {
            let detail = "Nothing was changed: the payer who granted this has too little credit.";
            return Problem::new(Code::AllowanceExceeded).member("holder", Holder::Grant.noun()).detail(detail);
        }
        self.of_purchase(price, problem)
    }
}
