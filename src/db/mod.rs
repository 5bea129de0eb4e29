//! The database: how to reach it, migrate it and check it. The only place that hands out connections.

pub mod check;
pub mod embedded;
pub mod migrate;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _};

/// How long a statement may run. A turn takes about a millisecond; slow reads get the same time.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a new connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a slow read waits for a free connection of the pool.
const POOL_WAIT: Duration = Duration::from_secs(2);

/// A way to the database: single connections for lanes, and a small pool for slow reads and look-ups.
#[derive(Clone)]
pub struct Database {
    options: PgConnectOptions,
    pool: PgPool,
}

impl Database {
    /// Prepares the way; connects when first used. `pool_max` is the size of the pool, in connections.
    #[must_use]
    pub fn new(options: PgConnectOptions, pool_max: u32) -> Self {
        let options = session(options);
        let pool = PgPoolOptions::new()
            .max_connections(pool_max)
            .acquire_timeout(POOL_WAIT)
            // What is hot runs in lanes. Here a ping before every use is cheap, and hides a database that was restarted.
            .test_before_acquire(true)
            .connect_lazy_with(options.clone());
        Self { options, pool }
    }

    /// A connection of one's own, for a lane.
    ///
    /// # Errors
    /// When the database does not take the connection within [`CONNECT_TIMEOUT`].
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.options.connect()).await {
            Ok(connection) => connection,
            Err(_elapsed) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// The pool. Every statement on it is one autocommit call of an entry function.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether the database answers and payerbase is installed in it.
    pub async fn is_ready(&self) -> bool {
        let installed =
            sqlx::query_scalar("select obj_description(to_regnamespace('rpc'), 'pg_namespace') is not null")
                .fetch_all(&self.pool);
        let answer: Result<sqlx::Result<Vec<bool>>, _> = tokio::time::timeout(CONNECT_TIMEOUT, installed).await;
        matches!(answer.as_ref().map(|rows| rows.as_deref()), Ok(Ok([true])))
    }

    /// Closes the pool, waiting for what is under way.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// What every session of ours has, whoever configured the server.
fn session(options: PgConnectOptions) -> PgConnectOptions {
    options
        .application_name("payerbase")
        .options([
            ("statement_timeout", STATEMENT_TIMEOUT.as_millis().to_string().as_str()),
            ("idle_in_transaction_session_timeout", "10000"),
            ("synchronous_commit", "on"),
            ("timezone", "UTC"),
            ("jit", "off"),
        ])
        .log_statements(tracing::log::LevelFilter::Trace)
        .log_slow_statements(tracing::log::LevelFilter::Off, Duration::ZERO)
}

/// Whether the connection is of no more use: the other side is gone, or says that it is going.
#[must_use]
pub fn is_lost(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        // Class 57P: the server is shutting down, crashed or is starting up.
        Some(database) => database.code().is_some_and(|code| code.starts_with("57P")),
        None => true,
    }
}

/// Runs one static statement without parameters on `connection`.
pub(crate) async fn execute(connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<()> {
    connection.execute(sql).await.map(drop)
}
