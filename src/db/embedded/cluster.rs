//! One PostgreSQL cluster in a folder, run as a child process.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::process::{Child, Command};

use super::create::{Credentials, create};
use super::durability::Durability;
use super::engine::Engine;
use super::error::{Error, context};
use super::files::{Owner, private};
use super::log_file::{self, Keeper};
use crate::db::check::SERVER_VERSION_NUM_MIN;
use crate::db::{migrate, reason};

/// Maximum length of the socket's folder, in bytes. Every system accepts a socket path of 103 bytes, and PostgreSQL
/// appends `/.s.PGSQL.5432`.
const SOCKET_DIR_BYTES_MAX: usize = 88;
/// How long PostgreSQL may take to start, recovery after a crash included.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long PostgreSQL may take to stop before it gets SIGQUIT, which stops it immediately.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The oldest major version of PostgreSQL that payerbase supports.
const MAJOR_MIN: u32 = SERVER_VERSION_NUM_MIN.unsigned_abs() / 10_000;

/// Number of lines of PostgreSQL's log in the error message when it does not start.
const LOG_LINES_SHOWN: usize = 10;

/// A shell script that stops PostgreSQL when its standard input closes, which happens when this process ends in any
/// way. $1 is the data folder. $2 is the process id that PostgreSQL must still have.
const LEASH: &str = r#"read -r _; [ "$(head -n 1 "$1/postmaster.pid" 2>/dev/null)" = "$2" ] && kill -INT "$2""#;

/// Connection options of the cluster in a folder.
pub struct Access {
    socket_dir: PathBuf,
    credentials: Credentials,
}

impl Access {
    /// Reads the passwords of the cluster in `dir`.
    ///
    /// # Errors
    /// When `dir` has no cluster.
    pub fn to(dir: &Path) -> Result<Self, Error> {
        let dir = context(std::path::absolute(dir), || format!("resolve {}", dir.display()))?;
        let path = dir.join("credentials.json");
        let read = fs::read_to_string(&path).and_then(|text| serde_json::from_str(&text).map_err(Into::into));
        let credentials = read.map_err(|source| Error::NoCluster { dir: dir.clone(), source })?;
        Ok(Self { socket_dir: socket_dir(&dir), credentials })
    }

    /// The folder of the Unix socket: in the data folder, or in the temporary folder if that path would be too long for a socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Whether PostgreSQL has a socket: it runs, or was killed.
    #[must_use]
    pub fn has_socket(&self) -> bool {
        self.socket_dir.join(".s.PGSQL.5432").exists()
    }

    /// Connects as the superuser.
    #[must_use]
    pub fn admin(&self) -> PgConnectOptions {
        self.options("postgres", &self.credentials.admin)
    }

    /// Connects as `payerbase_app`, the role of the server.
    #[must_use]
    pub fn app(&self) -> PgConnectOptions {
        self.options("payerbase_app", &self.credentials.app)
    }

    /// The password of `payerbase_app`.
    #[must_use]
    pub fn app_password(&self) -> secrecy::SecretString {
        self.credentials.app.clone().into()
    }

    /// Logs in as the superuser. Sets its password if the cluster still has that of the archive.
    async fn log_in(&self) -> Result<(), sqlx::Error> {
        let options = self.admin().database("postgres");
        let mut connection = match (PgConnection::connect_with(&options).await, &self.credentials.archived) {
            (Err(sqlx::Error::Database(refused)), Some(archived)) if refused.code().as_deref() == Some("28P01") => {
                PgConnection::connect_with(&options.password(archived)).await?
            }
            (connected, _) => return connected?.close().await,
        };
        let set = format!("alter role postgres password '{}'", self.credentials.admin);
        connection.execute(AssertSqlSafe(set)).await?;
        connection.close().await
    }

    fn options(&self, user: &str, password: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(5432)
            .username(user)
            .password(password)
            .database("payerbase")
            .ssl_mode(PgSslMode::Disable)
    }
}

/// Part of PostgreSQL's message when processes of an earlier postmaster are still running.
const STILL_IN_USE: &str = "pre-existing shared memory block";

/// A running PostgreSQL cluster in a folder.
pub struct Cluster {
    dir: PathBuf,
    engine: Engine,
    access: Access,
    settings: Vec<String>,
    running: Option<Running>,
    /// Locks the folder while this process uses it.
    _lock: File,
}

struct Running {
    postgres: Child,
    /// PostgreSQL runs as long as its standard input is open.
    leash: Child,
    _log: Keeper,
}

impl Cluster {
    /// Starts the cluster in `dir`, and creates it first if it is missing.
    ///   settings  settings of PostgreSQL, as `name=value`
    ///
    /// # Errors
    /// [`Error::InUse`] when another payerbase runs on the folder; other errors when the cluster cannot be created or
    /// started.
    pub async fn start(dir: &Path, engine: Engine, durability: Durability, settings: &[&str]) -> Result<Self, Error> {
        let dir = context(std::path::absolute(dir), || format!("resolve {}", dir.display()))?;
        let unusable = |source| Error::Folder { dir: dir.clone(), source };
        fs::create_dir_all(&dir).map_err(unusable)?;
        let lock = private(File::options().write(true).create(true)).open(dir.join("payerbase.lock"));
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(dir)),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        check_versions(&dir, engine.major()?)?;
        if !dir.join("data").exists() {
            create(&dir, &engine, durability).await?;
        }
        let mut cluster = Self {
            access: Access::to(&dir)?,
            dir,
            engine,
            settings: durability.settings().iter().chain(settings).map(|setting| format!("--{setting}")).collect(),
            running: None,
            _lock: lock,
        };
        cluster.launch().await?;
        cluster.access.credentials.forget_archived(&cluster.dir)?;
        migrate::create_database(&cluster.access.admin().database("postgres")).await?;
        Ok(cluster)
    }

    /// Connection options of the cluster.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The process id of the postmaster.
    #[must_use]
    pub fn postmaster(&self) -> Option<u32> {
        self.running.as_ref().and_then(|running| running.postgres.id())
    }

    /// Waits until PostgreSQL ends by itself. Safe to cancel.
    pub async fn died(&mut self) {
        match &mut self.running {
            Some(running) => drop(running.postgres.wait().await),
            None => std::future::pending().await,
        }
    }

    /// Starts PostgreSQL again after it [died](Self::died).
    ///
    /// # Errors
    /// When it does not start.
    pub async fn launch(&mut self) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + STOP_TIMEOUT;
        loop {
            match self.try_launch().await {
                // The children of a killed postmaster need a moment to notice its end.
                Err(Error::Program { output, .. })
                    if output.contains(STILL_IN_USE) && tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                launched => return launched,
            }
        }
    }

    async fn try_launch(&mut self) -> Result<(), Error> {
        let data = self.dir.join("data");
        let socket_dir = socket_dir(&self.dir);
        stop_orphan(&data, &socket_dir).await;
        let owner = Owner::of(&self.dir);
        owner.make_folder(&socket_dir, 0o700)?;
        let log_file = self.dir.join("postgres.log");
        let log = log_file::open(&log_file)?;
        let log_too = context(log.try_clone(), || format!("write {}", log_file.display()))?;
        let mut postgres = owner.run(Command::new(self.engine.program("postgres")));
        postgres
            .arg("-D")
            .arg(&data)
            .args(["--listen_addresses=", "--port=5432"])
            .arg(format!("--unix_socket_directories={}", socket_dir.display()))
            .args(&self.settings)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too)
            // Ctrl-C reaches every process of the terminal's group, but PostgreSQL must run until the server has
            // drained.
            .process_group(0);
        let postgres = context(postgres.spawn(), || "start postgres".to_owned())?;
        let mut leash = owner.run(Command::new("sh"));
        leash
            .args(["-c", LEASH, "leash"])
            .arg(&data)
            .arg(postgres.id().unwrap_or_default().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let leash = context(leash.spawn(), || "start sh".to_owned())?;
        self.running = Some(Running { postgres, leash, _log: Keeper::of(log_file.clone()) });
        self.wait_until_ready(&log_file).await
    }

    async fn wait_until_ready(&mut self, log: &Path) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + START_TIMEOUT;
        loop {
            let refused = match self.access.log_in().await {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            let exited = match &mut self.running {
                Some(running) => context(running.postgres.try_wait(), || "watch postgres".to_owned())?.is_some(),
                None => true,
            };
            if exited || tokio::time::Instant::now() > deadline {
                let printed = fs::read_to_string(log).unwrap_or_default();
                let end: Vec<&str> = printed.lines().rev().take(LOG_LINES_SHOWN).collect();
                let end: String = end.into_iter().rev().map(|line| format!("\n{line}")).collect();
                return Err(Error::Program { program: "postgres", output: format!("{}{end}", reason(&refused)) });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops PostgreSQL and waits for its end.
    pub async fn stop(mut self) {
        let Some(mut running) = self.running.take() else { return };
        signal(running.postgres.id(), Signal::INT);
        if tokio::time::timeout(STOP_TIMEOUT, running.postgres.wait()).await.is_err() {
            tracing::warn!("PostgreSQL does not stop; sending SIGQUIT");
            signal(running.postgres.id(), Signal::QUIT);
            drop(running.postgres.wait().await);
        }
        drop(running.leash.stdin.take());
        drop(running.leash.wait().await);
    }
}

/// Checks that these programs of PostgreSQL are new enough, and of the version that made the cluster in `dir`.
fn check_versions(dir: &Path, major: u32) -> Result<(), Error> {
    if major < MAJOR_MIN {
        return Err(Error::TooOld { major });
    }
    let made_by = fs::read_to_string(dir.join("data/PG_VERSION")).ok().and_then(|text| text.trim().parse().ok());
    match made_by {
        Some(made_by) if made_by != major => Err(Error::OtherVersion { dir: dir.to_owned(), made_by, major }),
        _ => Ok(()),
    }
}

/// The folder of the socket: in the data folder, or in /tmp if that path is too long for a socket.
fn socket_dir(dir: &Path) -> PathBuf {
    let run = dir.join("run");
    if run.as_os_str().len() <= SOCKET_DIR_BYTES_MAX {
        return run;
    }
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(dir.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    PathBuf::from("/tmp").join(format!("payerbase-{name}"))
}

fn signal(process: Option<u32>, signal: Signal) {
    let pid = process.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // The process may have ended already.
        let _gone = kill_process(pid, signal);
    }
}

/// Stops a PostgreSQL that a killed payerbase left behind. Its leash stops it too, but this function waits for its end.
/// A SIGINT in the middle of a recovery can make PostgreSQL hang, so SIGQUIT follows: the next start recovers anyway.
/// Once PostgreSQL has ended, its lock files are stale, because this process holds the folder's lock. They must go,
/// because another process may have got the process id in them.
async fn stop_orphan(data: &Path, socket_dir: &Path) {
    let named = data.join("postmaster.pid");
    let orphan = || -> Option<u32> {
        let pid: u32 = fs::read_to_string(&named).ok()?.lines().next()?.trim().parse().ok()?;
        let command = command_line(pid)?;
        (command.contains("postgres") && command.contains(&*data.to_string_lossy())).then_some(pid)
    };
    for how in [Signal::INT, Signal::QUIT] {
        signal(orphan(), how);
        let deadline = tokio::time::Instant::now() + STOP_TIMEOUT;
        while orphan().is_some() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    if orphan().is_none() {
        for stale in [named, socket_dir.join(".s.PGSQL.5432.lock")] {
            // The file may be missing.
            let _none = fs::remove_file(&stale);
        }
    }
}

/// The command line of a process, from `/proc` if it exists, otherwise from `ps`.
fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&arguments).replace('\0', " "));
    }
    let ps = std::process::Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&ps.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    #[test]
    fn other_versions_of_postgres_are_refused() {
        let dir = std::env::temp_dir().join(format!("payerbase-version-{:016x}", rand::random::<u64>()));
        fs::create_dir_all(dir.join("data")).unwrap();
        assert!(check_versions(&dir, MAJOR_MIN).is_ok());
        assert!(matches!(check_versions(&dir, MAJOR_MIN - 1), Err(Error::TooOld { .. })));
        fs::write(dir.join("data/PG_VERSION"), "18\n").unwrap();
        assert!(check_versions(&dir, 18).is_ok());
        let refused = check_versions(&dir, 17).unwrap_err().to_string();
        assert!(refused.contains("by PostgreSQL 18") && refused.contains("of PostgreSQL 17"), "{refused}");
        fs::remove_dir_all(&dir).unwrap();
    }

    /// PostgreSQL also ignores a SIGINT that arrives during a recovery.
    #[tokio::test]
    async fn a_hanging_orphan_process_is_killed() {
        let data = std::env::temp_dir().join(format!("payerbase-orphan-{:016x}", rand::random::<u64>()));
        fs::create_dir(&data).unwrap();
        let deaf = "import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
print('deaf', flush=True)
time.sleep(60)";
        let mut orphan = std::process::Command::new("python3")
            .args(["-c", deaf, "postgres"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BufReader::new(orphan.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        fs::write(data.join("postmaster.pid"), format!("{}\n", orphan.id())).unwrap();
        let reaped = tokio::task::spawn_blocking(move || orphan.wait().unwrap());
        stop_orphan(&data, &data).await;
        assert!(!data.join("postmaster.pid").exists());
        assert!(!reaped.await.unwrap().success());
        fs::remove_dir_all(&data).unwrap();
    }
}
