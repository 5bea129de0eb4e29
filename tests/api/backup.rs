//! Back-up and restore, with the commands of docs/OPERATIONS.md as they stand there.

use std::path::Path;
use std::process::Command;

use payerbase::db::embedded::Engine;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};

use crate::faults::migrated;
use crate::support::database::temporary_cluster;
use crate::support::{TestApp, TestDatabase};

/// The shell commands of a section of the page: those that back up, and those that restore.
fn commands() -> (String, String) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/OPERATIONS.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n## Back-up\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned());
    let (restore, backup): (Vec<String>, Vec<String>) = blocks.partition(|block| block.contains("pg_restore"));
    assert!(!backup.is_empty() && !restore.is_empty(), "{section}");
    (backup.concat(), restore.concat())
}

/// Runs commands as the superuser of a cluster.
async fn run(commands: String, admin: &PgConnectOptions, folder: &Path) {
    let bin = Engine::find().unwrap().program("psql").parent().unwrap().to_owned();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &commands]).current_dir(folder).env("PATH", path);
    shell.env("PGHOST", admin.get_socket().unwrap()).env("PGPORT", "5432").env("PGUSER", "postgres");
    shell.env("PGPASSWORD", admin.to_url_lossy().password().unwrap());
    let output = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{commands}: {output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_up_made_as_documented_restores_everything() {
    let (one, two) = (temporary_cluster().await, temporary_cluster().await);
    let (admin, app) = migrated(&one).await;
    let server = TestApp::on(TestDatabase { admin: admin.clone(), app: app.clone() });
    let mut caller = server.caller().await;
    caller.increment("a", json!({"amount": 41})).await.ok();
    caller.post("/v1/queues/q/jobs", json!({"payload": {"to": "ada"}})).await.ok();
    caller.send_json(Method::PUT, "/v1/memories/m", json!({"content": "tea is green"})).await.ok();
    let lock = caller.post("/v1/locks/l/acquire", json!({"ttlMs": 600_000})).await.ok();
    server.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let (backup, restore) = commands();
    run(backup, &admin, folder.path()).await;
    let theirs = two.access().admin();
    let mut postgres = theirs.clone().database("postgres").connect().await.unwrap();
    postgres.execute("drop database payerbase").await.unwrap();
    // The roles come with their passwords, the superuser too.
    let moved = |options: &PgConnectOptions| options.clone().socket(theirs.get_socket().unwrap());
    let (roles, data): (Vec<&str>, Vec<&str>) = restore.lines().partition(|line| line.starts_with("psql "));
    run(roles.join("\n"), &theirs, folder.path()).await;
    run(data.join("\n"), &moved(&admin), folder.path()).await;

    let server = TestApp::on(TestDatabase { admin: moved(&admin), app: moved(&app) });
    caller.url.clone_from(&server.url);
    assert_eq!(caller.increment("a", json!({})).await.ok()["value"], 42);
    assert_eq!(caller.post("/v1/queues/q/pop", json!({})).await.ok()["payload"]["to"], "ada");
    let found = caller.post("/v1/memories/search", json!({"query": "green", "mode": "text"})).await.ok();
    assert_eq!(found["results"][0]["id"], "m", "{found}");
    let token = lock["token"].as_str().unwrap();
    caller.post("/v1/locks/l/release", json!({"token": token})).await.ok();
    let next = caller.post("/v1/locks/l/acquire", json!({"ttlMs": 1_000})).await.ok();
    assert!(next["fence"].as_i64() > lock["fence"].as_i64(), "{next} follows {lock}");
    let open = "select has_database_privilege('public', 'payerbase', 'connect')";
    let open: bool = sqlx::query_scalar(open).fetch_one(&mut server.database.admin().await).await.unwrap();
    assert!(!open, "the grants of the database came with it");
    server.stop().await;
    one.stop().await;
    two.stop().await;
}
