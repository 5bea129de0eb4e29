//! Broken functions of SQL, which the checker must find.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

/// A change of installed functions.
pub struct Mutant {
    pub name: &'static str,
    /// The functions, as a pattern of `like`.
    functions: &'static str,
    from: &'static str,
    to: &'static str,
}

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "turns do not take the lock of their payer",
        functions: "rpc.%",
        from: "pg_try_advisory_xact_lock(",
        to: "rpc.takes_no_lock(",
    },
    Mutant {
        name: "some increments are lost",
        functions: "rpc.add_to_counter",
        from: "set value = value + v_delta",
        to: "set value = value + case when random() < 0.2 then 0 else v_delta end",
    },
    Mutant {
        name: "the increments of a run count one call less",
        functions: "rpc.add_to_counters",
        from: "set value = value + v_totals[array_position(v_names, name::text)]",
        to: "set value = value + v_totals[array_position(v_names, name::text)] - case when cardinality(v_deltas) > 1 then 1 else 0 end",
    },
    Mutant {
        name: "a counter may leave its bounds",
        functions: "rpc.move_within_bounds",
        from: "v_sum < v_min and p_delta < 0",
        to: "false",
    },
    Mutant {
        name: "an increment is not recorded under its key",
        functions: "rpc.write_with_conditions",
        from: "if v_key is not null then\n    perform",
        to: "if v_key is not null and p_method <> 'increment' then\n    perform",
    },
    Mutant {
        name: "a transaction keeps the calls before the one that was refused",
        functions: "rpc.transact",
        from: "raise exception using errcode = 'PB001', message = 'rolled back';",
        to: "exit;",
    },
    Mutant {
        name: "a fence does not rise",
        functions: "rpc.acquire_lock",
        from: "v_lock.fence + 1",
        to: "v_lock.fence",
    },
    Mutant {
        name: "a lock is given away before its lease ends",
        functions: "rpc.acquire_lock",
        from: "v_lock.expires_at > v_now",
        to: "v_lock.expires_at > v_now + interval '300 milliseconds'",
    },
    Mutant {
        name: "a released lock keeps its lease",
        functions: "rpc.check_guard",
        from: "token_sha256 is not null and expires_at > v_now",
        to: "true",
    },
    Mutant {
        name: "a job is popped again before its lease ends",
        functions: "rpc.apply_due_jobs",
        from: "state in ('delayed', 'running') and due_at <= p_now",
        to: "state in ('delayed', 'running') and due_at <= p_now + interval '500 milliseconds'",
    },
    Mutant {
        name: "any lease completes a job",
        functions: "rpc.complete_job",
        from: "lease = case when v_any then lease else v_lease end",
        to: "lease is not null",
    },
    Mutant {
        name: "two jobs of a group run at once",
        functions: "rpc.advance_group",
        from: "state = 'running'",
        to: "state = 'none'",
    },
    Mutant {
        name: "a job that comes back is not found",
        functions: "rpc.open_rank",
        from: "p_queue.heads[v_at] > p_place",
        to: "false",
    },
    Mutant {
        name: "a key keeps no second job out",
        functions: "rpc.push",
        from: "\"dedupKey\" as dedup_key",
        to: "null::text as dedup_key",
    },
    Mutant {
        name: "a link has more clicks than its maximum",
        functions: "rpc.click",
        from: "clicks < max_clicks",
        to: "clicks <= max_clicks",
    },
    Mutant { name: "two payers hold one slug", functions: "slug.hold", from: "held := is_new;", to: "held := true;" },
    Mutant {
        name: "a memory that is replaced keeps its words",
        functions: "rpc.put_memory",
        from: "words = excluded.words,",
        to: "",
    },
];

/// Those that calls of SQL find.
pub const MUTANTS_OF_SQL: &[Mutant] = &[
    Mutant {
        name: "a write of SQL replaces one that it has not seen",
        functions: "rpc.commit_sql",
        from: "<> v_base then",
        to: "<> v_base and random() < 0.8 then",
    },
    Mutant {
        name: "a write of SQL is not recorded under its key",
        functions: "rpc.write_with_conditions",
        from: "if v_key is not null then\n    perform",
        to: "if v_key is not null and p_method <> 'executeSql' then\n    perform",
    },
    Mutant {
        name: "servers do not learn which pages have changed",
        functions: "rpc.sql_head",
        from: "p.version > d.version - array_position(d.ancestors, p_since)",
        to: "p.version > d.version - array_position(d.ancestors, p_since) and random() < 0.8",
    },
];

/// A crash of PostgreSQL loses writes that were answered.
pub const FORGETFUL: Mutant = Mutant {
    name: "commits do not wait for the disk",
    functions: "rpc.%",
    from: "v_started timestamptz := clock_timestamp();",
    to: "v_started timestamptz := clock_timestamp(); v_commits text := set_config('synchronous_commit', 'off', true);",
};

/// Replaces the functions of a mutant. Returns the statements that replace them back.
pub async fn install(admin: &mut PgConnection, mutant: &Mutant) -> Vec<String> {
    let none = "create or replace function rpc.takes_no_lock(bigint) returns boolean language sql as 'select true'";
    admin.execute(none).await.unwrap();
    let functions = "select pg_get_functiondef(oid) from pg_proc
        where pronamespace::regnamespace || '.' || proname like $1 and position($2 in prosrc) > 0";
    let functions = sqlx::query_scalar(functions).bind(mutant.functions).bind(mutant.from);
    let functions: Vec<String> = functions.fetch_all(&mut *admin).await.unwrap();
    assert!(!functions.is_empty(), "{}: {} has no text {}", mutant.name, mutant.functions, mutant.from);
    for function in &functions {
        let broken = function.replace(mutant.from, mutant.to);
        assert_ne!(*function, broken);
        admin.execute(AssertSqlSafe(broken)).await.unwrap();
    }
    functions
}
