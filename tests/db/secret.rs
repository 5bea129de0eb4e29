//! The secret of a database: what payers share cannot be aimed at. And the switch from the version before, which had none.

use std::time::Duration;

use payerbase::db::migrate::{Login, migrate};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use crate::database::TestDatabase;

const ATTACKER: &str = "0x00000000000000000000000000000000000000a1";
const VICTIM: &str = "0x00000000000000000000000000000000000000b2";

/// Tags of the attacker. Without a secret, the key of each was the key of the victim for this kind and value: the hash of
/// PostgreSQL can be inverted.
const AIMED: [(&str, &str, &str); 3] =
    [("uviKIImgP&+Ra25r", "t", "preferences"), ("FWLlS6Oi<0Uu-8Ct", "n", "default"), ("dGMWS,nY,7_deqTS", "w", "tea")];

async fn is_true(db: &mut PgConnection, condition: &str) -> bool {
    sqlx::query_scalar(AssertSqlSafe(format!("select {condition}"))).fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn keys_in_the_index_of_all_payers_cannot_be_aimed_at_a_payer() {
    let mut db = TestDatabase::shared().await.admin().await;
    for (tag, kind, what) in AIMED {
        let without_secret =
            format!("hashtextextended('t{ATTACKER} {tag}', 0) = hashtextextended('{kind}{VICTIM} {what}', 0)");
        assert!(is_true(&mut db, &without_secret).await, "{tag} was made for the hash without a secret");
        let with_secret = format!(
            "tenant.hashed_key('{ATTACKER}', 't', '{tag}') = tenant.hashed_key('{VICTIM}', '{kind}', '{what}')"
        );
        assert!(!is_true(&mut db, &with_secret).await, "{tag}");
    }
}

/// The attack, replayed: many memories with tags that were made for a neighbour add nothing to the neighbour's searches.
#[tokio::test]
async fn searches_of_a_payer_read_no_entries_of_an_attacker() {
    let mut db = TestDatabase::own().await.admin().await;
    let store = |payer: &str, count: u32, tags: &str| {
        AssertSqlSafe(format!(
            "insert into tenant.memories (payer, id, namespace, content, metadata, tags, importance, model, dimensions,
                is_made, words, place, created_at, updated_at)
               select '{payer}', n::text, 'default', 'tea', '{{}}', {tags}, 0.5, '', 0, false, 'tea', 0, now(), now()
                 from generate_series(1, {count}) n"
        ))
    };
    let aimed = AIMED.map(|(tag, ..)| format!("'{tag}'")).join(",");
    db.execute(store(ATTACKER, 5_000, &format!("array[{aimed}]"))).await.unwrap();
    db.execute(store(VICTIM, 10, "'{preferences}'")).await.unwrap();
    db.execute("vacuum analyze tenant.memories").await.unwrap();
    for (_, kind, what) in AIMED {
        let explain = format!(
            "set enable_seqscan = off; explain (analyze, costs off, timing off, summary off)
               select id from tenant.memories
               where tenant.hashed_keys(payer, namespace, words, tags, metadata)
                 @> array[tenant.hashed_key('{VICTIM}', '{kind}', '{what}')]"
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut db).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        let scan =
            plan.iter().find(|line| line.contains("Bitmap Index Scan on memories_by_hashed_key")).expect("a scan");
        assert!(scan.contains("rows=10.00") || scan.contains("rows=10 "), "{plan:?}");
    }
}

/// Addresses with one hash, found in a minute. They shared an advisory lock.
#[tokio::test]
async fn locks_of_payers_cannot_be_aimed_at_a_payer() {
    let mut db = TestDatabase::shared().await.admin().await;
    let twins = ["0x0000000000000000000000009a042015f811b19b", "0x00000000000000000000000003b1b3377a7f5804"];
    let [one, other] = twins;
    assert!(is_true(&mut db, &format!("hashtextextended('{one}', 0) = hashtextextended('{other}', 0)")).await);
    assert!(!is_true(&mut db, &format!("tenant.payer_lock('{one}') = tenant.payer_lock('{other}')")).await);
}

#[tokio::test]
async fn every_database_has_a_secret_of_its_own() {
    let mut numbers = Vec::new();
    for database in [TestDatabase::shared().await, TestDatabase::own().await] {
        let mut db = database.admin().await;
        let number = "select tenant.hashed_key('0xa', 't', 'a')";
        numbers.push(sqlx::query_scalar::<_, i64>(number).fetch_one(&mut db).await.unwrap());
        let number = "select tenant.payer_lock('0xa')";
        numbers.push(sqlx::query_scalar::<_, i64>(number).fetch_one(&mut db).await.unwrap());
        assert!(
            !is_true(&mut db, "has_function_privilege('payerbase_app', 'tenant.secret_number(text, text)', 'execute')")
                .await
        );
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 4, "{numbers:?}");
}

/// The result of an increment, sent like a server without waiting for the payer's lock.
async fn increment(db: &mut PgConnection) -> String {
    let turn = "select results[1] from rpc.turn('0xa', array['0xa'], array['increment'], array['{\"name\":\"a\",\"amount\":1}'], array[null], 0)";
    sqlx::query_scalar(turn).fetch_one(db).await.unwrap()
}

/// Back to the moment when the functions of this version have replaced those of the version without a secret.
const JUST_REPLACED: &str =
    "create or replace function tenant.has_old_turns() returns boolean language sql immutable as 'select true'";

#[tokio::test]
async fn turns_of_two_versions_never_run_together_for_one_payer() {
    let database = TestDatabase::own().await;
    let (mut old, mut new) = (database.admin().await, database.admin().await);
    old.execute("begin; select pg_advisory_xact_lock(hashtextextended('0xa', 0))").await.unwrap();
    assert!(increment(&mut new).await.contains("\"ok\""), "after the switch, the old lock means nothing");
    new.execute(JUST_REPLACED).await.unwrap();
    assert_eq!(increment(&mut new).await, r#"{"busy":null}"#);
    let waits = "select * from rpc.turn('0xa', array['0xa'], array['increment'], array['{}'], array[null], 10)";
    let waited = sqlx::query(waits).execute(&mut new).await.unwrap_err();
    assert_eq!(waited.as_database_error().unwrap().code().as_deref(), Some("55P03"), "{waited}");
    old.execute("commit").await.unwrap();
    assert!(increment(&mut new).await.contains("\"ok\""));
    // A turn of this version holds both locks.
    old.execute("begin").await.unwrap();
    increment(&mut old).await;
    for lock in ["hashtextextended('0xa', 0)", "tenant.payer_lock('0xa')"] {
        assert!(!is_true(&mut new, &format!("pg_try_advisory_xact_lock({lock})")).await, "{lock}");
    }
}

#[tokio::test]
async fn the_switch_ends_when_no_old_transaction_is_left() {
    let database = TestDatabase::own().await;
    let (mut old, mut new) = (database.admin().await, database.admin().await);
    new.execute(JUST_REPLACED).await.unwrap();
    old.execute("begin; select pg_advisory_xact_lock(hashtextextended('0xa', 0))").await.unwrap();
    let is_migrated = std::cell::Cell::new(false);
    let migration = async {
        migrate(&database.admin, payerbase::schema(), Login::Existing).await.unwrap();
        is_migrated.set(true);
    };
    let old_turn = async {
        // The migration has seen the old transaction, and looks for its end again and again.
        let looks = "exists (select from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() and query like '%from pg_locks where virtualxid = any%')";
        while !is_true(&mut new, looks).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for _ in 0..5 {
            assert!(is_true(&mut new, "tenant.has_old_turns()").await && !is_migrated.get());
            assert_eq!(increment(&mut new).await, r#"{"busy":null}"#);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        old.execute("commit").await.unwrap();
    };
    tokio::join!(migration, old_turn);
    assert!(!is_true(&mut new, "tenant.has_old_turns()").await);
    assert!(increment(&mut new).await.contains("\"ok\""));
}

/// An interrupted `create index concurrently` leaves an index that is not valid. The next migration builds it again.
#[tokio::test]
async fn an_interrupted_migration_can_be_run_again() {
    let database = TestDatabase::own().await;
    let mut admin = database.admin().await;
    let is_whole = "(select indisvalid from pg_index where indexrelid = 'tenant.memories_by_hashed_key'::regclass)
        and to_regclass('tenant.memories_by_key') is null and to_regproc('tenant.memory_keys') is null
        and not tenant.has_old_turns()";
    assert!(is_true(&mut admin, is_whole).await, "after the first migration");
    for interrupted in [
        "update pg_index set indisvalid = false where indexrelid = 'tenant.memories_by_hashed_key'::regclass",
        "drop index tenant.memories_by_hashed_key",
        JUST_REPLACED,
        "create index memories_by_key on tenant.memories (payer, id)",
    ] {
        admin.execute(interrupted).await.unwrap();
        migrate(&database.admin, payerbase::schema(), Login::Existing).await.unwrap();
        assert!(is_true(&mut admin, is_whole).await, "{interrupted}");
    }
}

/// Several deployments may start `migrate` at once. One builds the index; a waiting one must not block it.
#[tokio::test]
async fn migrations_at_the_same_time_wait_for_each_other() {
    let database = TestDatabase::own().await;
    let mut admin = database.admin().await;
    admin.execute("drop index tenant.memories_by_hashed_key").await.unwrap();
    let migrations = (0..3).map(|_| {
        let database = database.clone();
        async move { migrate(&database.admin, payerbase::schema(), Login::Existing).await.unwrap() }
    });
    futures_util::future::join_all(migrations).await;
    assert!(is_true(&mut admin, "to_regclass('tenant.memories_by_hashed_key') is not null").await);
}
