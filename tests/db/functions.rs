//! Checks of the SQL functions: permitted callers, and rules that a cluster needs.

use sqlx::Row as _;

use crate::database::TestDatabase;

/// The entry functions, which the server may call. They call all others.
const ENTRIES: &[&str] = &[
    "auth.revoked_lately",
    "auth.sign_in",
    "auth.token_by_id",
    "auth.tokens_by_id",
    "auth.tokens_granted",
    "auth.tokens_with_allowances",
    "auth.tokens_with_limits",
    "rpc.debit_reads",
    "rpc.read",
    "rpc.read_batch",
    "rpc.slugs_to_erase",
    "rpc.sql_head",
    "rpc.sql_pages",
    "rpc.sql_stage",
    "rpc.sql_tables",
    "rpc.sql_unstage",
    "rpc.sql_whole",
    "rpc.turn",
    "rpc.write_batch",
    "slug.free",
    "slug.hold",
    "slug.owner",
    "slug.owners",
    "slug.release",
    "slug.renew",
    "slug.renew_all",
    "slug.reserve",
    "sweep.backlog",
    "sweep.credit",
    "sweep.full_payers",
    "sweep.graphs",
    "sweep.idempotency",
    "sweep.jobs",
    "sweep.lead",
    "sweep.links",
    "sweep.locks",
    "sweep.memories",
    "sweep.payments",
    "sweep.queues",
    "sweep.rewording",
    "sweep.slugs",
    "sweep.sql",
    "sweep.unknown_payments",
    "sweep.usage",
    "tenant.challenge_key",
    "tenant.routes",
];

/// Words that may precede a parenthesis in a statement that writes: keywords and immutable functions, so that a cluster
/// can forward the statement.
const ALLOWED_IN_WRITES: &[&str] = &[
    "coalesce",
    "greatest",
    "least",
    "nullif",
    "values",
    "case",
    "in",
    "and",
    "any",
    "exists",
    "conflict",
    "where",
    "sum",
    "kinds",
    "join",
    // Immutable, over arrays that the function has computed: one statement writes many rows.
    "unnest",
    "array_position",
];

/// Functions whose statements may omit the payer, by prefix, each with its reason.
const WITHOUT_PAYER: &[(&str, &str)] = &[
    ("auth.token", "tokens are looked up before the payer is known"),
    ("auth.revoke_token", "the operator revokes any token by its id"),
    ("auth.revoked_lately", "servers ask for tokens of all payers"),
    ("auth.list_tokens", "the operator lists tokens of all payers"),
    ("slug.", "slugs are the one namespace that payers share"),
    ("sweep.", "finds the payers with due rows, in columns that the sweeper may read"),
];

/// Functions with a subtransaction, each with its reason.
const WITH_SUBTRANSACTION: &[(&str, &str)] = &[("rpc.transact", "rolling back all calls needs one")];

struct Function {
    name: String,
    owner: String,
    is_definer: bool,
    is_volatile: bool,
    settings: String,
    body: String,
    callers: Vec<String>,
}

async fn functions() -> Vec<Function> {
    let mut admin = TestDatabase::shared().await.admin().await;
    let rows = sqlx::query(
        "select p.pronamespace::regnamespace || '.' || p.proname as name, p.proowner::regrole::text as owner, p.prosecdef,
            p.provolatile = 'v' as is_volatile,
            coalesce(array_to_string(p.proconfig, ';'), '') as settings, p.prosrc,
            array(select coalesce(nullif(a.grantee, 0)::regrole::text, 'public')
              from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee <> p.proowner) as callers
          from pg_proc p
          where p.pronamespace ::regnamespace::text in ('rpc', 'auth', 'slug', 'sweep', 'search', 'tenant')
          order by (p.pronamespace::regnamespace || '.' || p.proname) collate \"C\"",
    );
    let rows = rows.fetch_all(&mut admin).await.unwrap();
    let functions: Vec<Function> = rows
        .iter()
        .map(|row| Function {
            name: row.get("name"),
            owner: row.get("owner"),
            is_definer: row.get("prosecdef"),
            is_volatile: row.get("is_volatile"),
            settings: row.get("settings"),
            body: without_comments(row.get("prosrc")),
            callers: row.get("callers"),
        })
        .collect();
    assert!(functions.len() > 10, "the query found functions");
    functions
}

fn without_comments(body: &str) -> String {
    let lines = body.lines().map(|line| line.split("--").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_server_may_call_only_the_entry_functions() {
    let functions = functions().await;
    let of_server = functions.iter().filter(|function| function.callers.iter().any(|caller| caller == "payerbase_app"));
    assert_eq!(of_server.map(|function| function.name.as_str()).collect::<Vec<_>>(), ENTRIES);
    for function in &functions {
        assert!(!function.callers.iter().any(|caller| caller == "public"), "{} is public", function.name);
    }
}

#[tokio::test]
async fn security_definer_functions_pin_their_search_path() {
    for function in functions().await {
        let schema = function.name.split('.').next().unwrap_or_default();
        let owners: &[&str] = match schema {
            "tenant" => &["payerbase_owner", "payerbase_rpc"],
            "sweep" => &["payerbase_sweeper"],
            schema => &[&format!("payerbase_{schema}")],
        };
        assert!(owners.contains(&function.owner.as_str()), "{} belongs to {}", function.name, function.owner);
        if function.is_definer {
            let first = function.settings.split(';').next();
            assert_eq!(first, Some("search_path=pg_catalog, pg_temp"), "{}", function.name);
        }
        if ENTRIES.contains(&function.name.as_str()) {
            assert!(function.is_definer, "{} is an entry", function.name);
        }
    }
}

#[tokio::test]
async fn functions_use_no_dynamic_sql() {
    for function in functions().await {
        for word in function.body.split(|c: char| !c.is_alphanumeric() && c != '_') {
            assert!(!word.eq_ignore_ascii_case("execute"), "{} builds SQL from text", function.name);
            assert!(!word.eq_ignore_ascii_case("merge"), "{}: a cluster refuses merge", function.name);
        }
        let body = function.body.split_whitespace().collect::<Vec<_>>().join(" ");
        let excepted = WITH_SUBTRANSACTION.iter().any(|(name, _)| function.name == *name);
        assert_eq!(
            body.contains("exception when"),
            excepted,
            "{}: an exception block is a subtransaction",
            function.name
        );
    }
}

/// The statements of a body that read or write tables.
fn statements(body: &str) -> Vec<String> {
    let starts = ["select", "insert", "update", "delete"];
    let cut = body.split(';').filter_map(|statement| {
        // Drop the keywords before the statement: begin, then, else, loop.
        let words: Vec<&str> = statement.split_whitespace().collect();
        let at = words.iter().position(|word| starts.contains(word))?;
        Some(words[at..].join(" "))
    });
    cut.filter(|statement| tables(statement) > 0).collect()
}

/// Number of tables that a statement names.
fn tables(statement: &str) -> usize {
    let words: Vec<&str> = statement.split(' ').collect();
    let named = words.windows(2).filter(|pair| {
        ["from", "join", "into", "update"].contains(&pair[0])
            && (pair[1].starts_with("tenant.") || pair[1].starts_with("auth."))
    });
    named.count()
}

#[tokio::test]
async fn every_statement_names_the_payer_for_every_table() {
    let mut seen = 0;
    for function in functions().await {
        if WITHOUT_PAYER.iter().any(|(prefix, _)| function.name.starts_with(prefix)) {
            continue;
        }
        // The payer of the turn.
        let of_turn = "v_payer text := tenant.current_payer();";
        let body = match function.body.contains(of_turn) {
            true => function.body.replace("v_payer", "p_payer"),
            false => function.body,
        };
        for statement in statements(&body) {
            let statement = statement.replace("( ", "(");
            let patterns = ["payer = p_payer", ") values (p_payer,", ") select p_payer,"];
            let named: usize = patterns.iter().map(|pattern| statement.matches(pattern).count()).sum();
            assert_eq!(named, tables(&statement), "{}: {statement}", function.name);
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[tokio::test]
async fn writes_use_only_parameters_variables_and_columns() {
    let mut seen = 0;
    for function in functions().await {
        for statement in statements(&function.body).iter().filter(|statement| !statement.starts_with("select")) {
            for (at, _) in statement.match_indices('(') {
                let before = statement[..at].trim_end();
                let word = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let is_table = ["tenant.", "auth.", "slug.", "sweep."]
                    .iter()
                    .any(|schema| before.ends_with(&format!("into {schema}{word}")));
                let allowed = word.is_empty() || is_table || ALLOWED_IN_WRITES.contains(&word);
                assert!(allowed, "{} calls {word} in: {statement}", function.name);
            }
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
}

#[tokio::test]
async fn a_function_of_one_snapshot_calls_no_function_that_reads_in_another() {
    let functions = functions().await;
    let reads_anew = |function: &&Function| function.is_volatile && !statements(&function.body).is_empty();
    let volatile: Vec<&Function> = functions.iter().filter(reads_anew).collect();
    for function in functions.iter().filter(|function| !function.is_volatile) {
        for called in &volatile {
            let calls = function.body.contains(&format!("{}(", called.name));
            assert!(!calls, "{} is stable and calls {}, which is not", function.name, called.name);
        }
    }
    assert!(volatile.len() > 10 && volatile.len() < functions.len());
}

#[tokio::test]
async fn turn_functions_take_the_route_as_first_parameter() {
    let mut admin = TestDatabase::shared().await.admin().await;
    let first: Vec<String> = sqlx::query_scalar(
        "select proargnames[1] from pg_proc
          where oid in ('rpc.turn'::regproc, 'rpc.read'::regproc, 'rpc.write_batch'::regproc, 'rpc.read_batch'::regproc)",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(first, ["p_route"; 4]);
    for refused in [
        "select * from rpc.turn('0xa', array['0xb'], array['increment'], array['{}'], array[null], 0)",
        "select * from rpc.write_batch('0xa', array['0xb'], array['increment'], array['{}'], array[null], 0, null)",
        "select * from rpc.read('0xa', array['0xb'], array['getCounter'], array['{}'], null)",
        "select * from rpc.read_batch('0xa', array['0xb'], array['getCounter'], array['{}'], null, null)",
    ] {
        let error = sqlx::query(refused).fetch_all(&mut admin).await.unwrap_err().to_string();
        assert!(error.contains("the route is not a payer of the batch"), "{error}");
    }
}

/// A batch of light calls with a budget of no time: the first payer's calls, a run, are begun, and no others.
#[tokio::test]
async fn a_light_batch_begins_no_more_calls_after_its_budget() {
    let mut admin = TestDatabase::own().await.admin().await;
    let begun = |results: Vec<String>| results.iter().map(|result| result != "{\"again\":null}").collect::<Vec<_>>();
    let writes = |budget_ms: i32| {
        sqlx::query_scalar("select results from rpc.write_batch($1, $2, array_fill('increment'::text, array[3]), array_fill($3::text, array[3]), array_fill(null::text, array[3]), 0, $4)")
            .bind("0xa")
            .bind(["0xa", "0xa", "0xb"].as_slice())
            .bind(r#"{"name":"a","amount":1}"#)
            .bind(budget_ms)
    };
    assert_eq!(begun(writes(0).fetch_one(&mut admin).await.unwrap()), [true, true, false]);
    assert_eq!(begun(writes(0).fetch_one(&mut admin).await.unwrap()), [true, true, false]);
    assert_eq!(begun(writes(60_000).fetch_one(&mut admin).await.unwrap()), [true; 3]);
    let values: Vec<(String, i64)> =
        sqlx::query_as("select payer, value from tenant.counters order by 1").fetch_all(&mut admin).await.unwrap();
    assert_eq!(values, [("0xa".to_owned(), 6), ("0xb".to_owned(), 1)], "what was not begun had no effect");
    let reads = "select results from rpc.read_batch('0xa', array['0xa', '0xb'], array['getCounter', 'getCounter'], array_fill('{\"name\":\"a\"}'::text, array[2]), null, 0)";
    assert_eq!(begun(sqlx::query_scalar(reads).fetch_one(&mut admin).await.unwrap()), [true, false]);
}

/// Calls that look like a run and cannot run as a set: the first of them runs all the same.
#[tokio::test]
async fn a_batch_without_time_still_runs_a_call() {
    let mut admin = TestDatabase::own().await.admin().await;
    let complete = "select results from rpc.write_batch('0xa', array['0xa', '0xa'], array['completeJob', 'completeJob'], $1, array[null, null], 0, 0)";
    let unknown = format!(r#"{{"id":"{0}","lease":"{0}"}}"#, uuid::Uuid::nil());
    let results: Vec<String> =
        sqlx::query_scalar(complete).bind([&unknown, &unknown].as_slice()).fetch_one(&mut admin).await.unwrap();
    assert!(results[0].contains("not-found") && results[1] == "{\"again\":null}", "{results:?}");
}

#[tokio::test]
async fn a_read_cannot_write() {
    let mut admin = TestDatabase::shared().await.admin().await;
    let replace = "begin;
        create or replace function rpc.get_counter(p_payer text, p_params jsonb) returns json language plpgsql as $$
          begin return rpc.increment(p_payer, p_params); end $$;";
    sqlx::Executor::execute(&mut admin, replace).await.unwrap();
    let read = "select * from rpc.read('0xa', array['0xa'], array['getCounter'], array['{\"name\":\"a\",\"amount\":1}'], null)";
    let error = sqlx::query(read).fetch_all(&mut admin).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("25006"), "{error}");
}
