//! What is refused before a migration changes anything, and the password and rights that it sets.

use payerbase::db::Database;
use payerbase::db::check::{Refusal, check};
use payerbase::db::migrate::{Error, Login, Step, migrate};
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use crate::database::{TestDatabase, temporary_cluster};

async fn run(options: &PgConnectOptions, statements: &[&str]) {
    let mut connection = options.connect().await.unwrap();
    for statement in statements {
        connection.execute(AssertSqlSafe((*statement).to_owned())).await.unwrap();
    }
    connection.close().await.unwrap();
}

async fn list(options: &PgConnectOptions, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(&mut options.connect().await.unwrap()).await.unwrap()
}

/// The reasons why a migration is refused.
async fn reasons(options: &PgConnectOptions, login: Login<'_>) -> Vec<String> {
    match migrate(options, payerbase::schema(), login).await {
        Err(Error::Refused(reasons)) => reasons,
        other => panic!("{other:?}"),
    }
}

fn assert_reasons(reasons: &[String], expected: &[&str]) {
    assert_eq!(reasons.len(), expected.len(), "{reasons:#?}");
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.contains(expected), "{reason} does not say {expected}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_missing_is_reported_before_the_first_change() {
    let cluster = temporary_cluster().await;
    let admin = cluster.access().admin().database("postgres");
    run(
        &admin,
        &[
            "create role weak login password 'only-for-tests'",
            "create database poor template template0 encoding 'UTF8'",
            "create database latin template template0 encoding 'LATIN1' locale 'C'",
            "create database owned owner weak template template0 encoding 'UTF8'",
        ],
    )
    .await;
    let weak = admin.clone().username("weak").password("only-for-tests");

    let missing = reasons(&weak.clone().database("poor"), Login::Existing).await;
    let expected = [
        "weak does not own the database poor",
        "alter role weak createrole",
        "create extension vector with schema public",
        "set PAYERBASE_APP_PASSWORD",
    ];
    assert_reasons(&missing, &expected);
    assert_reasons(
        &reasons(&weak.clone().database("owned"), Login::Switched).await,
        &["alter role weak createrole", "create extension vector"],
    );
    assert_reasons(
        &reasons(&admin.clone().database("latin"), Login::Switched).await,
        &["encoding of the database is LATIN1"],
    );

    // The roles belong to somebody else.
    run(&admin, &["create database first template template0 encoding 'UTF8'", "alter role weak createrole"]).await;
    migrate(&admin.clone().database("first"), payerbase::schema(), Login::Switched).await.unwrap();
    run(&admin.clone().database("owned"), &["create extension vector"]).await;
    let foreign = reasons(&weak.clone().database("owned"), Login::Switched).await;
    assert_reasons(&foreign, &["grant payerbase_app, payerbase_auth"]);

    let roles = list(&admin, "select rolname::text from pg_roles where rolname like 'payerbase%'").await;
    assert_eq!(roles.len(), 8, "only the database `first` has made roles: {roles:?}");
    for database in ["poor", "latin", "owned"] {
        let schemas =
            list(&admin.clone().database(database), "select nspname::text from pg_namespace where nspname = 'tenant'")
                .await;
        assert_eq!(schemas, Vec::<String>::new(), "{database}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_is_not_logged_and_not_taken_from_another_database() {
    let cluster = temporary_cluster().await;
    let admin = cluster.access().admin().database("postgres");
    run(
        &admin,
        &[
            "alter system set log_statement = 'all'",
            "alter system set log_min_duration_statement = 0",
            "select pg_reload_conf()",
            "create database production template template0 encoding 'UTF8'",
            "create database staging template template0 encoding 'UTF8'",
        ],
    )
    .await;
    let (production, staging) = (admin.clone().database("production"), admin.clone().database("staging"));
    let [first, second] =
        ["first-pässword-of-the-app", "another-password-of-the-app"].map(|text| SecretString::from(text.to_owned()));
    migrate(&production, payerbase::schema(), Login::With(&first)).await.unwrap();
    assert_reasons(&reasons(&staging, Login::With(&second)).await, &["which also serves production"]);
    migrate(&staging, payerbase::schema(), Login::With(&first)).await.unwrap();
    assert_reasons(&reasons(&staging, Login::With(&second)).await, &["which also serves production"]);
    let app = |database: &str| {
        let options = production.clone().database(database).username("payerbase_app");
        options.password("first-pässword-of-the-app")
    };
    for database in ["production", "staging"] {
        app(database).connect().await.unwrap().close().await.unwrap();
    }
    // Alone on its server, a database gets the new password.
    run(&admin, &["drop database staging"]).await;
    migrate(&production, payerbase::schema(), Login::With(&second)).await.unwrap();
    assert!(app("production").connect().await.is_err());

    let folder = list(&admin, "select current_setting('data_directory')").await.remove(0);
    let log = std::fs::read_to_string(std::path::Path::new(&folder).parent().unwrap().join("postgres.log")).unwrap();
    assert!(log.contains("alter role payerbase_app login password 'SCRAM-SHA-256$"), "statements are logged");
    for part in ["ssword-of-the-app", "another-password"] {
        assert!(!log.contains(part), "the password is in the log");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn open_rights_are_refused_by_the_server_and_closed_by_a_migration() {
    let database = TestDatabase::own().await;
    let check = async || check(&Database::new(database.app.clone(), 6), payerbase::schema(), "english", false).await;
    for grant in [
        "grant connect on database %I to public",
        "grant temporary on database %I to public",
        "grant create on database %I to payerbase_app",
        "revoke connect on database %I from payerbase_app",
    ] {
        let grant = format!("do $$ begin execute format('{grant}', current_database()); end $$");
        run(&database.admin, &[&grant]).await;
        // A role that may not connect is refused by PostgreSQL itself.
        assert!(
            matches!(check().await, Err(Refusal::Open | Refusal::Unreachable(_) | Refusal::LoginFailed(_))),
            "{grant}"
        );
        let steps = migrate(&database.admin, payerbase::schema(), Login::Existing).await.unwrap();
        assert_eq!(steps, [Step::Rights], "{grant}");
        check().await.unwrap();
    }
    run(&database.admin, &["grant create on schema public to public"]).await;
    assert!(matches!(check().await, Err(Refusal::Open)));
    migrate(&database.admin, payerbase::schema(), Login::Existing).await.unwrap();
    check().await.unwrap();
}
