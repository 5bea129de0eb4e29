//! Methods of counters, with their parameters.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::types::{AdjustedCounter, Adjustment, Counter, ResetCounter};
use crate::auth::Scope;
use crate::call::{Entry, Ref, Spec, method};
use crate::name::{Name, addressable};
use crate::number::int64_or;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Code;
use crate::quotas::Primitive;

/// All methods of counters.
pub const METHODS: &[Entry] = &[
    Entry::of::<Increment>(),
    Entry::of::<Decrement>(),
    Entry::of::<Reset>(),
    Entry::of::<ListCounters>(),
    Entry::of::<GetCounter>(),
    Entry::of::<DeleteCounter>(),
];

const NAME: Ref = ("name", "\"a\"");
const ADJUSTMENT: &[Ref] = &[NAME, ("amount", "0"), ("min", "null"), ("max", "null")];
const ADJUSTMENT_PROBLEMS: &[Code] = &[Code::CounterOutOfBounds, Code::CounterOverflow, Code::QuotaExceeded];

const fn write(name: &'static str) -> Spec {
    Spec::write(name).scope(Scope::CountersWrite).names(&["name"]).primitive(Primitive::Counters)
}

/// Adds to a counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Increment(pub Adjustment);

method!(Increment => AdjustedCounter, write("increment").with_run().problems(ADJUSTMENT_PROBLEMS).refs(ADJUSTMENT));

/// Subtracts from a counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Decrement(pub Adjustment);

method!(Decrement => AdjustedCounter, write("decrement").with_run().problems(ADJUSTMENT_PROBLEMS).refs(ADJUSTMENT));

/// Sets a counter to a value within its bounds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct Reset {
    /// Name of the counter.
    #[serde(deserialize_with = "addressable")]
    #[schema(ignore)]
    pub name: Name,
    /// New value, a 64-bit signed integer. Default: 0.
    #[serde(default, deserialize_with = "int64_or::<0, _>")]
    #[schema(default = 0, example = 0)]
    pub value: i64,
}

method!(Reset => ResetCounter, write("resetCounter").problems(&[Code::QuotaExceeded]).refs(&[NAME, ("value", "0")]));

/// Gets a counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct GetCounter {
    /// Name of the counter.
    pub name: Name,
}

method!(
    GetCounter => Counter,
    Spec::read("getCounter").scope(Scope::CountersRead).names(&["name"]).problems(&[Code::NotFound]).refs(&[NAME])
);

/// Deletes a counter with its bounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct DeleteCounter {
    /// Name of the counter.
    pub name: Name,
}

method!(DeleteCounter => (), write("deleteCounter").problems(&[Code::NotFound]).refs(&[NAME]));

/// Lists counters, sorted by name.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct ListCounters {
    /// Prefix of the names to list, 1 to 256 bytes of UTF-8. Default: all names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Name>, example = "vis")]
    pub prefix: Option<Name>,
    /// Maximum number of counters in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Default: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<Cursor>,
}

method!(ListCounters => Page<Counter>, Spec::slow_read("listCounters").scope(Scope::CountersRead).names(&["prefix"]));
