//! Allowances: how many calls a token makes, and how much it spends, at most.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json::read_list;
use crate::number::Bounded;

/// Assets in an allowance.
const ASSETS_MAX: usize = 8;

/// Limits on the number of calls of a token and on the amounts that it spends. The tokens that it makes share the limits.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Allowance {
    /// Number of calls, 1 to 1,000,000,000. A transaction counts as its calls. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1000000000, example = 1000)]
    pub calls: Option<Bounded<1, 1_000_000_000>>,
    /// Maximum amounts that it spends from the credit of the payer, one for each of 1 to 8 assets. It cannot spend another asset.
    /// Absent: no limit.
    #[serde(default, deserialize_with = "spend", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<SpendMax>>, min_items = 1, max_items = 8)]
    pub spend: Option<Vec<SpendMax>>,
}

/// Maximum amount of an asset.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SpendMax {
    /// Network of the asset, by its CAIP-2 id.
    #[schema(example = "eip155:8453")]
    pub network: String,
    /// Id of the asset: the address of a token, or `STX`. The server must take payments in it.
    #[schema(example = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")]
    pub asset: String,
    /// Amount in the smallest unit of the asset, as digits: 1,000,000 is one USDC.
    #[schema(pattern = "^[1-9][0-9]*$", example = "1000000")]
    pub amount: String,
}

impl SpendMax {
    /// The amount. `None` if the text is not a number from 1 to 2^63 - 1.
    #[must_use]
    pub fn units(&self) -> Option<i64> {
        let is_digits = self.amount.bytes().all(|byte| byte.is_ascii_digit()) && !self.amount.starts_with('0');
        self.amount.parse().ok().filter(|_| is_digits)
    }
}

fn spend<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<SpendMax>>, D::Error> {
    struct List(Vec<SpendMax>);

    impl<'de> Deserialize<'de> for List {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let count = format!("must be 1 to {ASSETS_MAX} assets");
            let list = read_list(deserializer, ASSETS_MAX, &count, |_: &SpendMax| true)?;
            if list.is_empty() { Err(D::Error::custom(count)) } else { Ok(Self(list)) }
        }
    }

    Ok(Option::<List>::deserialize(deserializer)?.map(|list| list.0))
}

/// A remaining allowance.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AllowanceLeft {
    /// Remaining calls; `null`: no limit.
    #[schema(required)]
    pub calls: Option<CallsLeft>,
    /// Remaining amounts; `null`: no limit.
    #[schema(required)]
    pub spend: Option<Vec<SpendLeft>>,
}

/// Remaining calls of an allowance.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallsLeft {
    /// Number of calls of the allowance.
    #[schema(example = 1000)]
    pub total: i64,
    /// Number of remaining calls.
    #[schema(example = 987)]
    pub remaining: i64,
}

/// Remaining amount of an asset of an allowance.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SpendLeft {
    /// Network of the asset, by its CAIP-2 id.
    #[schema(example = "eip155:8453")]
    pub network: String,
    /// Id of the asset.
    #[schema(example = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")]
    pub asset: String,
    /// Amount of the allowance, in the smallest unit of the asset.
    #[schema(example = "1000000")]
    pub total: String,
    /// Remaining amount, in the smallest unit of the asset.
    #[schema(example = "987000")]
    pub remaining: String,
}

/// The allowance of a token that was looked up.
#[derive(Debug)]
pub struct AllowanceOf {
    /// Its id.
    pub id: String,
    /// The assets that may be spent, as the database names them. `None`: any.
    pub assets: Option<Vec<String>>,
}
