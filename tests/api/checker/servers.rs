//! The servers, as processes, and the PostgreSQL that they share.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use payerbase::auth::{Scope, create_token};
use payerbase::db::embedded::Cluster;
use rand::RngExt as _;
use rand::rngs::StdRng;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret as _;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::payer::Payer;
use crate::dev::{PROGRAM, database_url};
use crate::faults::{Proxy, migrated};
use crate::support::database::temporary_cluster;
use crate::support::{Caller, TestDatabase};

const SERVERS: usize = 2;
/// Timeout of the clients, longer than calls take here.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long PostgreSQL and the servers may take to serve again. It is only for a world that never heals.
pub const HEALING_MAX: Duration = Duration::from_secs(180);

/// The addresses of the servers; none while a server does not run.
#[derive(Default)]
pub struct Addresses(Mutex<[Option<SocketAddr>; SERVERS]>);

impl Addresses {
    fn set(&self, server: usize, address: Option<SocketAddr>) {
        self.0.lock().unwrap()[server] = address;
    }

    /// The URL of one of the servers that run.
    pub async fn any(&self, random: &mut StdRng) -> String {
        loop {
            let running: Vec<SocketAddr> = self.0.lock().unwrap().iter().flatten().copied().collect();
            if !running.is_empty() {
                return format!("http://{}", running[random.random_range(0..running.len())]);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Sends a signal to a process, which may have ended.
pub fn signal(name: &str, pid: Option<u32>) {
    if let Some(pid) = pid {
        let _gone = std::process::Command::new("kill").args([name, &pid.to_string()]).stderr(Stdio::null()).status();
    }
}

/// A PostgreSQL and the servers on it.
pub struct World {
    pub cluster: Cluster,
    pub servers: Vec<Server>,
    pub database: TestDatabase,
    client: reqwest::Client,
    addresses: Arc<Addresses>,
    /// Lines of the servers that say that one has panicked.
    pub panics: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub async fn start() -> Self {
        // The HTTP client needs a TLS provider, even without TLS.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let cluster = temporary_cluster().await;
        let (admin, app) = migrated(&cluster).await;
        let (addresses, panics) = (Arc::<Addresses>::default(), Arc::default());
        let mut servers = Vec::new();
        for number in 0..SERVERS {
            let proxy = Proxy::to(&app).await;
            let app = PgConnectOptions::new_without_pgpass()
                .host("127.0.0.1")
                .port(proxy.address().port())
                .username(app.get_username())
                .password(cluster.access().app_password().expose_secret())
                .database(app.get_database().unwrap());
            let (addresses, panics) = (Arc::clone(&addresses), Arc::clone(&panics));
            let mut server = Server { number, url: database_url(&app), proxy, process: None, addresses, panics };
            server.launch().await;
            servers.push(server);
        }
        let database = TestDatabase { admin, app };
        let client = reqwest::Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build().unwrap();
        Self { cluster, servers, database, client, addresses, panics }
    }

    /// A new payer, with clients that stop.
    pub async fn payer(&self, stop: &CancellationToken) -> Payer {
        let payer = format!("0x{:040x}", rand::random::<u128>()).parse().unwrap();
        let mut admin = self.database.admin().await;
        let token = create_token(&mut admin, &payer, &[Scope::Everything], None, Duration::from_hours(24)).await;
        let (client, token) = (self.client.clone(), Some(token.unwrap().0));
        let caller = Caller { url: String::new(), client, payer, token, headers: HeaderMap::new() };
        Payer::new(caller, Arc::clone(&self.addresses), stop.clone())
    }

    /// Waits until PostgreSQL and all servers serve.
    pub async fn heal(&mut self) {
        let deadline = Instant::now() + HEALING_MAX;
        while self.database.admin.connect().await.is_err() {
            assert!(Instant::now() < deadline, "PostgreSQL does not come back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for server in &self.servers {
            let ready = format!("{}/readyz", server.address());
            while !self.client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
                assert!(Instant::now() < deadline, "server {} does not serve", server.number);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    pub async fn end(self) {
        drop(self.servers);
        self.cluster.stop().await;
    }
}

/// A process of `payerbase serve`, with connections to PostgreSQL that can be cut.
pub struct Server {
    pub proxy: Proxy,
    number: usize,
    /// URL of the database.
    url: String,
    process: Option<Child>,
    addresses: Arc<Addresses>,
    panics: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a process, again and again while the database is away.
    async fn launch(&mut self) {
        for _start in 0..10 {
            let mut process = Command::new(PROGRAM)
                .args(["serve", "--port", "0"])
                .env("DATABASE_URL", &self.url)
                // An answer does not depend on the server that gives it.
                .env("PAYERBASE_PUBLIC_URL", "https://links.example")
                .env("PAYERBASE_LOG", "error,payerbase::config=info")
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Some((_, address)) = line.split_once(" address=") else { continue };
                let address = address.split(' ').next().unwrap().parse().unwrap();
                let panics = Arc::clone(&self.panics);
                tokio::spawn(async move {
                    while let Ok(Some(line)) = lines.next_line().await {
                        if line.contains("panicked") {
                            panics.lock().unwrap().push(line);
                        }
                    }
                });
                self.process = Some(process);
                return self.addresses.set(self.number, Some(address));
            }
        }
        panic!("server {} does not start", self.number);
    }

    fn address(&self) -> String {
        format!("http://{}", self.addresses.0.lock().unwrap()[self.number].unwrap())
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Child::id)
    }

    /// Kills the process, and starts another one.
    pub async fn kill(&mut self) {
        self.addresses.set(self.number, None);
        let mut process = self.process.take().unwrap();
        process.kill().await.unwrap();
        self.launch().await;
    }

    /// Stops the process as an operator does, and starts another one when it has ended.
    pub async fn restart(&mut self) {
        signal("-TERM", self.pid());
        let mut process = self.process.take().unwrap();
        process.wait().await.unwrap();
        self.addresses.set(self.number, None);
        self.launch().await;
    }
}
