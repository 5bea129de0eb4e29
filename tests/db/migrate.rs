//! The roles that may migrate.

use payerbase::db::migrate;
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
    in_theirs.close().await.unwrap();
    let options = admin.username("operator").password("only-for-tests").database("operators");
    let mut operator = options.connect().await.unwrap();

    for _ in 0..2 {
        migrate::migrate(&mut operator, payerbase::schema(), Some(&"only-for-tests".to_owned().into())).await.unwrap();
    }

    let mut server = options.username("payerbase_app").connect().await.unwrap();
    let turn = "select * from rpc.turn('0xa', array['0xa'], array['increment'], array['{\"name\":\"a\",\"amount\":1}'], array[null], 0)";
    server.execute(turn).await.unwrap();
    for connection in [superuser, operator, server] {
        connection.close().await.unwrap();
    }
    cluster.stop().await;
}
