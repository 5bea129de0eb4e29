//! The database is killed under load, several times.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use payerbase::db::embedded::Cluster;
use payerbase::db::migrate::{self, Login};
use secrecy::ExposeSecret as _;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::support::database::temporary_cluster;
use crate::support::{Caller, TestApp, TestDatabase};

const KILLS: usize = 3;
const CALLERS: usize = 16;
const ALLOWED: i64 = 1_000_000;

/// Numbers of answers of each kind.
#[derive(Default)]
struct AnswerCounts {
    acknowledged: AtomicI64,
    unknown: AtomicI64,
    refused: AtomicI64,
}

/// Increments until `stop`, and counts the answers.
async fn load(caller: Caller, counts: Arc<AnswerCounts>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        // The client's timeout is the deadline: a call without an answer fails the test.
        let answer = caller.increment("a", json!({})).await;
        if answer.status == 200 {
            counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let code = answer.json()["code"].as_str().unwrap().to_owned();
        let counter = if code == "outcome-unknown" { &counts.unknown } else { &counts.refused };
        answer.problem(503, &code);
        counter.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Migrates a cluster. Returns the connection options of the superuser and of the server.
pub async fn migrated(cluster: &Cluster) -> (PgConnectOptions, PgConnectOptions) {
    let (admin, app) = (cluster.access().admin(), cluster.access().app());
    let password = cluster.access().app_password();
    migrate::migrate(&admin, payerbase::schema(), Login::With(&password)).await.unwrap();
    (admin, app)
}

/// Kills the postmaster with SIGKILL.
pub async fn kill(cluster: &mut Cluster) {
    let postmaster = cluster.postmaster().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-9", &postmaster]).status().unwrap().success());
    cluster.died().await;
}

/// Waits until `/readyz` answers with this status.
pub async fn wait_for_readyz(caller: &Caller, status: u16) {
    for _ in 0..600 {
        if caller.get("/readyz").await.status.as_u16() == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("/readyz never answers {status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_the_database_is_killed() {
    let mut cluster = temporary_cluster().await;
    let (admin, app) = migrated(&cluster).await;
    let server = TestApp::on(TestDatabase { admin, app });
    let stop = Arc::new(AtomicBool::new(false));
    let hot = server.caller().await;
    // Count per payer, so that one payer's unknown outcomes cannot hide another payer's lost write.
    let mut payers = vec![(hot.clone(), Arc::new(AnswerCounts::default()), CALLERS / 2)];
    for _ in 0..CALLERS / 2 {
        payers.push((server.caller().await, Arc::default(), 1));
    }
    // A caller who acts for another payer, with an allowance of calls.
    let (owner, agent) = (server.caller().await, server.caller().await);
    let wish = json!({"grantee": agent.payer.as_str(), "scopes": ["counters:write"], "allowance": {"calls": ALLOWED}});
    assert_eq!(owner.post("/v1/grants", wish).await.status, 201);
    let mut acting = agent.clone();
    acting.headers.insert("payerbase-act-for", owner.payer.as_str().parse().unwrap());
    payers.push((acting, Arc::default(), 2));
    let total = |of: fn(&AnswerCounts) -> &AtomicI64| -> i64 {
        payers.iter().map(|(_, counts, _)| of(counts).load(Ordering::Relaxed)).sum()
    };
    let mut loads = Vec::new();
    for (caller, counts, connections) in &payers {
        for _ in 0..*connections {
            loads.push(tokio::spawn(load(caller.clone(), counts.clone(), stop.clone())));
        }
    }

    for round in 1..=KILLS {
        let before = total(|counts| &counts.acknowledged);
        while total(|counts| &counts.acknowledged) < before + 500 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let refused = total(|counts| &counts.refused);
        kill(&mut cluster).await;
        wait_for_readyz(&hot, 503).await;
        hot.get("/readyz").await.problem(503, "database-unavailable");
        while total(|counts| &counts.refused) < refused + 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cluster.launch().await.unwrap();
        wait_for_readyz(&hot, 200).await;
        println!("kill {round}: {} acknowledged", total(|counts| &counts.acknowledged));
    }
    let before = total(|counts| &counts.acknowledged);
    while total(|counts| &counts.acknowledged) < before + 500 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.unwrap();
    }

    for (caller, counts, _) in &payers {
        let stored = match caller.headers.contains_key("payerbase-act-for") {
            true => owner.value("a").await,
            false => caller.value("a").await,
        };
        let (acknowledged, unknown) =
            (counts.acknowledged.load(Ordering::Relaxed), counts.unknown.load(Ordering::Relaxed));
        println!("acknowledged {acknowledged} <= stored {stored} <= acknowledged + unknown {unknown}");
        assert!(acknowledged <= stored, "{acknowledged} were acknowledged and {stored} are stored");
        assert!(
            stored <= acknowledged + unknown,
            "{stored} are stored, {acknowledged} acknowledged, {unknown} unknown"
        );
    }
    // Each effect has taken one call of the allowance, and nothing else has.
    let grants = owner.get("/v1/grants").await.ok();
    assert_eq!(grants["items"][0]["allowance"]["calls"]["remaining"], ALLOWED - owner.value("a").await, "{grants}");
    cluster.stop().await;
}

/// A TCP proxy in front of a cluster's Unix socket. It can close its connections.
pub struct Proxy {
    address: std::net::SocketAddr,
    open: Arc<Mutex<JoinSet<()>>>,
}

impl Proxy {
    pub async fn to(database: &sqlx::postgres::PgConnectOptions) -> Self {
        let socket = database.get_socket().unwrap().join(format!(".s.PGSQL.{}", database.get_port()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, open) = (listener.local_addr().unwrap(), Arc::<Mutex<JoinSet<()>>>::default());
        let proxy = Self { address, open: Arc::clone(&open) };
        tokio::spawn(async move {
            while let Ok((mut outer, _)) = listener.accept().await {
                // PostgreSQL may be down.
                let Ok(mut inner) = UnixStream::connect(&socket).await else { continue };
                open.lock().await.spawn(async move {
                    let _ended = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        proxy
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// Closes every connection, like a restart of the database.
    pub async fn close_connections(&self) {
        self.open.lock().await.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_after_an_idle_second_replaces_a_closed_connection() {
    let cluster = temporary_cluster().await;
    let (admin, app) = migrated(&cluster).await;
    let proxy = Proxy::to(&app).await;
    let app = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(proxy.address.port())
        .username(app.get_username())
        .password(cluster.access().app_password().expose_secret())
        .database(app.get_database().unwrap());
    let server = TestApp::on(TestDatabase { admin, app });
    let caller = server.caller().await;
    caller.increment("a", json!({})).await.ok();

    proxy.close_connections().await;
    // Not a synchronisation: a lane checks a connection only after it was idle for a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;

    assert_eq!(caller.increment("a", json!({})).await.ok()["value"], 2);
    server.stop().await;
    cluster.stop().await;
}
