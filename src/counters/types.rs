//! Values and results of counters.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json::or_default;
use crate::name::{Name, addressable};
use crate::number::{int64_or, maybe_int64, wide};
use crate::time::Time;

/// A counter: a 64-bit signed integer with optional bounds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counter {
    /// Name of the counter.
    pub name: Name,
    /// Current value, a 64-bit signed integer. A JavaScript number is exact only up to 2^53: ask for strings with
    /// `Payerbase-Integers`.
    #[serde(serialize_with = "wide")]
    #[schema(example = 42)]
    pub value: i64,
    /// Lower bound of increments, decrements and resets; `null` if none.
    #[serde(serialize_with = "wide")]
    #[schema(required, example = 0)]
    pub min: Option<i64>,
    /// Upper bound of increments, decrements and resets; `null` if none.
    #[serde(serialize_with = "wide")]
    #[schema(required, example = json!(null))]
    pub max: Option<i64>,
    /// Time of the first write, which created the counter.
    pub created_at: Time,
    /// Time of the last write.
    pub updated_at: Time,
}

/// A counter after an increment or a decrement.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdjustedCounter {
    /// The counter.
    #[serde(flatten)]
    pub counter: Counter,
    /// Value before the call; 0 if the call created the counter.
    #[serde(serialize_with = "wide")]
    #[schema(example = 41)]
    pub previous_value: i64,
    /// Part of `amount` that took effect.
    #[serde(serialize_with = "wide")]
    #[schema(example = 1)]
    pub applied: i64,
    /// `true` if `min` or `max` limited the change; `applied` then differs from `amount`.
    #[schema(example = false)]
    pub capped: bool,
}

/// A counter after a reset.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetCounter {
    /// The counter.
    #[serde(flatten)]
    pub counter: Counter,
    /// Value before the call; 0 if the call created the counter.
    #[serde(serialize_with = "wide")]
    #[schema(example = 42)]
    pub previous_value: i64,
}

/// Effect of an amount that crosses a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", try_from = "String")]
pub enum OnBound {
    /// The counter stops at the bound. `applied` is the part of the amount that took effect.
    #[default]
    Saturate,
    /// Nothing changes, and the problem is `counter-out-of-bounds`.
    Reject,
}

impl TryFrom<String> for OnBound {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "saturate" => Ok(Self::Saturate),
            "reject" => Ok(Self::Reject),
            _ => Err("must be `saturate` or `reject`"),
        }
    }
}

/// A change of a counter, with new bounds if given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct Adjustment {
    /// Name of the counter.
    #[serde(deserialize_with = "addressable")]
    #[schema(ignore)]
    pub name: Name,
    /// Amount, a 64-bit signed integer; it may be negative. Default: 1.
    #[serde(default = "one", deserialize_with = "int64_or::<1, _>")]
    #[schema(default = 1, example = 1)]
    pub amount: i64,
    /// New lower bound, a 64-bit signed integer, at most the upper bound. It holds for later calls too. `null` removes
    /// the bound, absent keeps it.
    #[serde(default, deserialize_with = "maybe_int64", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, example = 0)]
    pub min: Option<Option<i64>>,
    /// New upper bound, a 64-bit signed integer, at least the lower bound. It holds for later calls too. `null` removes
    /// the bound, absent keeps it.
    #[serde(default, deserialize_with = "maybe_int64", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, example = json!(null))]
    pub max: Option<Option<i64>>,
    /// Effect of an amount that crosses a bound: `saturate` stops the counter at the bound, `reject` changes nothing
    /// and fails with `counter-out-of-bounds`. Default: `saturate`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(default = "saturate")]
    pub on_bound: OnBound,
}

const fn one() -> i64 {
    1
}
