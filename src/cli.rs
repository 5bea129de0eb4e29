//! The command line.

mod credit;
mod dev;
mod payer;
mod payments;
mod token;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use sqlx::postgres::PgConnectOptions;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{ANNOUNCEMENT, Application, DRAIN_TIMEOUT, document};
use crate::config::Config;
use crate::db::Database;
use crate::db::check::{Refusal, check};
use crate::db::embedded;
use crate::db::migrate::{self, Login};
use crate::pip;
use crate::slices::schema;
use crate::sqlite::worker;
use crate::telemetry::Telemetry;

/// How long `serve` waits at its start for a database that does not answer.
const DATABASE_PATIENCE: Duration = Duration::from_secs(30);

/// A backend over HTTP with private data for each payer, a wallet address.
#[derive(Parser)]
#[command(version, about, after_help = "Settings are environment variables: see docs/CONFIGURATION.md.")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    dev: DevArgs,
}

/// Arguments of `dev`.
#[derive(clap::Args, Default)]
pub(crate) struct DevArgs {
    /// Data folder of the embedded PostgreSQL. Default: PAYERBASE_DATA_DIR, or the standard folder.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Port to listen on; 0 takes a free port. Default: PAYERBASE_PORT.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Keep the data in a new temporary folder, which the stop removes, and never wait for the disk: for tests.
    #[arg(long, conflicts_with = "data_dir")]
    temporary: bool,
    /// Embed memories with a small local model (all-MiniLM-L6-v2), downloaded once (84 MB). Overrides
    /// PAYERBASE_EMBEDDINGS.
    #[arg(long)]
    embeddings: bool,
    /// Print one line of JSON at the start, for programs: `url`, `payer`, `token` and, with the embedded PostgreSQL,
    /// `dataDir` and `postgresSocketDir`.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine, with an embedded PostgreSQL unless DATABASE_URL is set (default command).
    Dev(DevArgs),
    /// Run the server on a migrated database.
    Serve {
        /// Port to listen on; 0 takes a free port. Default: PAYERBASE_PORT.
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
    },
    /// Migrate the database to the version of this program, and log each change.
    Migrate {
        /// Print the changes without making them.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the OpenAPI document.
    Openapi {
        /// In OpenAPI 3.0.3, for generators that do not read 3.1.
        #[arg(long = "3.0")]
        older: bool,
    },
    /// Download the embedded PostgreSQL, prepare it and exit, for container images.
    Fetch {
        /// Download the model for `dev --embeddings` too.
        #[arg(long)]
        embeddings: bool,
    },
    /// Create, list and revoke API tokens.
    Token {
        #[command(flatten)]
        target: token::Target,
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Export or erase what the database has of a payer.
    Payer {
        #[command(flatten)]
        target: token::Target,
        #[command(subcommand)]
        command: payer::PayerCommand,
    },
    /// Give payers credit, with which calls are paid on a server with prices.
    Credit {
        #[command(flatten)]
        target: token::Target,
        #[command(subcommand)]
        command: credit::CreditCommand,
    },
    /// List, show and retry payments.
    Payments {
        #[command(flatten)]
        target: token::Target,
        #[command(subcommand)]
        command: payments::PaymentsCommand,
    },
    /// Check the ledger of all credit.
    Ledger {
        #[command(flatten)]
        target: token::Target,
        #[command(subcommand)]
        command: credit::LedgerCommand,
    },
    /// Run SQL for a server, which starts this command itself.
    #[command(hide = true)]
    SqlWorker {
        /// What the worker is for.
        kind: worker::Kind,
    },
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

impl Cli {
    /// The kind of worker that this process is.
    #[must_use]
    pub fn worker(&self) -> Option<worker::Kind> {
        match self.command {
            Some(Command::SqlWorker { kind }) => Some(kind),
            _ => None,
        }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The reason why the command failed, for the operator.
    pub async fn run(self) -> Outcome {
        if let Some(Command::Openapi { older }) = self.command {
            let document = document();
            return print(&if older { document.v3_0 } else { document.v3_1 }.json);
        }
        let config = Config::from_env()?;
        let _telemetry = Telemetry::start(&config.log, config.log_format);
        match self.command {
            None => dev::dev(config, self.dev).await,
            Some(Command::Dev(mut args)) => {
                args.data_dir = args.data_dir.or(self.dev.data_dir);
                args.port = args.port.or(self.dev.port);
                args.embeddings |= self.dev.embeddings;
                args.temporary |= self.dev.temporary;
                dev::dev(config, args).await
            }
            Some(Command::Serve { port }) => serve(config, port).await,
            Some(Command::Migrate { dry_run }) => migrate_database(&config, dry_run).await,
            Some(Command::Openapi { .. } | Command::SqlWorker { .. }) => Ok(()),
            Some(Command::Fetch { embeddings }) => {
                let engine = tokio::task::spawn_blocking(embedded::Engine::find).await??;
                embedded::prepare(&engine).await?;
                if embeddings {
                    tokio::task::spawn_blocking(pip::fetch_model).await??;
                }
                Ok(())
            }
            Some(Command::Token { target, command }) => token::token(config, target, command).await,
            Some(Command::Payer { target, command }) => payer::payer(config, target, command).await,
            Some(Command::Credit { target, command }) => credit::credit(config, target, command).await,
            Some(Command::Payments { target, command }) => payments::payments(config, target, command).await,
            Some(Command::Ledger { target, command }) => credit::ledger(config, target, command).await,
        }
    }
}

/// Prints a result. A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> Outcome {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn database_url(config: &Config) -> Result<PgConnectOptions, &'static str> {
    config.database.clone().ok_or("DATABASE_URL is not set, and this command needs it")
}

async fn migrate_database(config: &Config, dry_run: bool) -> Outcome {
    let admin = database_url(config)?;
    let login = config.app_password.as_ref().map_or(Login::Existing, Login::With);
    let version = schema().stamp();
    if dry_run {
        let steps = migrate::plan(&admin, schema(), login).await?;
        for step in &steps {
            println!("would do: {step}");
        }
        println!("{} steps to {version}", steps.len());
    } else {
        migrate::migrate(&admin, schema(), login).await?;
        tracing::info!("the database is at {version}");
    }
    Ok(())
}

async fn serve(config: Config, port: Option<u16>) -> Outcome {
    if config.dev_token.is_some() {
        return Err("PAYERBASE_DEV_TOKEN is set: only `dev` takes a token that is known in advance".into());
    }
    let mut stop = StopSignal::listen()?;
    let database = Database::new(database_url(&config)?, config.pool_max);
    tokio::select! {
        checked = wait_for_database(&database, &config.language) => checked?,
        () = stop.received() => return Ok(()),
    }
    let application = Application::build(database, &config.settings(port, this_program()?).await?)?;
    if config.public_url.is_none() {
        tracing::warn!("PAYERBASE_PUBLIC_URL is not set: short links begin with the address of this server");
    }
    config.log_start(application.address(), application.admin_address());
    serve_until(application, stop.received(), ANNOUNCEMENT).await
}

/// Serves until `stop` is ready, announces the stop, then drains: calls that have begun may finish.
async fn serve_until(application: Application, stop: impl Future<Output = ()>, announcement: Duration) -> Outcome {
    let server = application.stop();
    let mut serving = tokio::spawn(application.run());
    tokio::select! {
        ended = &mut serving => Ok(ended??),
        () = stop => {
            server.drain(announcement, DRAIN_TIMEOUT).await;
            Ok(serving.await??)
        }
    }
}

/// The path of this program, also after a new version has replaced its file.
fn this_program() -> std::io::Result<PathBuf> {
    match cfg!(target_os = "linux") {
        true => Ok("/proc/self/exe".into()),
        false => std::env::current_exe(),
    }
}

/// Checks the database. Retries while it does not answer, because containers start in any order; every other refusal is
/// final.
async fn wait_for_database(database: &Database, language: &str) -> Result<(), Refusal> {
    let deadline = tokio::time::Instant::now() + DATABASE_PATIENCE;
    loop {
        // A pool would hide the reason why a connection fails.
        let checked = match database.connect().await {
            Ok(_connection) => check(database, schema(), language, false).await,
            Err(error) => Err(error.into()),
        };
        match checked {
            // The log has one warning, with the reason.
            Err(Refusal::Unreachable(_)) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            checked => return checked,
        }
    }
}

/// Ctrl-C and SIGTERM. Once it is created, the signals no longer end the process.
struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        tracing::info!("stopping: not ready any more; running calls finish");
    }
}
