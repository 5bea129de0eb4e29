//! Settings of payments.

use std::fmt;
use std::sync::Arc;

use crate::chain::{Chain, ChainError};
use crate::facilitator::Facilitator;
use crate::pay::{AssetPrices, Prices, asset_name};
use crate::payer::Payer;
use crate::wallet::Network;

/// A network on which callers can pay.
pub struct PaidNetwork {
    /// The asset, and what calls cost in it.
    pub prices: AssetPrices,
    /// The recipient.
    pub pay_to: Payer,
    /// The least amount of one payment, in the smallest unit of the asset.
    pub minimum: i64,
    /// The facilitator that settles payments.
    pub facilitator: Facilitator,
    /// The network, which knows whether a payment was settled.
    pub chain: Chain,
}

/// How calls can be paid. Without networks, calls are free.
#[derive(Clone, Default)]
pub struct PaymentSettings {
    /// The networks, the preferred one first.
    pub networks: Arc<[PaidNetwork]>,
    /// Whether offers describe their routes, for the indexes of facilitators (`bazaar`).
    pub has_bazaar: bool,
}

/// The assets and their networks. It has no secret.
impl fmt::Display for PaymentSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let assets: Vec<String> = self.networks.iter().map(|network| asset_name(&network.prices.asset)).collect();
        if assets.is_empty() { f.write_str("none") } else { f.write_str(&assets.join(",")) }
    }
}

/// What callers are offered cannot be paid.
#[derive(Debug, thiserror::Error)]
pub enum CannotBePaid {
    /// The facilitator does not settle payments on the network.
    #[error("the facilitator for {0} does not settle exact payments there with x402, version 2")]
    NotSupported(Network),
    /// The URL belongs to another network.
    #[error("the RPC URL for {network}: {cause}")]
    OtherNetwork {
        /// The network of the settings.
        network: Network,
        /// What the URL answered.
        cause: String,
    },
}

impl PaymentSettings {
    /// Asks each facilitator and each network whether payments can be made as the settings say. One that does not answer is
    /// logged: it may answer later.
    ///
    /// # Errors
    /// [`CannotBePaid`]
    pub async fn check(&self) -> Result<(), CannotBePaid> {
        for paid in self.networks.iter() {
            let network = paid.network();
            match paid.facilitator.supported().await {
                Ok(supported) if supported.has(network) => {}
                Ok(_others) => return Err(CannotBePaid::NotSupported(network)),
                Err(error) => tracing::warn!(%network, %error, "a facilitator does not say what it settles"),
            }
            match paid.chain.check_chain_id().await {
                Ok(()) => {}
                Err(error @ ChainError::OtherNetwork { .. }) => {
                    return Err(CannotBePaid::OtherNetwork { network, cause: error.to_string() });
                }
                Err(error) => tracing::warn!(%network, %error, "a network does not answer"),
            }
        }
        Ok(())
    }

    /// What calls cost.
    #[must_use]
    pub fn prices(&self) -> Prices {
        Prices::new(self.networks.iter().map(|network| network.prices.clone()).collect())
    }
}
