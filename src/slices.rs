//! All slices together: their methods, and the functions that `payerbase migrate` installs.

use std::sync::LazyLock;

use crate::call::{Entry, dispatch_sql};
use crate::db::schema::Schema;
use crate::{auth, call, counters, links, locks, me, memories, queues, sweeper, turn};

/// Every method that a payer can call.
#[must_use]
pub fn methods() -> &'static [Entry] {
    static METHODS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        [
            counters::methods::METHODS,
            links::methods::METHODS,
            locks::methods::METHODS,
            queues::methods::METHODS,
            memories::methods::METHODS,
            me::methods::METHODS,
        ]
        .concat()
    });
    &METHODS
}

/// All functions, in the order of their installation.
#[must_use]
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let dispatched = [methods(), links::methods::INTERNAL, sweeper::METHODS].concat();
        let mut schema = Schema::default()
            .with("payerbase_auth", auth::SQL, &[])
            .with("payerbase_slug", links::SLUG_SQL, &[])
            .with("payerbase_sweeper", sweeper::SQL, &[])
            .with("payerbase_search", memories::SEARCH_SQL, &[])
            .with("payerbase_rpc", &dispatch_sql(&dispatched), &[]);
        for room in [turn::SQL, call::SQL, counters::SQL, links::SQL, locks::SQL, queues::SQL, memories::SQL, me::SQL] {
            for sql in room {
                schema = schema.with("payerbase_rpc", sql, &[]);
            }
        }
        schema
    });
    &SCHEMA
}
