//! The faults: of the servers and of their database, at the same time.

use std::time::{Duration, Instant};

use payerbase::db::embedded::Cluster;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::{ConnectOptions as _, Row as _};

use super::servers::{HEALING_MAX, Server, World, signal};
use crate::faults::kill;

/// Which faults happen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    None,
    /// PostgreSQL is killed.
    Crashes,
    All,
    /// The number of kills of workers of SQL, servers and PostgreSQL, each during calls.
    Kills(usize),
}

/// Calls that are done between two kills.
const CALLS_BETWEEN_KILLS: u64 = 20;

/// Causes faults until a time. Returns their number.
pub async fn cause(world: &mut World, faults: Faults, until: Instant, seed: u64) -> usize {
    let World { cluster, servers, .. } = world;
    let (mut one, mut other) = (StdRng::seed_from_u64(seed), StdRng::seed_from_u64(!seed));
    let of_servers = async {
        let mut count = 0;
        while faults == Faults::All && pause(&mut one, until).await {
            of_server(servers, &mut one).await;
            count += 1;
        }
        count
    };
    let of_database = async {
        let mut count = 0;
        while pause(&mut other, until).await {
            match faults {
                Faults::All => of_database(cluster, &mut other).await,
                Faults::Crashes | Faults::None | Faults::Kills(_) => crash(cluster, &mut other).await,
            }
            count += 1;
        }
        count
    };
    let (servers, database) = tokio::join!(of_servers, of_database);
    servers + database
}

/// Kills workers, servers and PostgreSQL, each during calls.
///   count  the number of kills
///   done   tells how many calls were done so far
pub async fn kill_often(world: &mut World, count: usize, seed: u64, done: impl Fn() -> u64) {
    let random = &mut StdRng::seed_from_u64(seed);
    for _ in 0..count {
        let next = done() + CALLS_BETWEEN_KILLS;
        let deadline = Instant::now() + HEALING_MAX;
        while done() < next {
            assert!(Instant::now() < deadline, "no call is done any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..100))).await;
        let server = random.random_range(0..world.servers.len());
        match random.random_range(0..3) {
            0 => signal("-KILL", worker(world.servers[server].pid(), random)),
            1 => world.servers[server].kill().await,
            _ => crash(&mut world.cluster, random).await,
        }
    }
}

/// A worker of a server. `None` if it has none now.
fn worker(server: Option<u32>, random: &mut StdRng) -> Option<u32> {
    let found = std::process::Command::new("pgrep").args(["-P", &server?.to_string()]).output().unwrap();
    let workers: Vec<u32> = String::from_utf8(found.stdout).unwrap().lines().map(|pid| pid.parse().unwrap()).collect();
    (!workers.is_empty()).then(|| workers[random.random_range(0..workers.len())])
}

/// Waits for the next fault. Returns whether there is one.
async fn pause(random: &mut StdRng, until: Instant) -> bool {
    tokio::time::sleep(Duration::from_millis(random.random_range(200..1_200))).await;
    Instant::now() < until
}

async fn of_server(servers: &mut [Server], random: &mut StdRng) {
    let index = random.random_range(0..servers.len());
    let server = &mut servers[index];
    match random.random_range(0..8) {
        0..3 => server.kill().await,
        3 => server.restart().await,
        4..6 => stop(server.pid(), random).await,
        _ => server.proxy.close_connections().await,
    }
}

/// Kills PostgreSQL, and starts it again.
async fn crash(cluster: &mut Cluster, random: &mut StdRng) {
    kill(cluster).await;
    tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
    cluster.launch().await.unwrap();
}

async fn of_database(cluster: &mut Cluster, random: &mut StdRng) {
    match random.random_range(0..12) {
        0 => crash(cluster, random).await,
        // PostgreSQL ends all its sessions, and recovers.
        1 => signal("-KILL", session(cluster, random).await),
        2..5 => stop(session(cluster, random).await, random).await,
        5..8 => signal("-INT", session(cluster, random).await),
        // As pg_terminate_backend does.
        _ => signal("-TERM", session(cluster, random).await),
    }
}

/// Stops a process for a while.
async fn stop(pid: Option<u32>, random: &mut StdRng) {
    signal("-STOP", pid);
    tokio::time::sleep(Duration::from_millis(random.random_range(50..2_000))).await;
    signal("-CONT", pid);
}

/// A session of a server, one of those that were used last. `None` while PostgreSQL recovers.
async fn session(cluster: &Cluster, random: &mut StdRng) -> Option<u32> {
    let mut admin = cluster.access().admin().connect().await.ok()?;
    let sessions = "select pid from pg_stat_activity where usename = 'payerbase_app'
        order by state = 'active' desc, query_start desc";
    let sessions = sqlx::query(sessions).fetch_all(&mut admin).await.ok()?;
    let session = sessions.get(random.random_range(0..sessions.len().clamp(1, 4)))?;
    u32::try_from(session.get::<i32, _>(0)).ok()
}
