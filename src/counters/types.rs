//! Values and results of counters.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::name::Name;
use crate::number::{int64, maybe_int64};
use crate::time::Time;

/// A counter: a 64-bit signed integer with optional bounds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counter {
    /// What the payer calls it.
    pub name: Name,
    /// What it stands at. An integer of 64 bits: parse it as one where a number of the language holds less (2^53 in
    /// JavaScript).
    #[schema(example = 42)]
    pub value: i64,
    /// No increment or decrement goes below it.
    #[schema(required, example = 0)]
    pub min: Option<i64>,
    /// No increment or decrement goes above it.
    #[schema(required, example = json!(null))]
    pub max: Option<i64>,
    /// When its first call created it.
    pub created_at: Time,
    /// When it was last written.
    pub updated_at: Time,
}

/// A counter after an increment or a decrement.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdjustedCounter {
    /// The counter.
    #[serde(flatten)]
    pub counter: Counter,
    /// What it stood at before; 0 if this call created it.
    #[schema(example = 41)]
    pub previous_value: i64,
    /// How much of `amount` took effect.
    #[schema(example = 1)]
    pub applied: i64,
    /// Whether a bound kept a part of `amount` from taking effect.
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
    /// What it stood at before; 0 if this call created it.
    #[schema(example = 42)]
    pub previous_value: i64,
}

/// What happens to an amount that a bound stands in the way of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", try_from = "String")]
pub enum OnBound {
    /// The counter stops at the bound, and `applied` says how far it came.
    #[default]
    Saturate,
    /// Nothing changes, and the answer is the problem `counter-out-of-bounds`.
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

/// How far a counter is to move, and between which bounds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Adjustment {
    /// The counter.
    #[schema(ignore)]
    pub name: Name,
    /// How far: an integer of 64 bits.
    #[serde(default = "one", deserialize_with = "int64")]
    #[schema(default = 1, example = 1)]
    pub amount: i64,
    /// A new lower bound, kept for later calls; `null` clears it, absent keeps it.
    #[serde(default, deserialize_with = "maybe_int64", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, example = 0)]
    pub min: Option<Option<i64>>,
    /// A new upper bound, kept for later calls; `null` clears it, absent keeps it.
    #[serde(default, deserialize_with = "maybe_int64", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, example = json!(null))]
    pub max: Option<Option<i64>>,
    /// What a bound does.
    #[serde(default)]
    #[schema(default = "saturate")]
    pub on_bound: OnBound,
}

const fn one() -> i64 {
    1
}
