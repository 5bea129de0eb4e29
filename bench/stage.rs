//! The database, the server and the load generators.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use payerbase::auth::Token;
use payerbase::db::embedded::{Cluster, Engine};
use payerbase::db::migrate;
use secrecy::ExposeSecret as _;
use sqlx::{ConnectOptions as _, Executor as _};

use crate::load::{Cpu, Load, Sample};

const PAYERS: usize = 10_000;
/// The unit of CPU time in `/proc`, on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

const FLOOR: &str = "\\set payer random(1, 10000)
insert into public.floor as f (payer, name, value, updated_at) \
values ('0x00000000000000000000000000000000000' || :payer, 'visits', 1, now()) \
on conflict (payer, name) do update set value = f.value + 1, updated_at = excluded.updated_at \
returning value, updated_at;
";

/// Reads the tokens it is given and sends each request with a random one.
const WRK: &str = r#"
local requests = {}
local verb, path, file = os.getenv("BENCH_VERB"), os.getenv("BENCH_PATH"), os.getenv("BENCH_TOKENS")
function init(args)
  math.randomseed(os.time() + tonumber(tostring({}):sub(8)) % 100000)
  for token in io.lines(file) do
    requests[#requests + 1] = wrk.format(verb, path, {["Authorization"] = "Bearer " .. token})
  end
end
function request() return requests[math.random(#requests)] end
"#;

pub struct Stage {
    dir: tempfile::TempDir,
    engine: Engine,
    cluster: Cluster,
    server: Server,
    port: u16,
}

impl Stage {
    /// Sets up everything that is measured.
    pub async fn set() -> Self {
        let has_wrk = Command::new("wrk").arg("--version").stdout(Stdio::null()).status().is_ok();
        assert!(has_wrk, "wrk is missing: apt-get install wrk");
        let dir = tempfile::Builder::new().prefix("payerbase-bench-").tempdir().expect("a temporary folder");
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let engine = Engine::find().expect("PostgreSQL");
        let cluster = Cluster::start(&dir.path().join("cluster"), engine.clone(), &["max_connections=400"]).await;
        let cluster = cluster.expect("a cluster");
        let mut admin = cluster.access().admin().connect().await.expect("a connection");
        migrate::migrate(&mut admin, Some(&cluster.access().app_password())).await.expect("migrated");
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value: String = sqlx::query_scalar("select current_setting($1)")
                .bind(setting)
                .fetch_one(&mut admin)
                .await
                .expect("a setting");
            assert_eq!(value, "on", "{setting}");
        }
        admin
            .execute(
                "create table public.floor (payer text, name text, value bigint, updated_at timestamptz, \
                 primary key (payer, name)) with (fillfactor = 70)",
            )
            .await
            .expect("the floor's table");
        make_payers(&mut admin, dir.path()).await;
        fs::write(dir.path().join("floor.sql"), FLOOR).expect("written");
        fs::write(dir.path().join("wrk.lua"), WRK).expect("written");
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let server = Command::new(env!("CARGO_BIN_EXE_payerbase"))
            .args(["serve", "--port", &port.to_string()])
            .env("DATABASE_URL", cluster.access().app().to_url_lossy().as_str())
            .env("PAYERBASE_LOG", "warn")
            .spawn()
            .expect("the server");
        let stage = Self { dir, engine, cluster, server: Server(server), port };
        let patience = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", stage.port)).is_err() {
            assert!(Instant::now() < patience, "the server does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        stage
    }

    /// Makes the rows and fills the caches, so that every round measures the same.
    pub fn warm_up(&self) {
        for load in [Load::Floor, Load::IncrementSpread, Load::IncrementHot] {
            self.run(load, 32, 4);
        }
    }

    pub fn run(&self, load: Load, connections: usize, seconds: usize) -> Sample {
        let before = self.cpu();
        let started = Instant::now();
        let mut sample = match load {
            Load::Floor => self.pgbench(connections, seconds),
            Load::Constant => self.wrk("GET", "/healthz", "one.txt", connections, seconds),
            Load::IncrementSpread => {
                self.wrk("POST", "/v1/counters/visits/increment", "tokens.txt", connections, seconds)
            }
            Load::IncrementHot => self.wrk("POST", "/v1/counters/visits/increment", "one.txt", connections, seconds),
            Load::Get => self.wrk("GET", "/v1/counters/visits", "tokens.txt", connections, seconds),
        };
        let (after, elapsed) = (self.cpu(), started.elapsed().as_secs_f64());
        sample.cpu = Cpu {
            server: (after.server - before.server) / elapsed,
            postgres: (after.postgres - before.postgres) / elapsed,
            other: (after.other - before.other) / elapsed,
        };
        sample
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn wrk(&self, verb: &str, path: &str, tokens: &str, connections: usize, seconds: usize) -> Sample {
        let threads = connections.min(2);
        let output = Command::new("wrk")
            .args(["--latency", &format!("-t{threads}"), &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
            .arg(self.path("wrk.lua"))
            .arg(format!("http://127.0.0.1:{}", self.port))
            .env("BENCH_VERB", verb)
            .env("BENCH_PATH", path)
            .env("BENCH_TOKENS", self.path(tokens))
            .output()
            .expect("wrk");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!printed.contains("Non-2xx") && !printed.contains("Socket errors"), "{verb} {path}:\n{printed}");
        let after = |label: &str| {
            let line = printed.lines().find_map(|line| line.trim().strip_prefix(label));
            line.expect("wrk prints it").trim().to_owned()
        };
        let ms = |text: String| {
            let (number, factor) = match text.strip_suffix("us") {
                Some(number) => (number.to_owned(), 0.001),
                None => match text.strip_suffix("ms") {
                    Some(number) => (number.to_owned(), 1.0),
                    None => (text.trim_end_matches('s').to_owned(), 1_000.0),
                },
            };
            number.parse::<f64>().expect("a number") * factor
        };
        Sample {
            per_second: after("Requests/sec:").parse().expect("a number"),
            p50_ms: ms(after("50%")),
            p99_ms: ms(after("99%")),
            cpu: Cpu::default(),
        }
    }

    fn pgbench(&self, clients: usize, seconds: usize) -> Sample {
        let threads = clients.min(2).to_string();
        let mut url = self.cluster.access().admin().to_url_lossy();
        // The parameters are sqlx's own.
        url.set_query(None);
        let output = Command::new(self.engine.program("pgbench"))
            .args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", &threads, "-T", &seconds.to_string()])
            .args(["-l", "--sampling-rate=0.25", "-f"])
            .arg(self.path("floor.sql"))
            .arg(url.as_str())
            .current_dir(self.dir.path())
            .output()
            .expect("pgbench");
        assert!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let tps = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        let mut latencies_us = self.take_log();
        latencies_us.sort_unstable();
        let quantile = |q: usize| {
            let at = latencies_us.len() * q / 100;
            latencies_us.get(at).map_or(f64::NAN, |us| f64::from(*us) / 1_000.0)
        };
        Sample {
            per_second: tps.unwrap_or_else(|| panic!("pgbench:\n{printed}")),
            p50_ms: quantile(50),
            p99_ms: quantile(99),
            cpu: Cpu::default(),
        }
    }

    /// The latencies of pgbench's transactions, in microseconds, from its log files.
    fn take_log(&self) -> Vec<u32> {
        let mut latencies = Vec::new();
        for entry in fs::read_dir(self.dir.path()).expect("the folder").flatten() {
            if entry.file_name().to_string_lossy().starts_with("pgbench_log") {
                let log = fs::read_to_string(entry.path()).expect("the log");
                latencies.extend(log.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u32>().ok()));
                fs::remove_file(entry.path()).expect("removed");
            }
        }
        latencies
    }

    /// CPU time used until now, in seconds.
    fn cpu(&self) -> Cpu {
        let server = process_cpu(self.server.0.id()).unwrap_or_default();
        let postmaster = self.cluster.postmaster().unwrap_or_default();
        let mut postgres = process_cpu(postmaster).unwrap_or_default();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let pid = entry.file_name().to_string_lossy().parse::<u32>();
            if let Ok(pid) = pid
                && parent(pid) == Some(postmaster)
            {
                postgres += process_cpu(pid).unwrap_or_default();
            }
        }
        let stat = fs::read_to_string("/proc/stat").expect("/proc/stat");
        let fields: Vec<f64> =
            stat.lines().next().expect("a line").split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq
        let busy: f64 =
            fields.iter().enumerate().filter(|(place, _)| ![3, 4].contains(place)).map(|(_, ticks)| ticks).sum();
        Cpu { server, postgres, other: busy / TICKS_PER_SECOND - server - postgres }
    }

    pub fn server_peak_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.0.id())).expect("the server is alive");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
        let kib: f64 = peak.expect("Linux says it");
        kib / 1_024.0
    }

    pub async fn clear(self) {
        drop(self.server);
        self.cluster.stop().await;
    }
}

/// The server, which ends when the benchmark does, also by a panic.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// A counter and a token for each payer; the tokens all in one file, and one of them alone in another.
async fn make_payers(admin: &mut sqlx::PgConnection, dir: &Path) {
    let (mut ids, mut hashes, mut payers, mut texts) = (Vec::new(), Vec::new(), Vec::new(), String::new());
    for place in 0..PAYERS {
        let (token, text) = Token::generate();
        ids.push(token.id.as_str().to_owned());
        hashes.push(token.secret.as_bytes().to_vec());
        payers.push(format!("0x{place:040x}"));
        writeln!(texts, "{}", text.expose_secret()).expect("written");
    }
    sqlx::query(
        "select count(auth.create_token(id, hash, payer, '{*}', 'bench', 864000))
         from unnest($1::text[], $2::bytea[], $3::text[]) as t (id, hash, payer)",
    )
    .bind(ids)
    .bind(hashes)
    .bind(&payers)
    .execute(&mut *admin)
    .await
    .expect("tokens");
    // So that `getCounter` finds one whatever payer it asks for.
    sqlx::query("insert into tenant.counters select payer, 'visits', 0, null, null, now(), now() from unnest($1::text[]) as t (payer)")
        .bind(payers)
        .execute(admin)
        .await
        .expect("counters");
    fs::write(dir.join("tokens.txt"), &texts).expect("written");
    fs::write(dir.join("one.txt"), texts.lines().next().expect("a token")).expect("written");
}

/// The fields of `/proc/<pid>/stat` after the name, which may contain anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// User and system time, of ended children too.
fn process_cpu(pid: u32) -> Option<f64> {
    let fields = stat(pid)?;
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Some(ticks / TICKS_PER_SECOND)
}
