//! Prices of calls.

use std::sync::Arc;

use super::operator::asset_name;
use crate::x402::Asset;

/// What a method costs: each tier has its price in each asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Nothing: the account, and what nobody can be asked to pay for.
    Free,
    /// A read.
    Read,
    /// A write.
    Write,
    /// A write or a search whose texts a model may embed.
    Ai,
}

impl Tier {
    /// Its name in the OpenAPI document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Read => "read",
            Self::Write => "write",
            Self::Ai => "ai",
        }
    }
}

/// The prices of calls in one asset, in its smallest unit.
#[derive(Clone, Debug)]
pub struct AssetPrices {
    /// The asset.
    pub asset: Asset,
    /// Price of a read.
    pub read: i64,
    /// Price of a write.
    pub write: i64,
    /// Price of a write or a search whose texts a model may embed.
    pub ai: i64,
}

impl AssetPrices {
    pub(crate) fn of(&self, tier: Tier) -> i64 {
        match tier {
            Tier::Free => 0,
            Tier::Read => self.read,
            Tier::Write => self.write,
            Tier::Ai => self.ai,
        }
    }
}

/// The prices of a server.
#[derive(Debug, Default)]
pub struct Prices {
    assets: Vec<AssetPrices>,
    single: Vec<(Tier, Arc<Price>)>,
}

/// The price of a call in each asset of the server: the caller pays in one of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Price {
    /// The assets, as the database names them.
    pub(crate) assets: Arc<[String]>,
    /// The amount in each asset.
    pub(crate) amounts: Box<[i64]>,
}

impl Price {
    /// The same price, which can be paid only in these assets: nobody has enough of the others.
    #[must_use]
    pub fn only_in(&self, assets: &[String]) -> Self {
        let amounts = self.assets.iter().zip(&self.amounts);
        let amounts = amounts.map(|(asset, amount)| if assets.contains(asset) { *amount } else { i64::MAX });
        Self { assets: Arc::clone(&self.assets), amounts: amounts.collect() }
    }
}

impl Prices {
    /// Prices in these assets. A caller who has credit in several pays in the first one. Without assets, calls are free.
    #[must_use]
    pub fn new(assets: Vec<AssetPrices>) -> Self {
        let names: Arc<[String]> = assets.iter().map(|prices| asset_name(&prices.asset)).collect();
        let price = |tier| {
            let amounts = assets.iter().map(|prices| prices.of(tier)).collect();
            (tier, Arc::new(Price { assets: Arc::clone(&names), amounts }))
        };
        let single = match assets.is_empty() {
            true => Vec::new(),
            false => [Tier::Read, Tier::Write, Tier::Ai].map(price).into(),
        };
        Self { assets, single }
    }

    /// Whether calls are free.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.single.is_empty()
    }

    /// The price of one call. `None`: it is free.
    #[must_use]
    pub fn of(&self, tier: Tier) -> Option<Arc<Price>> {
        self.single.iter().find(|(known, _)| *known == tier).map(|(_, price)| Arc::clone(price))
    }

    /// The price of several calls.
    #[must_use]
    pub fn sum(&self, tiers: impl Iterator<Item = Tier> + Clone) -> Option<Arc<Price>> {
        let (_, any) = self.single.first()?;
        let amounts: Box<[i64]> = self
            .assets
            .iter()
            .map(|prices| tiers.clone().map(|tier| prices.of(tier)).fold(0, i64::saturating_add))
            .collect();
        let is_free = amounts.iter().all(|amount| *amount == 0);
        (!is_free).then(|| Arc::new(Price { assets: Arc::clone(&any.assets), amounts }))
    }

    /// An asset in which calls can be paid, by its network and its id in any spelling.
    #[must_use]
    pub fn asset(&self, network: &str, id: &str) -> Option<&Asset> {
        let mut assets = self.assets.iter().map(|prices| &prices.asset);
        assets.find(|asset| asset.network().to_string() == network && asset.is(id))
    }

    /// The assets in which calls can be paid, as the database names them.
    pub(crate) fn assets(&self) -> Arc<[String]> {
        self.single.first().map_or_else(|| [].into(), |(_, price)| Arc::clone(&price.assets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x402::KNOWN_ASSETS;

    #[test]
    fn a_call_has_a_price_in_each_asset_and_a_transaction_the_sum() {
        let known = |at: usize| KNOWN_ASSETS[at].asset().unwrap();
        let prices = Prices::new(vec![
            AssetPrices { asset: known(0), read: 1, write: 10, ai: 100 },
            AssetPrices { asset: known(1), read: 2, write: 20, ai: i64::MAX },
        ]);
        assert_eq!(*prices.of(Tier::Write).unwrap().amounts, [10, 20]);
        assert!(prices.of(Tier::Free).is_none());
        let sum = |tiers: &[Tier]| prices.sum(tiers.iter().copied()).map(|price| price.amounts.to_vec());
        assert_eq!(sum(&[Tier::Write, Tier::Read, Tier::Free, Tier::Read]), Some(vec![12, 24]));
        assert_eq!(sum(&[Tier::Ai, Tier::Ai]), Some(vec![200, i64::MAX]));
        assert_eq!(sum(&[Tier::Free]), None);
        assert!(Prices::default().is_free() && Prices::default().sum([Tier::Ai].into_iter()).is_none());
    }
}
