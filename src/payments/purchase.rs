//! What a request and its answer say about payments.

use std::sync::{Arc, OnceLock};

use super::paid::Paid;
use super::service::Receipt;
use crate::pay::Price;
use crate::problem::{Code, Problem};
use crate::x402::SettlementResponse;

/// What a request and its answer say about payments.
#[derive(Default)]
pub struct Purchase {
    /// The payment that came with the request.
    pub paid: Option<Arc<Paid>>,
    outcome: OnceLock<Result<String, Code>>,
    short_of: OnceLock<Arc<Price>>,
}

impl Purchase {
    /// The purchase of a request that came with a payment, or without one.
    #[must_use]
    pub fn with(paid: Option<Arc<Paid>>) -> Self {
        Self { paid, ..Self::default() }
    }

    /// Notes what became of the payment.
    pub fn ended(&self, settled: &Result<Receipt, Problem>) {
        let outcome = settled.as_ref().map(|receipt| receipt.transaction.clone()).map_err(Problem::code);
        let _ended_before = self.outcome.set(outcome);
    }

    /// Notes the price of a call for which the credit is too small.
    pub fn is_short_of(&self, price: Arc<Price>) {
        let _noted_before = self.short_of.set(price);
    }

    /// The price of a call for which the credit was too small, in each asset.
    #[must_use]
    pub fn short_of(&self) -> &[i64] {
        self.short_of.get().map(|price| &*price.amounts).unwrap_or_default()
    }

    /// PAYMENT-RESPONSE. `None` if the request came without a payment, or the payment was not looked at.
    #[must_use]
    pub fn response(&self) -> Option<SettlementResponse> {
        let (paid, outcome) = (self.paid.as_ref()?, self.outcome.get()?);
        Some(SettlementResponse {
            success: outcome.is_ok(),
            error_reason: outcome.as_ref().err().map(|code| code.slug().to_owned()),
            error_message: None,
            transaction: outcome.as_ref().cloned().unwrap_or_default(),
            network: paid.network(),
            payer: Some(paid.payer().shown()),
        })
    }
}
