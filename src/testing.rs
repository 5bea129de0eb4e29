//! A server for tests of Rust programs, in the process of the test.
//!
//! It has an embedded PostgreSQL with data of its own, which is deleted when the server stops. Servers run side by side.
//!
//! ```no_run
//! # async fn test() -> Result<(), payerbase::testing::Error> {
//! let server = payerbase::testing::Server::start().await?;
//! let (url, token) = (server.url(), server.token("0x52908400098527886e0f7030069857d2e4169ee7"));
//! // .. calls `url` with `Authorization: Bearer <token>` ..
//! server.advance_clock(std::time::Duration::from_secs(3_600)).await?;
//! # Ok(())
//! # }
//! ```

use std::error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::app::{Application, ForTests};
use crate::call::Engine as EngineOfCalls;
use crate::config::Config;
use crate::db::Database;
use crate::db::embedded::{Cluster, Durability, Engine};
use crate::db::migrate::{self, Login};
use crate::folders::temporary_folder;
use crate::http::drain::Stop;
use crate::payer::Payer;
use crate::slices::schema;
use crate::sweeper::erase_all;
use crate::test_kit::TestKit;
use crate::wallet::{MAIN_NETWORKS, TEST_NETWORKS};

/// Why a server does not start, or does not do what a test asks.
pub type Error = Box<dyn error::Error + Send + Sync>;

/// How a server starts.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The program `payerbase`, which runs SQL in processes of its own. Default: the one on the `PATH`.
    pub program: Option<PathBuf>,
}

/// A running server. When this is dropped, it stops and its data is deleted; that blocks until PostgreSQL has ended. Nothing drops
/// a `static`: PostgreSQL ends with the process, but the data stays in the folder for temporary files.
pub struct Server {
    url: String,
    engine: Arc<EngineOfCalls>,
    kit: TestKit,
    stop: StopOnDrop,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the thread of a server tells when it serves.
struct Ready {
    url: String,
    engine: Arc<EngineOfCalls>,
    kit: TestKit,
    stop: StopOnDrop,
}

/// Stops a server when it is dropped, also by a test that does not wait for the start any more.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.now();
    }
}

impl Server {
    /// Starts a server. The first start on a machine downloads PostgreSQL (25 MB), with Python and pip.
    ///
    /// # Errors
    /// When PostgreSQL cannot be downloaded or does not start.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(Options::default()).await
    }

    /// Like [`Server::start`], with options.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(options: Options) -> Result<Self, Error> {
        let (started, ready) = oneshot::channel();
        // The server outlives the runtime of the test that starts it.
        let thread = std::thread::Builder::new().name("payerbase".to_owned()).spawn(move || serve(options, started))?;
        let Ready { url, engine, kit, stop } =
            ready.await.map_err(|_panicked| "the server ended while it started")??;
        Ok(Self { url, engine, kit, stop, thread: Some(thread) })
    }

    /// Its base URL, `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token of a payer, with all rights. With a new payer, a test has no data of others.
    #[must_use]
    pub fn token(&self, payer: &str) -> String {
        format!("pb_test_{payer}")
    }

    /// Erases the data of a payer, as `erasePayer` does.
    ///
    /// # Errors
    /// If it is no payer, or PostgreSQL does not answer.
    pub async fn erase(&self, payer: &str) -> Result<(), Error> {
        let erased = erase_all(&self.engine, &payer.parse::<Payer>()?).await;
        erased.map(drop).map_err(|problem| problem.to_string().into())
    }

    /// Moves the clock of all payers forward. Waiting calls notice it within a second.
    ///
    /// # Errors
    /// If the clock would go more than 100 years ahead of the real time, or PostgreSQL does not answer.
    pub async fn advance_clock(&self, by: Duration) -> Result<(), Error> {
        self.kit.advance(by).await.map(drop).map_err(|problem| problem.to_string().into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.0.now();
        if let Some(thread) = self.thread.take() {
            // A panic of the server was printed.
            let _ended = thread.join();
        }
    }
}

/// Serves until the server is told to stop.
fn serve(options: Options, started: oneshot::Sender<Result<Ready, Error>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(error.into()))),
    };
    runtime.block_on(async {
        match prepare(options).await {
            Ok(prepared) => prepared.run(started).await,
            Err(error) => drop(started.send(Err(error))),
        }
    });
}

/// A server that does not serve yet.
struct Prepared {
    application: Application,
    cluster: Cluster,
    kit: TestKit,
    _folder: tempfile::TempDir,
}

async fn prepare(options: Options) -> Result<Prepared, Error> {
    let folder = temporary_folder()?;
    let engine = tokio::task::spawn_blocking(Engine::find).await??;
    let cluster = Cluster::start(folder.path(), engine, Durability::EndOfProcess, &[]).await?;
    match build(&cluster, options).await {
        Ok((application, kit)) => Ok(Prepared { application, cluster, kit, _folder: folder }),
        Err(error) => {
            cluster.stop().await;
            Err(error)
        }
    }
}

async fn build(cluster: &Cluster, options: Options) -> Result<(Application, TestKit), Error> {
    let (admin, app) = (cluster.access().admin(), cluster.access().app());
    migrate::migrate(&admin, schema(), Login::With(&cluster.access().app_password())).await?;
    let mut config = Config::default_settings()?;
    config.networks = Some([MAIN_NETWORKS, TEST_NETWORKS].concat());
    let mut settings = config.settings(Some(0), options.program.unwrap_or_else(|| "payerbase".into())).await?;
    let tests = settings.for_tests.insert(ForTests::new(&admin, None));
    let kit = tests.kit().clone();
    Ok((Application::build(Database::new(app, config.pool_max), &settings)?, kit))
}

impl Prepared {
    async fn run(self, started: oneshot::Sender<Result<Ready, Error>>) {
        let url = format!("http://{}", self.application.address());
        let engine = Arc::clone(self.application.engine());
        let ready = Ready { url, engine, kit: self.kit, stop: StopOnDrop(self.application.stop()) };
        // If nobody waits for it any more, it stops.
        if started.send(Ok(ready)).is_ok()
            && let Err(error) = self.application.run().await
        {
            tracing::error!(%error, "the server ended");
        }
        self.cluster.stop().await;
    }
}
