//! The database, the servers and the load generators.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use payerbase::db::embedded::{Cluster, Durability, Engine};
use payerbase::db::migrate::{self, Login};
use sqlx::{ConnectOptions as _, PgConnection};

use crate::data::Tokens;
use crate::load::{Cpu, Load, Sample};
use crate::{data, pgbench, proc, wrk};

pub struct Stage {
    dir: tempfile::TempDir,
    engine: Engine,
    cluster: Cluster,
    servers: Vec<Server>,
    pub tokens: Tokens,
    pub admin: PgConnection,
}

impl Stage {
    /// Starts a cluster with its data, and `servers` server processes with the settings in `environment`.
    pub async fn set(servers: usize, environment: &[(&str, &str)]) -> Self {
        Self::set_each(&vec![environment; servers]).await
    }

    /// Starts a cluster with its data, and a server process for each environment.
    pub async fn set_each(environments: &[&[(&str, &str)]]) -> Self {
        let dir = tempfile::Builder::new().prefix("payerbase-bench-").tempdir().expect("a temporary folder");
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let engine = Engine::find().expect("PostgreSQL");
        let cluster = Cluster::start(
            &dir.path().join("cluster"),
            engine.clone(),
            Durability::PowerFailure,
            &["max_connections=400", "shared_buffers=2GB"],
        )
        .await;
        let cluster = cluster.expect("a cluster");
        let (options, password) = (cluster.access().admin(), cluster.access().app_password());
        migrate::migrate(&options, payerbase::schema(), Login::With(&password)).await.expect("migrated");
        let mut admin = options.connect().await.expect("a connection");
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value: String = sqlx::query_scalar("select current_setting($1)")
                .bind(setting)
                .fetch_one(&mut admin)
                .await
                .expect("a setting");
            assert_eq!(value, "on", "{setting}");
        }
        let tokens = data::make(&mut admin, dir.path()).await;
        wrk::lay_out(dir.path(), &tokens);
        let servers = environments.iter().map(|environment| Server::start(&cluster, environment)).collect();
        Self { dir, engine, cluster, servers, tokens, admin }
    }

    /// Creates rows and fills caches, so that every round measures the same.
    pub async fn warm_up(&mut self) {
        for load in [Load::Floor, Load::IncrementSpread, Load::IncrementHot] {
            self.run(load, 32, 4).await;
        }
    }

    /// Resets the data and runs a load on the first server.
    pub async fn run(&mut self, load: Load, connections: usize, seconds: usize) -> Sample {
        self.share(load, connections, seconds, 1).await
    }

    /// Resets the data and runs a load on the first `servers` servers, with the connections divided between them.
    pub async fn share(&mut self, load: Load, connections: usize, seconds: usize, servers: usize) -> Sample {
        data::prepare(&mut self.admin, load).await;
        self.go_on(load, connections, seconds, servers)
    }

    /// Resets the data and runs a load on one of the servers.
    pub async fn on(&mut self, server: usize, load: Load, connections: usize, seconds: usize) -> Sample {
        data::prepare(&mut self.admin, load).await;
        self.drive(load, connections, seconds, server..server + 1)
    }

    /// Runs a load on the data that earlier loads left.
    pub fn go_on(&self, load: Load, connections: usize, seconds: usize, servers: usize) -> Sample {
        self.drive(load, connections, seconds, 0..servers)
    }

    fn drive(&self, load: Load, connections: usize, seconds: usize, servers: std::ops::Range<usize>) -> Sample {
        let before = self.cpu();
        let started = Instant::now();
        let mut sample = if load == Load::Floor {
            self.pgbench(&[pgbench::FLOOR.to_owned()], connections, seconds)
        } else {
            let shares = self.servers.get(servers).expect("the servers");
            let each = connections / shares.len();
            let start = |server: &Server| wrk::start(self.dir.path(), server.port, load, each, seconds);
            let wrks: Vec<Child> = shares.iter().map(start).collect();
            let samples = wrks.into_iter().map(|wrk| wrk::finish(load, wrk));
            let both = samples.reduce(|one, other| Sample { per_second: one.per_second + other.per_second, ..one });
            both.expect("a server")
        };
        let (after, elapsed) = (self.cpu(), started.elapsed().as_secs_f64());
        sample.cpu = Cpu {
            server: (after.server - before.server) / elapsed,
            postgres: (after.postgres - before.postgres) / elapsed,
            other: (after.other - before.other) / elapsed,
        };
        sample
    }

    /// Runs pgbench with scripts. Each transaction runs one of them.
    pub fn pgbench(&self, scripts: &[String], clients: usize, seconds: usize) -> Sample {
        let program: PathBuf = self.engine.program("pgbench");
        let mut url = self.cluster.access().admin().to_url_lossy();
        // pgbench does not know sqlx's parameters.
        url.set_query(None);
        pgbench::run(&program, url.as_str(), self.dir.path(), scripts, clients, seconds)
    }

    /// The folder of scripts and requests.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The URL of the first server.
    pub fn url(&self) -> String {
        self.url_of(0)
    }

    /// The URL of a server.
    pub fn url_of(&self, server: usize) -> String {
        format!("http://127.0.0.1:{}", self.servers.get(server).expect("a server").port)
    }

    fn cpu(&self) -> Cpu {
        let servers: Vec<u32> = self.servers.iter().map(|server| server.process.id()).collect();
        proc::cpu(&servers, self.cluster.postmaster().unwrap_or_default())
    }

    /// The process of the first server.
    pub fn server(&self) -> u32 {
        self.servers.first().expect("a server").process.id()
    }

    /// The peak memory of the first server, in MiB.
    pub fn server_peak_mib(&self) -> f64 {
        self.servers.first().map_or(f64::NAN, |server| proc::peak_mib(server.process.id()))
    }

    pub async fn clear(self) {
        drop((self.servers, self.admin));
        self.cluster.stop().await;
    }
}

/// A server process, which is killed when the benchmark ends, also by a panic.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(cluster: &Cluster, environment: &[(&str, &str)]) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = free.expect("a port").port();
        let process = Command::new(env!("CARGO_BIN_EXE_payerbase"))
            .args(["serve", "--port", &port.to_string()])
            .env("DATABASE_URL", cluster.access().app().to_url_lossy().as_str())
            .env("PAYERBASE_LOG", "warn")
            .envs(environment.iter().copied())
            .spawn()
            .expect("the server");
        let server = Self { process, port };
        let patience = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "the server does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended already.
        let _gone = self.process.kill().and_then(|()| self.process.wait());
    }
}
