//! All slices together: their methods, and the functions that `payerbase migrate` installs.

use std::sync::LazyLock;

use crate::call::{Entry, dispatch_sql};
use crate::db::schema::Schema;
use crate::limits::Named;
use crate::{
    auth, call, counters, credit, export, links, locks, me, memories, name, pay, payments, queues, quotas, sql, sqlite,
    sweeper, time, tokens, turn,
};

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
            export::methods::METHODS,
            tokens::methods::METHODS,
            credit::methods::METHODS,
            sql::methods::METHODS,
        ]
        .concat()
    });
    &METHODS
}

/// All limits, without the rooms.
#[must_use]
pub fn limits() -> Vec<Named> {
    limits_by_room().into_iter().flat_map(|(_, limits)| limits).collect()
}

fn limits_by_room() -> Vec<(&'static str, Vec<Named>)> {
    vec![
        ("calls", call::limits::limits()),
        ("links", links::limits::limits()),
        ("locks", locks::limits::limits()),
        ("queues", queues::limits::limits()),
        ("memories", memories::limits::limits()),
        ("sql", sqlite::limits::limits()),
        ("account", me::limits::limits()),
        ("tokens", auth::limits::limits()),
        ("credit", pay::limits::limits()),
        ("payments", payments::limits::limits()),
        ("quotas", quotas::limits::limits()),
        ("sweeper", sweeper::limits::limits()),
    ]
}

/// `docs/LIMITS.md`.
#[must_use]
pub fn limits_markdown() -> String {
    let mut page = String::from(
        "# Limits\n\nLimits with a name, which Rust, SQL and these docs share. \
         The OpenAPI document has the limits of each parameter.\n",
    );
    for (room, limits) in limits_by_room() {
        page += &format!("\n## {room}\n\n| limit | value | meaning |\n|---|---|---|\n");
        for Named { name, about, words, .. } in limits {
            page += &format!("| `{name}` | {words} | {} |\n", about.trim());
        }
    }
    page
}

/// All functions, in the order of their installation.
#[must_use]
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let dispatched = [methods(), links::methods::INTERNAL, sweeper::METHODS].concat();
        let (links, locks, quotas) = (links::limits::limits(), locks::limits::limits(), quotas::limits::limits());
        let memory_limits =
            [&memories::limits::limits()[..], &memories::repeated(), &[name::prefix_end(), time::last_time()]].concat();
        let sweeper_limits = [
            &sweeper::limits::limits()[..],
            &links,
            &locks,
            &call::limits::limits(),
            &pay::limits::limits(),
            &quotas,
            &sqlite::limits::limits(),
        ]
        .concat();
        let rpc = [
            (turn::SQL, Vec::new()),
            (call::SQL, call::limits::limits()),
            (quotas::SQL, quotas.clone()),
            (pay::SQL, Vec::new()),
            (payments::SQL, payments::limits::limits()),
            (counters::SQL, vec![name::prefix_end()]),
            (links::SQL, [&links[..], &[time::last_time()]].concat()),
            (locks::SQL, locks),
            (queues::SQL, [&queues::limits::limits()[..], &quotas, &[time::last_time()]].concat()),
            (memories::SQL, memory_limits),
            (me::SQL, me::limits::limits()),
            (export::SQL, me::limits::limits()),
            (tokens::SQL, Vec::new()),
            (sql::SQL, sqlite::limits::limits()),
        ];
        let auth_limits = auth::limits::limits();
        let of_auth =
            auth::SQL.iter().fold(Schema::default(), |schema, sql| schema.with("payerbase_auth", sql, &auth_limits));
        let schema = of_auth
            .with("payerbase_slug", links::SLUG_SQL, &links)
            .with("payerbase_sweeper", sweeper::SQL, &sweeper_limits)
            .with("payerbase_sweeper", pay::CHECK_SQL, &[])
            .with("payerbase_search", memories::SEARCH_SQL, &[])
            .with("payerbase_rpc", &dispatch_sql(&dispatched), &[]);
        let texts = rpc.iter().flat_map(|(texts, limits)| texts.iter().map(move |sql| (sql, limits)));
        texts.fold(schema, |schema, (sql, limits)| schema.with("payerbase_rpc", sql, limits))
    });
    &SCHEMA
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Request, Tenant};
    use crate::counters::methods::Increment;
    use crate::links::methods::FollowLink;
    use crate::queues::push::PushJob;

    /// actix moves the future of a request several times: one of 15 KB makes a call a fifth dearer.
    #[test]
    fn the_futures_of_calls_are_small() {
        fn bytes<M, F: Future>(_: impl FnOnce(&'static Tenant, Request<M>) -> F) -> usize {
            size_of::<F>()
        }
        for bytes in [
            bytes(|tenant, request: Request<Increment>| tenant.call(request)),
            bytes(|tenant, request: Request<FollowLink>| tenant.call(request)),
            bytes(|tenant, request: Request<PushJob>| tenant.call(request)),
        ] {
            assert!(bytes <= 4 << 10, "{bytes}");
        }
    }

    #[test]
    fn every_limit_placeholder_in_the_sql_is_replaced() {
        for (_, sql) in schema().functions() {
            let left = sql.find("{{").map(|at| &sql[at..(at + 60).min(sql.len())]);
            assert_eq!(left, None);
        }
    }

    #[test]
    fn every_limit_has_a_unique_name() {
        let mut names: Vec<String> = limits().into_iter().map(|limit| limit.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_method_of_a_primitive_says_which_names_it_uses() {
        let primitives = ["counters:", "locks:", "queues:", "memories:"];
        let has_names =
            |scope: crate::auth::Scope| primitives.iter().any(|primitive| scope.as_str().starts_with(primitive));
        let methods = methods();
        let of_primitives = methods.iter().filter(|method| method.spec.scope.is_some_and(has_names));
        let without: Vec<&str> =
            of_primitives.clone().filter(|method| method.spec.names.is_none()).map(|method| method.spec.name).collect();
        // They use names that the caller does not send, so a token with a prefix cannot call them. The list may only shrink.
        assert_eq!(without, ["listLocks", "getJob", "cancelJob", "listQueues"]);
        let by_lease: Vec<&str> =
            of_primitives.filter(|method| method.spec.names == Some(&[])).map(|method| method.spec.name).collect();
        assert_eq!(by_lease, ["extendJob", "completeJob", "failJob"]);
    }
}
