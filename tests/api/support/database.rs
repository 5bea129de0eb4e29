//! A PostgreSQL for the tests: the embedded one, or a container with `PAYERBASE_TEST_DB=testcontainers`.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use payerbase::db::embedded::{Cluster, Durability, Engine};
use payerbase::db::migrate::{self, Login};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

const APP_PASSWORD: &str = "only-for-tests-on-loopback";

/// A migrated database.
#[derive(Clone)]
pub struct TestDatabase {
    /// Connection options of the superuser.
    pub admin: PgConnectOptions,
    /// Connection options of the server, `payerbase_app`.
    pub app: PgConnectOptions,
}

impl TestDatabase {
    /// The database that tests share.
    pub async fn shared() -> Self {
        static SHARED: tokio::sync::OnceCell<TestDatabase> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_init(Self::own).await.clone()
    }

    /// A new database, for tests that break something in it.
    pub async fn own() -> Self {
        let server = server();
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut connection = server.connect().await.unwrap();
        connection
            .execute(AssertSqlSafe(format!("create database {name} template template0 encoding 'UTF8'")))
            .await
            .unwrap();
        connection.close().await.unwrap();
        let admin = server.clone().database(&name);
        // Roles belong to the whole cluster, and concurrent changes of one role fail.
        static ROLES: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let roles = ROLES.lock().await;
        let password = APP_PASSWORD.to_owned().into();
        migrate::migrate(&admin, payerbase::schema(), Login::With(&password)).await.unwrap();
        drop(roles);
        let app = admin.clone().username("payerbase_app").password(APP_PASSWORD);
        Self { admin, app }
    }

    pub async fn admin(&self) -> PgConnection {
        self.admin.connect().await.unwrap()
    }
}

/// The PostgreSQL server that all tests of this process share. The first test starts it, and it stops when the process
/// ends.
fn server() -> &'static PgConnectOptions {
    static SERVER: OnceLock<PgConnectOptions> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var("PAYERBASE_TEST_DB").as_deref() {
        Err(_) | Ok("embedded") => in_background(embedded),
        Ok("testcontainers") => in_background(container),
        Ok(other) => panic!("PAYERBASE_TEST_DB={other}: expected `embedded` or `testcontainers`"),
    })
}

/// Starts a server on a thread that runs until the process ends, outside of any test's runtime.
fn in_background<F: Future<Output = (PgConnectOptions, impl Sized)>>(
    start: impl FnOnce() -> F + Send + 'static,
) -> PgConnectOptions {
    let (started, options) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (options, _keep) = start().await;
            started.send(options).unwrap();
            std::future::pending::<()>().await;
        });
    });
    options.recv().expect("the database starts")
}

async fn embedded() -> (PgConnectOptions, Cluster) {
    let cluster = temporary_cluster().await;
    (cluster.access().admin().database("postgres"), cluster)
}

/// A cluster in a new folder. A shell removes the folder when this process ends, even if it is killed.
pub async fn temporary_cluster() -> Cluster {
    let dir = tempfile::Builder::new().prefix("payerbase-test-").tempdir().unwrap().keep();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let sweep = r#"read -r _; while [ -e "$0/data/postmaster.pid" ] && [ "$((tries += 1))" -lt 100 ]; do sleep 0.1; done; rm -rf "$0""#;
    let mut sweeper = Command::new("sh");
    sweeper.args(["-c", sweep]).arg(&dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let sweeper = std::os::unix::process::CommandExt::process_group(&mut sweeper, 0).spawn().unwrap();
    // Keep the pipe to the shell open: its standard input closes when this process ends.
    std::mem::forget(sweeper);
    let engine = tokio::task::spawn_blocking(|| Engine::find().unwrap()).await.unwrap();
    Cluster::start(&dir, engine, Durability::EndOfProcess, &["max_connections=300"]).await.unwrap()
}

#[cfg(feature = "testcontainers")]
async fn container() -> (PgConnectOptions, impl Sized) {
    use testcontainers::core::{ContainerPort, WaitFor};
    use testcontainers::runners::AsyncRunner as _;
    use testcontainers::{GenericImage, ImageExt as _};

    let container = GenericImage::new("pgvector/pgvector", "pg18")
        .with_exposed_port(ContainerPort::Tcp(5432))
        .with_wait_for(WaitFor::message_on_stderr("database system is ready to accept connections"))
        .with_env_var("POSTGRES_PASSWORD", APP_PASSWORD)
        .with_cmd(["postgres", "-c", "max_connections=300"])
        .start()
        .await
        .expect("the container starts");
    let port = container.get_host_port_ipv4(5432).await.expect("its port");
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("postgres")
        .password(APP_PASSWORD)
        .database("postgres");
    // The image starts the server twice: the first time only to initialise the cluster.
    for _ in 0..200 {
        match options.connect().await {
            Ok(connection) => return (connection.close().await.map(|()| options).expect("closed"), container),
            Err(_starting) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
    panic!("the container does not answer");
}

#[cfg(not(feature = "testcontainers"))]
async fn container() -> (PgConnectOptions, ()) {
    panic!("PAYERBASE_TEST_DB=testcontainers needs `cargo test --features testcontainers`");
}
