//! Offers: what a caller can pay for a request.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::settings::PaidNetwork;
use crate::pay::Tier;
use crate::site::Site;
use crate::wallet::Network;
use crate::x402::{
    AMOUNT_MAX, Asset, BAZAAR, Offer, PAYMENT_IDENTIFIER, PaymentRequired, Requirements, Resource, VERSION,
    payment_identifier,
};

/// Seconds that a payment may take: official clients sign for so long.
const EVM_TIMEOUT_S: u64 = 60;
const STACKS_TIMEOUT_S: u64 = 300;

/// What an offer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferedFor {
    /// A call of this tier.
    Call(Tier),
    /// This amount of credit.
    Credit(i64),
}

impl PaidNetwork {
    /// The smallest amount of a payment.
    pub(super) fn least(&self, offered: OfferedFor) -> i64 {
        let wanted = match offered {
            OfferedFor::Call(tier) => self.prices.of(tier),
            OfferedFor::Credit(amount) => amount,
        };
        wanted.max(self.minimum)
    }

    pub(super) fn network(&self) -> Network {
        self.prices.asset.network()
    }

    /// An offer of an amount.
    pub(super) fn offer(&self, amount: i64) -> Option<Offer> {
        let seconds = match self.network() {
            Network::Evm { .. } => EVM_TIMEOUT_S,
            Network::Stacks | Network::StacksTest => STACKS_TIMEOUT_S,
        };
        let amount = u64::try_from(amount).ok()?;
        Offer::new(self.prices.asset.clone(), self.pay_to.clone(), amount, seconds).ok()
    }

    /// The offer that a caller accepted. It may pay more than the least amount: the rest stays its credit.
    pub(super) fn accepted(&self, offered: OfferedFor, accepted: &Requirements) -> Option<Offer> {
        let amount = accepted.amount.parse().ok().filter(|amount| (1..=AMOUNT_MAX).contains(amount))?;
        let amount = i64::try_from(amount).ok().filter(|amount| *amount >= self.least(offered))?;
        self.offer(amount)
    }
}

/// What this server offers.
#[derive(Clone)]
pub struct Offers {
    pub(super) networks: Arc<[PaidNetwork]>,
    pub(super) site: Site,
    pub(super) has_bazaar: bool,
}

impl Offers {
    /// The extensions of the offers for each request to a route, with the description of the route for `bazaar`.
    #[must_use]
    pub fn extensions(&self, bazaar: impl FnOnce() -> Option<Value>) -> Map<String, Value> {
        let bazaar = self.has_bazaar.then(bazaar).flatten().map(|description| (BAZAAR.to_owned(), description));
        [(PAYMENT_IDENTIFIER.to_owned(), payment_identifier())].into_iter().chain(bazaar).collect()
    }

    /// What a call of a tier takes from the credit, in each asset.
    pub fn prices(&self, tier: Tier) -> impl Iterator<Item = (&Asset, i64)> {
        self.networks.iter().map(move |network| (&network.prices.asset, network.prices.of(tier)))
    }

    /// PAYMENT-REQUIRED for a request, without extensions.
    ///   path    its path and query
    ///   method  the name of its method
    ///   least   the price of the call in each asset, if it is known and higher than that of the tier
    #[must_use]
    pub fn required(
        &self,
        offered: OfferedFor,
        path: &str,
        method: &str,
        least: &[i64],
        error: String,
    ) -> PaymentRequired {
        let amounts = self.networks.iter().enumerate().map(|(place, network)| {
            let least = least.get(place).copied().unwrap_or_default();
            (network, network.least(offered).max(least))
        });
        let offers = amounts.filter_map(|(network, amount)| network.offer(amount));
        let url = format!("{}{path}", self.site.url().trim_end_matches('/'));
        PaymentRequired {
            x402_version: VERSION,
            error: Some(error),
            resource: Resource {
                url,
                description: Some(method.to_owned()),
                mime_type: Some("application/json".to_owned()),
                service_name: Some("payerbase".to_owned()),
                tags: Vec::new(),
            },
            accepts: offers.map(|offer| offer.to_requirements()).collect(),
            extensions: Map::new(),
        }
    }
}
