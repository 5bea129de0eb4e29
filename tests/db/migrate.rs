//! The roles that can migrate, and the versions that can be migrated.

use payerbase::db::migrate::{self, Login};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::database::temporary_cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_owner_that_may_create_roles_can_migrate() {
    let cluster = temporary_cluster().await;
    let admin = cluster.access().admin().database("postgres");
    let mut superuser = admin.connect().await.unwrap();
    superuser.execute("create role operator login createrole password 'only-for-tests'").await.unwrap();
    superuser.execute("create database operators owner operator template template0 encoding 'UTF8'").await.unwrap();
    // Only a superuser can install pgvector, because it is not a trusted extension.
    let mut in_theirs = admin.clone().database("operators").connect().await.unwrap();
    in_theirs.execute("create extension vector").await.unwrap();
    let options = admin.username("operator").password("only-for-tests").database("operators");
    let server_options = options.clone().username("payerbase_app");
    let turn = "select results[1] from rpc.turn('0xa', array['0xa'], array['increment'], array['{\"name\":\"a\",\"amount\":1}'], array[null], 0)";
    for round in 1..=3 {
        let password = "only-for-tests".to_owned().into();
        migrate::migrate(&options, payerbase::schema(), Login::With(&password)).await.unwrap();
        let mut server = server_options.connect().await.unwrap();
        let answer: String = sqlx::query_scalar(turn).fetch_one(&mut server).await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["ok"]["value"], round, "the data is still there: {answer}");
        server.close().await.unwrap();
        // The next round finds the functions of another version, then of this one.
        if round == 1 {
            in_theirs.execute("comment on schema rpc is 'payerbase 0.0.0'").await.unwrap();
        }
    }
    for connection in [superuser, in_theirs] {
        connection.close().await.unwrap();
    }
    cluster.stop().await;
}
