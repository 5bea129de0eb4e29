//! Allowances: what a token may do in all.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json::read_list;
use crate::number::Bounded;

/// Assets in an allowance.
const ASSETS_MAX: usize = 8;

/// What a token may do in all. Tokens that it makes share it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Allowance {
    /// Number of calls, 1 to 1,000,000,000. A transaction counts as its calls. Absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1000000000, example = 1000)]
    pub calls: Option<Bounded<1, 1_000_000_000>>,
    /// What it may spend of the credit of the payer, 1 to 8 assets. It spends no other asset. Absent: any amount.
    #[serde(default, deserialize_with = "spend", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<SpendMax>>, min_items = 1, max_items = 8)]
    pub spend: Option<Vec<SpendMax>>,
}

/// What a token may spend of an asset.
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
    /// The amount as a number. `None` if it is none.
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

/// What is left of an allowance.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AllowanceLeft {
    /// The calls; `null`: any number.
    #[schema(required)]
    pub calls: Option<CallsLeft>,
    /// The assets; `null`: any amount.
    #[schema(required)]
    pub spend: Option<Vec<SpendLeft>>,
}

/// What is left of the calls of an allowance.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallsLeft {
    /// Number of calls of the allowance.
    #[schema(example = 1000)]
    pub total: i64,
    /// Number of calls that are left.
    #[schema(example = 987)]
    pub remaining: i64,
}

/// What is left of an asset of an allowance.
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
    /// What is left, in the smallest unit of the asset.
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
