//! Upgrades: a database of an earlier version, with data in it, is migrated and serves the same data.
//!
//! `upgrade/<version>/` holds a database of each supported release: its functions, data, and what callers were answered. A
//! new release adds its own with `keep_this_release` and `pg_dump --data-only --inserts` (CONTRIBUTING.md).

use std::path::{Path, PathBuf};
use std::time::Duration;

use payerbase::auth::{Scope, create_token};
use payerbase::db::Database;
use payerbase::db::check::{Refusal, check};
use payerbase::db::embedded::{Cluster, Durability, Engine};
use payerbase::db::migrate::{Error, Login, Step, migrate, plan};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};

use crate::dev::{Dev, PROGRAM, folder};
use crate::support::database::temporary_cluster;
use crate::support::{Caller, TestApp, TestDatabase};

/// The supported releases, each with its last migration.
const RELEASES: &[(&str, i64)] = &[("0.1.0", 11)];

const PAYER: &str = "0x00000000000000000000000000000000000000a1";
const NEIGHBOUR: &str = "0x00000000000000000000000000000000000000a2";

/// A request is the same only if it is byte for byte.
const ORDER: &str = r#"{"calls": [{"method": "decrement", "params": {"name": "credits", "amount": 5}}, {"method": "pushJob", "params": {"queue": "mails", "payload": {"to": "ada"}}}]}"#;
const ORDER_KEY: &str = "upgrade-order-1";
const LOCK: &str = r#"{"ttlMs": 86400000}"#;
const LOCK_KEY: &str = "upgrade-lock-1";

fn kept(release: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/upgrade").join(release)
}

/// Makes the database of a release. `owner` migrates it; only `superuser` can load data through row-level security.
async fn install(release: &str, last: i64, owner: &PgConnectOptions, superuser: &PgConnectOptions) {
    let text = |file: &str| AssertSqlSafe(std::fs::read_to_string(kept(release).join(file)).unwrap());
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut connection = owner.connect().await.unwrap();
    Migrator::new(migrations).await.unwrap().run_to(last, &mut connection).await.unwrap();
    connection.execute("do $$ begin perform '[1]'::public.vector; end $$").await.unwrap();
    connection.execute(text("functions.sql")).await.unwrap();
    connection.close().await.unwrap();
    let mut connection = superuser.connect().await.unwrap();
    connection.execute(text("data.sql")).await.unwrap();
    // The times of the dump are moved to the present, so that nothing has expired.
    connection
        .execute(
            "do $$
             declare
               v_passed interval := now() - (select max(created_at) from tenant.memories);
               v_column record;
             begin
               for v_column in
                 select c.oid::regclass as name, string_agg(format('%1$I = %1$I + $1', a.attname), ', ') as moved
                   from pg_class c
                   join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and a.atttypid = 'timestamptz'::regtype
                   where c.relnamespace in ('tenant'::regnamespace, 'slug'::regnamespace) and c.relkind = 'r'
                     and not a.attisdropped
                   group by c.oid
               loop
                 execute format('update %s set %s', v_column.name, v_column.moved) using v_passed;
               end loop;
             end $$",
        )
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// Tokens of the payer and its neighbour, made before the upgrade.
async fn tokens(admin: &mut PgConnection) -> [SecretString; 2] {
    let mut tokens = Vec::new();
    for payer in [PAYER, NEIGHBOUR] {
        let (token, _) =
            create_token(admin, &payer.parse().unwrap(), &[Scope::Everything], None, Duration::from_hours(24))
                .await
                .unwrap();
        tokens.push(token);
    }
    tokens.try_into().unwrap()
}

fn callers(url: &str, [token, neighbour]: [SecretString; 2]) -> [Caller; 2] {
    // The HTTP client needs a TLS provider, even without TLS.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    [(PAYER, token), (NEIGHBOUR, neighbour)].map(|(payer, token)| Caller {
        url: url.to_owned(),
        client: client.clone(),
        payer: payer.parse().unwrap(),
        token: Some(token),
        headers: reqwest::header::HeaderMap::new(),
    })
}

async fn with_key(caller: &Caller, path: &str, body: &str, key: &str) -> crate::support::Answer {
    let mut caller = caller.clone();
    caller.headers.insert("idempotency-key", key.parse().unwrap());
    caller.send(Method::POST, path, Some(("application/json", body.as_bytes().to_vec()))).await
}

/// Stores data of all primitives. Returns the answers that a caller keeps.
async fn store(caller: &Caller, neighbour: &Caller) -> Value {
    caller.increment("visits", json!({"amount": 41})).await.ok();
    caller.increment("visits", json!({})).await.ok();
    caller.increment("credits", json!({"amount": 100, "min": 0, "max": 1000})).await.ok();
    neighbour.increment("visits", json!({"amount": 7})).await.ok();
    let transaction = with_key(caller, "/v1/transaction", ORDER, ORDER_KEY).await.ok();
    let lock = with_key(caller, "/v1/locks/nightly/acquire", LOCK, LOCK_KEY).await.ok();
    for page in 0..5 {
        let job = json!({"payload": {"page": page}, "priority": page % 2, "group": format!("g{}", page % 2)});
        caller.post("/v1/queues/reports/jobs", job).await.ok();
    }
    let job = caller.post("/v1/queues/reports/pop", json!({"leaseMs": 43_200_000})).await.ok();
    caller.post("/v1/queues/dead/jobs", json!({"payload": 1, "maxAttempts": 1})).await.ok();
    let failed = caller.post("/v1/queues/dead/pop", json!({})).await.ok();
    let fail = format!("/v1/jobs/{}/fail", failed["id"].as_str().unwrap());
    caller.post(&fail, json!({"lease": failed["lease"], "error": "no"})).await.ok();
    let link = caller.post("/v1/links", json!({"url": "https://example.com/", "slug": "old-link", "maxClicks": 100}));
    let link = link.await.ok();
    caller.post("/v1/links/old-link/clicks", json!({})).await.ok();
    for (number, (content, namespace, tag, metadata)) in [
        ("The cat sat on the mat", "pets", "cat", json!({"legs": 4})),
        ("Tea from Assam is strong", "kitchen", "tea", json!({"kind": "black", "http.method": "POST"})),
        ("node.js and tea/coffee", "kitchen", "js", json!({})),
        ("서울에서 회의가", "default", "ko", json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        let memory = json!({"content": content, "namespace": namespace, "tags": [tag], "metadata": metadata,
            "embedding": [1, number, 0, 0]});
        caller.send_json(Method::PUT, &format!("/v1/memories/m{number}"), memory).await.ok();
    }
    let theirs = json!({"content": "The cat of a neighbour", "tags": ["cat"]});
    neighbour.send_json(Method::PUT, "/v1/memories/theirs", theirs).await.ok();
    json!({"transaction": transaction, "lock": lock, "job": job, "link": link})
}

/// Everything that was stored is there, and what callers hold (keys, lock tokens, leases, slugs) still works.
async fn serves(caller: &Caller, neighbour: &Caller, answers: &Value) {
    assert_eq!((caller.value("visits").await, neighbour.value("visits").await), (42, 7));
    let credits = caller.get("/v1/counters/credits").await.ok();
    assert_eq!((&credits["value"], &credits["max"]), (&json!(95), &json!(1000)));

    for (path, body, key, answer) in [
        ("/v1/transaction", ORDER, ORDER_KEY, &answers["transaction"]),
        ("/v1/locks/nightly/acquire", LOCK, LOCK_KEY, &answers["lock"]),
    ] {
        let replay = with_key(caller, path, body, key).await;
        assert_eq!(replay.headers["idempotent-replay"], "true");
        assert_eq!(&replay.ok(), answer);
    }
    let extend = json!({"token": answers["lock"]["token"], "ttlMs": 60_000});
    caller.post("/v1/locks/nightly/extend", extend).await.ok();

    let complete = format!("/v1/jobs/{}/complete", answers["job"]["id"].as_str().unwrap());
    let done = caller.post(&complete, json!({"lease": answers["job"]["lease"]})).await.ok();
    assert_eq!(done["status"], "completed");
    let jobs = caller.get("/v1/queues/reports/jobs").await.ok()["items"].as_array().unwrap().len();
    assert_eq!(jobs, 5);
    let next = caller.post("/v1/queues/reports/pop", json!({})).await.ok();
    assert_eq!(next["payload"], json!({"page": 3}), "the group of the completed job goes on, by priority");
    let retried = caller.post("/v1/queues/dead/retry-dead", json!({})).await.ok();
    assert_eq!(retried["retried"], 1, "{retried}");

    let link = caller.get("/v1/links/old-link").await.ok();
    assert_eq!((&link["clicks"], &link["maxClicks"]), (&json!(1), &json!(100)));
    let visit = caller.get("/l/old-link").await;
    assert_eq!((visit.status.as_u16(), &visit.headers["location"]), (302, &"https://example.com/".parse().unwrap()));
    neighbour
        .post("/v1/links", json!({"url": "https://example.org/", "slug": "old-link"}))
        .await
        .problem(409, "slug-taken");

    for (search, found) in [
        (json!({"query": "cat", "mode": "text"}), "m0"),
        (json!({"embedding": [1, 1, 0, 0]}), "m1"),
        (json!({"query": "tea", "mode": "text", "filter": {"kind": "black"}}), "m1"),
    ] {
        let results = caller.post("/v1/memories/search", search.clone()).await.ok();
        assert_eq!(results["results"][0]["id"], found, "{search}: {results}");
    }
    let stored = caller.get("/v1/memories").await.ok()["items"].as_array().unwrap().len();
    assert_eq!(stored, 4);

    caller.increment("visits", json!({})).await.ok();
    assert_eq!((caller.value("visits").await, neighbour.value("visits").await), (43, 7));
}

fn answers(release: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(kept(release).join("answers.json")).unwrap()).unwrap()
}

/// A database of its own on `cluster`, whose owner is `owner`; a superuser has installed pgvector in it.
async fn database(cluster: &Cluster, name: &str, owner: &str) -> PgConnectOptions {
    let superuser = cluster.access().admin().database("postgres");
    let mut connection = superuser.connect().await.unwrap();
    for statement in [
        format!("create role {owner} login createrole password 'only-for-tests'"),
        format!("create database {name} owner {owner} template template0 encoding 'UTF8'"),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    connection.close().await.unwrap();
    let superuser = superuser.database(name);
    let mut connection = superuser.connect().await.unwrap();
    connection.execute("create extension vector").await.unwrap();
    connection.close().await.unwrap();
    superuser
}

/// Identifies the functions and tables of a database as they are now.
async fn fingerprint(admin: &PgConnectOptions) -> Vec<String> {
    let mut connection = admin.connect().await.unwrap();
    sqlx::query_scalar(
        "select oid::text || proname || xmin::text from pg_proc
         union all select oid::text || relname || xmin::text from pg_class where relkind in ('r', 'i') and oid >= 16384
         union all select oid::text || rolname from pg_authid
         union all select datname || coalesce(datacl::text, '') from pg_database
         union all select obj_description('rpc'::regnamespace, 'pg_namespace')
         order by 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_each_release_is_upgraded_with_its_data() {
    for (release, last) in RELEASES {
        for is_superuser in [true, false] {
            let cluster = temporary_cluster().await;
            let superuser = database(&cluster, "upgraded", "operator").await;
            let operator = superuser.clone().username("operator").password("only-for-tests");
            let admin = if is_superuser { &superuser } else { &operator };
            install(release, *last, admin, &superuser).await;
            let tokens = tokens(&mut admin.connect().await.unwrap()).await;

            let password: SecretString = "a-password-of-the-app".to_owned().into();
            let before = fingerprint(&superuser).await;
            let planned = plan(admin, payerbase::schema(), Login::With(&password)).await.unwrap();
            assert_eq!(fingerprint(&superuser).await, before, "a plan changes nothing");
            let done = migrate(admin, payerbase::schema(), Login::With(&password)).await.unwrap();
            assert_eq!(planned, done);
            assert!(matches!(done.last(), Some(Step::Password)), "{done:?}");

            let migrated = fingerprint(&superuser).await;
            let again = migrate(admin, payerbase::schema(), Login::Existing).await.unwrap();
            assert_eq!((again, fingerprint(&superuser).await), (Vec::new(), migrated), "a second run changes nothing");

            let app = superuser.clone().username("payerbase_app").password("a-password-of-the-app");
            let server = TestApp::on(TestDatabase { admin: superuser.clone(), app });
            let [caller, neighbour] = callers(&server.url, tokens);
            serves(&caller, &neighbour, &answers(release)).await;
            server.stop().await;
            cluster.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_upgrades_its_data_folder() {
    for (release, last) in RELEASES {
        let dir = folder();
        let engine = tokio::task::spawn_blocking(|| Engine::find().unwrap()).await.unwrap();
        let cluster = Cluster::start(dir.path(), engine, Durability::EndOfProcess, &[]).await.unwrap();
        let admin = cluster.access().admin();
        install(release, *last, &admin, &admin).await;
        let tokens = tokens(&mut admin.connect().await.unwrap()).await;
        cluster.stop().await;

        let dev = Dev::start(PROGRAM.as_ref(), dir.path());
        let [caller, neighbour] = callers(dev.url(), tokens);
        serves(&caller, &neighbour, &answers(release)).await;
        dev.stop("-INT");
    }
}

/// The program of an earlier commit makes a data folder and fills it. It keeps serving while the database is migrated under it,
/// and this version takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the program of an earlier commit in PAYERBASE_TEST_EARLIER"]
async fn the_version_of_an_earlier_commit_is_upgraded() {
    let earlier = PathBuf::from(std::env::var_os("PAYERBASE_TEST_EARLIER").expect("PAYERBASE_TEST_EARLIER is set"));
    let dir = folder();
    let dev = Dev::start(&earlier, dir.path());
    let admin = payerbase::db::embedded::Access::to(dir.path()).unwrap();
    let (admin, password) = (admin.admin(), admin.app_password());
    let tokens = tokens(&mut admin.connect().await.unwrap()).await;
    let [caller, neighbour] = callers(dev.url(), tokens.clone());
    let answers = store(&caller, &neighbour).await;

    // Each increment of the running server must be answered, also while the functions change.
    let (running, stop) = (caller.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let stopped = std::sync::Arc::clone(&stop);
    let load = tokio::spawn(async move {
        let mut acknowledged = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            running.increment("during", json!({})).await.ok();
            acknowledged += 1;
        }
        acknowledged
    });
    migrate(&admin, payerbase::schema(), Login::With(&password)).await.unwrap();
    for _ in 0..50 {
        caller.increment("after", json!({})).await.ok();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let acknowledged: i64 = load.await.unwrap();
    dev.stop("-INT");

    let dev = Dev::start(PROGRAM.as_ref(), dir.path());
    let [caller, neighbour] = callers(dev.url(), tokens);
    assert_eq!((caller.value("during").await, caller.value("after").await), (acknowledged, 50));
    serves(&caller, &neighbour, &answers).await;
    dev.stop("-INT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_migrations_at_once_make_each_change_once() {
    let (release, last) = RELEASES[0];
    let cluster = temporary_cluster().await;
    let admin = database(&cluster, "twice", "operator").await;
    install(release, last, &admin, &admin).await;
    let (one, other) = tokio::join!(
        migrate(&admin, payerbase::schema(), Login::Switched),
        migrate(&admin, payerbase::schema(), Login::Switched)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one.is_empty() != other.is_empty(), "{one:?} {other:?}");
    // An empty database, too: the roles are created once.
    let mut connection = admin.connect().await.unwrap();
    connection.execute("create database fresh template template0 encoding 'UTF8'").await.unwrap();
    let fresh = admin.clone().database("fresh");
    let (one, other) = tokio::join!(
        migrate(&fresh, payerbase::schema(), Login::Switched),
        migrate(&fresh, payerbase::schema(), Login::Switched)
    );
    assert!(one.unwrap().is_empty() != other.unwrap().is_empty());
    cluster.stop().await;
}

async fn set_stamp(admin: &PgConnectOptions, stamp: &str) {
    let mut connection = admin.connect().await.unwrap();
    connection.execute(AssertSqlSafe(format!("comment on schema rpc is '{stamp}'"))).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn an_older_version_does_not_migrate_and_serves_only_what_it_can() {
    let database = TestDatabase::own().await;
    let migrate = async || migrate(&database.admin, payerbase::schema(), Login::Existing).await;
    let check = async || check(&Database::new(database.app.clone(), 6), payerbase::schema(), "english", false).await;
    check().await.unwrap();

    set_stamp(&database.admin, "payerbase 9.1.0 revision 999999 servers 999999 abc").await;
    let before = fingerprint(&database.admin).await;
    let error = migrate().await.unwrap_err();
    assert!(matches!(&error, Error::Newer { theirs } if theirs == "payerbase 9.1.0 (revision 999999)"), "{error}");
    assert_eq!(fingerprint(&database.admin).await, before);
    assert!(matches!(check().await, Err(Refusal::Newer(_))));

    set_stamp(&database.admin, "payerbase 9.1.0 revision 999999 servers 0 abc").await;
    assert!(matches!(migrate().await, Err(Error::Newer { .. })));
    check().await.unwrap();

    set_stamp(&database.admin, "payerbase 0.1.0 abc").await;
    assert!(matches!(check().await, Err(Refusal::NotMigrated(_))));
    assert_eq!(migrate().await.unwrap().len(), 1);
    check().await.unwrap();

    let mut connection = database.admin.connect().await.unwrap();
    let unknown = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)";
    connection.execute(unknown).await.unwrap();
    assert!(matches!(migrate().await, Err(Error::Newer { .. })));
    connection.execute("delete from _sqlx_migrations where version = 9999").await.unwrap();
    connection.execute("update _sqlx_migrations set checksum = 'another' where version = 3").await.unwrap();
    assert!(matches!(migrate().await, Err(Error::TooOld(3))));
}

/// Writes the functions of this version, for the folder of a new release.
#[test]
#[ignore = "needs a new release: it writes tests/api/upgrade/<version>/functions.sql"]
fn keep_this_release() {
    let stamp = payerbase::schema().stamp();
    let mut text = "-- The functions of a release, as its `migrate` installed them.\nbegin;\n".to_owned();
    for (owner, functions) in payerbase::schema().functions() {
        text += &format!("\nset local role {owner};\n{functions}");
    }
    text += &format!("\nreset role;\ncomment on schema rpc is '{}';\ncommit;\n", stamp.comment());
    let folder = kept(&stamp.version);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("functions.sql"), text).unwrap();
}
