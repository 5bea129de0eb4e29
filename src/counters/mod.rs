//! Counters: 64-bit signed integers with optional bounds, created by their first call.
//!
//! The methods are `increment`, `decrement`, `getCounter`, `resetCounter`, `listCounters` and `deleteCounter`; `rpc.sql`
//! says what they do. Limits: names of 1 to 256 bytes, values of 64 bits, pages of 1,000.

pub mod routes;
pub mod types;

use crate::auth::Scope;
use crate::page::Page;
use crate::problem::Code;
use crate::turn::{Method, Path, Spec};
use types::{
    AdjustedCounter, Counter, Decrement, DeleteCounter, GetCounter, Increment, ListCounters, Reset, ResetCounter,
};

/// The methods of counters.
pub const SPECS: &[Spec] =
    &[Increment::SPEC, Decrement::SPEC, GetCounter::SPEC, Reset::SPEC, ListCounters::SPEC, DeleteCounter::SPEC];

const fn write(name: &'static str, problems: &'static [Code]) -> Spec {
    Spec { name, path: Path::Write, scope: Some(Scope::CountersWrite), problems }
}

impl Method for Increment {
    type Output = AdjustedCounter;
    const SPEC: Spec = write("increment", &[Code::CounterOutOfBounds, Code::CounterOverflow]);
}

impl Method for Decrement {
    type Output = AdjustedCounter;
    const SPEC: Spec = write("decrement", &[Code::CounterOutOfBounds, Code::CounterOverflow]);
}

impl Method for GetCounter {
    type Output = Counter;
    const SPEC: Spec =
        Spec { name: "getCounter", path: Path::Read, scope: Some(Scope::CountersRead), problems: &[Code::NotFound] };
}

impl Method for Reset {
    type Output = ResetCounter;
    const SPEC: Spec = write("resetCounter", &[]);
}

impl Method for ListCounters {
    type Output = Page<Counter>;
    const SPEC: Spec =
        Spec { name: "listCounters", path: Path::SlowRead, scope: Some(Scope::CountersRead), problems: &[] };
}

impl Method for DeleteCounter {
    type Output = ();
    const SPEC: Spec = write("deleteCounter", &[Code::NotFound]);
}
