//! `payerbase dev`: everything on one machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::{DevArgs, Outcome, StopSignal, print, serve_until, this_program};
use crate::app::{Application, ForTests, nearby};
use crate::auth::{Scope, Token, Tokens, create_token};
use crate::config::Config;
use crate::db::Database;
use crate::db::check::{Refusal, check};
use crate::db::embedded::{Cluster, Durability, Engine, write_secret};
use crate::db::migrate::{self, Login};
use crate::embeddings::{self, Setting};
use crate::folders::{data_dir_of_environment, temporary_folder};
use crate::payer::{NotAnAddress, Payer};
use crate::pip;
use crate::slices::schema;
use crate::wallet::{MAIN_NETWORKS, TEST_NETWORKS};

/// The payer of the token that `dev` prints. The address has no owner.
const DEMO_PAYER: &str = "0x00000000000000000000000000000000000000d0";
/// Lifetime of the demo token. After its expiry, `dev` creates a new one.
const DEMO_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3_600);
/// Pause after a failed attempt to start PostgreSQL again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn dev(mut config: Config, args: DevArgs) -> Outcome {
    config.networks.get_or_insert_with(|| [MAIN_NETWORKS, TEST_NETWORKS].concat());
    if config.database.is_some() && (args.temporary || config.dev_token.is_some()) {
        let of_tests = if args.temporary { "--temporary" } else { "PAYERBASE_DEV_TOKEN" };
        return Err(format!("{of_tests} is for tests with the embedded PostgreSQL, but DATABASE_URL is set").into());
    }
    let durability = if args.temporary { Durability::EndOfProcess } else { Durability::PowerFailure };
    let mut temporary = None;
    let mut data_dir = args.data_dir.clone().unwrap_or_else(data_dir_of_environment);
    let mut stop = StopSignal::listen()?;
    if args.embeddings {
        if cfg!(not(feature = "local-embeddings")) {
            return Err(embeddings::Error::NotBuilt.into());
        }
        let fetched = tokio::select! {
            fetched = tokio::task::spawn_blocking(pip::fetch_model) => fetched?,
            // The next start repeats an interrupted download.
            () = stop.received() => std::process::exit(0),
        };
        config.embeddings = Setting::Local(fetched?);
    }
    let (mut cluster, admin, app) = match config.database.clone() {
        // The developer's own database: log in as the developer, then switch the session to payerbase_app.
        Some(theirs) => (None, theirs.clone(), theirs.options([("role", "payerbase_app")])),
        None => {
            let engine = tokio::select! {
                found = tokio::task::spawn_blocking(Engine::find) => found??,
                () = stop.received() => std::process::exit(0),
            };
            if args.temporary {
                data_dir = temporary.insert(temporary_folder()?).path().to_owned();
            }
            let cluster = Cluster::start(&data_dir, engine, durability, &[]).await?;
            let (admin, app) = (cluster.access().admin(), cluster.access().app());
            (Some(cluster), admin, app)
        }
    };
    let served = run(&config, &args, &data_dir, cluster.as_mut(), admin, app, stop).await;
    if let Some(cluster) = cluster {
        cluster.stop().await;
    }
    served
}

async fn run(
    config: &Config,
    args: &DevArgs,
    data_dir: &Path,
    cluster: Option<&mut Cluster>,
    admin: PgConnectOptions,
    app: PgConnectOptions,
    mut stop: StopSignal,
) -> Outcome {
    let password = cluster.as_ref().map(|cluster| cluster.access().app_password());
    migrate::migrate(&admin, schema(), password.as_ref().map_or(Login::Switched, Login::With)).await?;
    let mut connection = admin.connect().await.map_err(Refusal::from)?;
    let database = Database::new(app, config.pool_max);
    let prepared = async {
        check(&database, schema(), &config.language, cluster.is_none()).await?;
        let token = match config.dev_token.clone() {
            Some(token) => token,
            None => demo_token(&mut connection, &database, data_dir).await?,
        };
        let mut settings = config.settings(args.port, this_program()?).await?;
        // A database of the developer may have data to protect.
        if cluster.is_some() {
            let known = config.dev_token.clone().map(|token| Ok::<_, NotAnAddress>((token, DEMO_PAYER.parse()?)));
            settings.for_tests = Some(ForTests::new(&admin, known.transpose()?));
        }
        let model = settings.calls.embeddings.as_ref().map(|embeddings| embeddings.model().as_str().to_owned());
        let application = Application::build(database.clone(), &settings)?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((token, model, application))
    };
    let prepared = prepared.await;
    drop(connection);
    if prepared.is_err() {
        // PostgreSQL stops next.
        database.close().await;
    }
    let (token, model, application) = prepared?;
    let folders = cluster.as_ref().map(|cluster| {
        let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_no_current_dir| data_dir.to_owned());
        [data_dir.display().to_string(), cluster.access().socket_dir().display().to_string()]
    });
    if cluster.is_some() && !application.address().ip().is_loopback() {
        tracing::warn!(
            address = %application.address(),
            "every program that reaches this address can act as any payer, with `pb_test_` tokens"
        );
    }
    // The printed address must work when pasted: 0.0.0.0 does not.
    let url = format!("http://{}", nearby(application.address()));
    print(&if args.json {
        start_for_programs(url, &token, folders)?
    } else {
        start_for_people(&url, &token, folders, model.as_deref())
    })?;
    let stopped = async {
        match cluster {
            Some(cluster) => tokio::select! { () = stop.received() => {}, () = keep_alive(cluster) => {} },
            None => stop.received().await,
        }
    };
    // No load balancer sends calls to `dev`, so the announcement would only delay the stop.
    serve_until(application, stopped, Duration::ZERO).await
}

/// What `dev --json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Started<'a> {
    url: String,
    payer: &'static str,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres_socket_dir: Option<String>,
}

fn start_for_programs(url: String, token: &SecretString, folders: Option<[String; 2]>) -> serde_json::Result<String> {
    let (data_dir, postgres_socket_dir) = folders.map(|[data_dir, socket_dir]| (data_dir, socket_dir)).unzip();
    let started = Started { url, payer: DEMO_PAYER, token: token.expose_secret(), data_dir, postgres_socket_dir };
    serde_json::to_string(&started).map(|json| json + "\n")
}

fn start_for_people(url: &str, token: &SecretString, folders: Option<[String; 2]>, model: Option<&str>) -> String {
    let folders = folders.map(|[data_dir, socket_dir]| {
        format!("\n  data   {data_dir}\n  psql   psql -h {socket_dir} -U postgres payerbase")
    });
    let model = model.map(|model| format!("\n  model  {model}"));
    format!(
        "\npayerbase is ready\n\n  URL    {url}\n  docs   {url}/docs{}{}\n\nTry it:\n\n  \
         curl -X POST {url}/v1/counters/visits/increment -H 'Authorization: Bearer {}'\n\n",
        folders.unwrap_or_default(),
        model.unwrap_or_default(),
        token.expose_secret()
    )
}

/// Starts PostgreSQL again each time that it dies. Never returns. Safe to cancel while PostgreSQL runs.
async fn keep_alive(cluster: &mut Cluster) {
    loop {
        cluster.died().await;
        tracing::error!("PostgreSQL died and is started again");
        while let Err(error) = cluster.launch().await {
            tracing::error!(%error, "PostgreSQL does not start");
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }
}

/// The demo token of the last start if it is still valid, otherwise a new one.
async fn demo_token(
    admin: &mut PgConnection,
    database: &Database,
    data_dir: &Path,
) -> Result<SecretString, Box<dyn std::error::Error + Send + Sync>> {
    let file = data_dir.join("demo-token");
    if let Ok(text) = fs::read_to_string(&file) {
        let text = SecretString::from(text);
        if let Some(token) = Token::parse(&text)
            && Tokens::new(database.clone()).verify(&token).await.is_ok()
        {
            return Ok(text);
        }
    }
    let payer: Payer = DEMO_PAYER.parse()?;
    let (text, _) = create_token(admin, &payer, &[Scope::Everything], Some("demo"), DEMO_LIFETIME).await?;
    fs::create_dir_all(data_dir)?;
    write_secret(&file, text.expose_secret())?;
    Ok(text)
}
