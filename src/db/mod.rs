//! The database: how to reach it, migrate it and check it. The only place that hands out connections.

pub mod check;
pub mod embedded;
pub mod migrate;
pub mod schema;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

/// How long a statement of a lane may run: a turn takes about a millisecond, and a call must have its answer before
/// its time limit also when its batch runs again.
pub const LANE_STATEMENT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a statement may wait for a lock that is held against the rules: turns take theirs by trying.
const LOCK_TIMEOUT: Duration = Duration::from_millis(750);

/// How long a slow read or a look-up may run.
const POOL_STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long to wait for a new connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a statement waits for a free connection of its pool.
pub const POOL_WAIT: Duration = Duration::from_secs(2);

/// Connections for finding out who calls and whether the database is there: kept apart, so that no payer's slow reads can
/// stand before them.
const AUTH_CONNECTIONS: u32 = 2;

/// Connections for what payers have in common: slugs, and what the sweeper looks for. Kept apart too: anybody can follow
/// links that do not exist.
const SHARED_CONNECTIONS: u32 = 2;

/// A way to the database: single connections for lanes, a pool for slow reads, one for the gate, and one for the commons.
#[derive(Clone)]
pub struct Database {
    options: PgConnectOptions,
    pool: PgPool,
    auth_pool: PgPool,
    shared_pool: PgPool,
}

impl Database {
    /// Prepares the way; connects when first used. `pool_max` is the size of the pool for slow reads, in connections.
    #[must_use]
    pub fn new(options: PgConnectOptions, pool_max: u32) -> Self {
        let pool = |connections| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(POOL_WAIT)
                // What is hot runs in lanes. Here a ping before every use is cheap, and hides a database that was restarted.
                .test_before_acquire(true)
                .connect_lazy_with(session(options.clone(), POOL_STATEMENT_TIMEOUT))
        };
        let (pool, auth_pool, shared_pool) = (pool(pool_max), pool(AUTH_CONNECTIONS), pool(SHARED_CONNECTIONS));
        Self { options: session(options, LANE_STATEMENT_TIMEOUT), pool, auth_pool, shared_pool }
    }

    /// A connection of one's own, for a lane.
    ///
    /// # Errors
    /// When the database does not take the connection within [`CONNECT_TIMEOUT`].
    pub(crate) async fn connect(&self) -> sqlx::Result<PgConnection> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.options.connect()).await {
            Ok(connection) => connection,
            Err(_elapsed) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// The pool. Every statement on it is one autocommit call of an entry function.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The pool for look-ups before it is known who calls.
    pub(crate) fn auth_pool(&self) -> &PgPool {
        &self.auth_pool
    }

    /// The pool for what payers have in common.
    pub(crate) fn shared_pool(&self) -> &PgPool {
        &self.shared_pool
    }

    /// Closes the pools, waiting for what is under way.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
        self.auth_pool.close().await;
        self.shared_pool.close().await;
    }
}

/// Can tell whether the database is there, and nothing else: what a handler may hold.
pub struct Readiness(Database);

impl Readiness {
    /// Of this database.
    #[must_use]
    pub fn of(database: Database) -> Self {
        Self(database)
    }

    /// Whether the database answers and payerbase is installed in it. Which version is checked when a server starts:
    /// during an upgrade the servers of the version before go on.
    pub async fn check(&self) -> bool {
        let installed =
            sqlx::query_scalar("select obj_description(to_regnamespace('rpc'), 'pg_namespace') is not null")
                .fetch_all(self.0.auth_pool());
        let answer: Result<sqlx::Result<Vec<bool>>, _> = tokio::time::timeout(CONNECT_TIMEOUT, installed).await;
        matches!(answer.as_ref().map(|rows| rows.as_deref()), Ok(Ok([true])))
    }
}

/// What every session of ours has, whoever configured the server.
fn session(options: PgConnectOptions, statement_timeout: Duration) -> PgConnectOptions {
    options
        .application_name("payerbase")
        .options([
            ("statement_timeout", statement_timeout.as_millis().to_string().as_str()),
            ("lock_timeout", LOCK_TIMEOUT.as_millis().to_string().as_str()),
            ("idle_in_transaction_session_timeout", "10000"),
            ("synchronous_commit", "on"),
            ("default_transaction_read_only", "off"),
            ("row_security", "on"),
            ("timezone", "UTC"),
            ("jit", "off"),
            // Every statement of a turn is a step along an index. A plan that was made while a table was small is kept as
            // long as its connection, so it must not be one for a small table.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
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
pub(crate) async fn execute(connection: &mut PgConnection, sql: &str) -> sqlx::Result<()> {
    connection.execute(AssertSqlSafe(sql.to_owned())).await.map(drop)
}
