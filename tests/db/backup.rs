//! A dump by the role payerbase_backup, which is no superuser, has all data, and can be restored.

use std::process::{Command, Stdio};

use payerbase::db::Database;
use payerbase::db::check::{Refusal, check};
use payerbase::db::embedded::Engine;
use payerbase::db::migrate::{Login, migrate};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use crate::database::temporary_cluster;

/// A program of PostgreSQL that connects as this user.
fn program(name: &str, options: &PgConnectOptions, password: &str) -> Command {
    let mut command = Command::new(Engine::find().unwrap().program(name));
    command.arg("--host").arg(options.get_socket().unwrap()).args(["--username", options.get_username()]);
    command.env("PGPASSWORD", password).stdin(Stdio::null());
    command
}

fn succeeds(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The number of rows of each table.
async fn rows(options: &PgConnectOptions) -> Vec<String> {
    let mut connection = options.connect().await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select oid::regclass::text from pg_class
           where relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep') and relkind = 'r'
           order by 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let count = AssertSqlSafe(format!("select count(*) from {table}"));
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
        rows.push(format!("{table} {count}"));
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_superuser_rights_can_dump_and_the_dump_can_be_restored() {
    let cluster = temporary_cluster().await;
    let admin = cluster.access().admin();
    let (password, app_password) = ("only-for-tests", cluster.access().app_password());
    migrate(&admin, payerbase::schema(), Login::With(&app_password)).await.unwrap();
    let mut connection = admin.connect().await.unwrap();
    for statement in [
        "create role nightly login password 'only-for-tests'; grant payerbase_backup to nightly",
        "create role restorer superuser login password 'only-for-tests'",
        "select rpc.turn('0xa', array['0xa', '0xb'], array['increment', 'increment'],
           array['{\"name\":\"a\",\"amount\":1}', '{\"name\":\"a\",\"amount\":2}'], array[null, null]::text[], 0)",
        "select auth.create_token('abcdefghijklmnop', sha256('secret'), '0xa', '{*}', null, 3600)",
        "create database restored template template0 encoding 'UTF8'",
    ] {
        connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    }
    connection.close().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payerbase.dump");
    let nightly = admin.clone().username("nightly");
    let mut dump = program("pg_dump", &nightly, password);
    dump.args(["--format", "custom", "--role", "payerbase_backup", "--enable-row-security", "--file"]).arg(&file);
    succeeds(dump.arg("payerbase"));

    let restored = admin.clone().database("restored");
    let access = cluster.access();
    let mut restore = program("pg_restore", &restored.clone().username("restorer"), password);
    succeeds(restore.args(["--exit-on-error", "--dbname", "restored"]).arg(&file));
    assert_eq!(rows(&restored).await, rows(&admin).await);
    assert!(rows(&restored).await.contains(&"tenant.counters 2".to_owned()));

    // Without --create the rights on the database are not restored.
    let server = Database::new(access.app().database("restored"), 6);
    assert!(matches!(check(&server, payerbase::schema(), "english", false).await, Err(Refusal::Open)));
    migrate(&restored, payerbase::schema(), Login::Existing).await.unwrap();
    check(&server, payerbase::schema(), "english", false).await.unwrap();
    cluster.stop().await;
}
