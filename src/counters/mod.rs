//! Counters: 64-bit signed integers with optional bounds, created by their first call.
//!
//! The methods are `increment`, `decrement`, `getCounter`, `resetCounter`, `listCounters` and `deleteCounter`; `rpc.sql`
//! says what they do. Limits: names of 1 to 256 bytes, values of 64 bits, pages of 1,000.

pub mod routes;
pub mod types;

use crate::auth::Scope;
use crate::page::Page;
use crate::problem::Code;
use crate::turn::{Entry, Method, Path, Spec};
use types::{
    AdjustedCounter, Counter, Decrement, DeleteCounter, GetCounter, Increment, ListCounters, Reset, ResetCounter,
};

/// The methods of counters.
pub const METHODS: &[Entry] = &[
    Entry::of::<Increment>(),
    Entry::of::<Decrement>(),
    Entry::of::<GetCounter>(),
    Entry::of::<Reset>(),
    Entry::of::<ListCounters>(),
    Entry::of::<DeleteCounter>(),
];

/// What a transaction may take from an earlier result.
const ADJUSTMENT_REFS: &[(&str, &str)] = &[("name", "\"a\""), ("amount", "0"), ("min", "null"), ("max", "null")];

const fn write(name: &'static str, problems: &'static [Code]) -> Spec {
    Spec { name, path: Path::Write, scope: Some(Scope::CountersWrite), problems }
}

impl Method for Increment {
    type Output = AdjustedCounter;
    const SPEC: Spec = write("increment", &[Code::CounterOutOfBounds, Code::CounterOverflow]);
    const REFS: &'static [(&'static str, &'static str)] = ADJUSTMENT_REFS;
}

impl Method for Decrement {
    type Output = AdjustedCounter;
    const SPEC: Spec = write("decrement", &[Code::CounterOutOfBounds, Code::CounterOverflow]);
    const REFS: &'static [(&'static str, &'static str)] = ADJUSTMENT_REFS;
}

impl Method for GetCounter {
    type Output = Counter;
    const SPEC: Spec =
        Spec { name: "getCounter", path: Path::Read, scope: Some(Scope::CountersRead), problems: &[Code::NotFound] };
    const REFS: &'static [(&'static str, &'static str)] = &[("name", "\"a\"")];
}

impl Method for Reset {
    type Output = ResetCounter;
    const SPEC: Spec = write("resetCounter", &[]);
    const REFS: &'static [(&'static str, &'static str)] = &[("name", "\"a\""), ("value", "0")];
}

impl Method for ListCounters {
    type Output = Page<Counter>;
    const SPEC: Spec =
        Spec { name: "listCounters", path: Path::SlowRead, scope: Some(Scope::CountersRead), problems: &[] };
}

impl Method for DeleteCounter {
    type Output = ();
    const SPEC: Spec = write("deleteCounter", &[Code::NotFound]);
    const REFS: &'static [(&'static str, &'static str)] = &[("name", "\"a\"")];
}
