//! The database: connections, migrations and checks. Only this module hands out connections.

pub mod admin;
pub mod check;
pub mod clock;
pub mod embedded;
mod health;
pub mod migrate;
mod pool;
pub mod readiness;
mod reason;
pub mod schema;
pub mod stamp;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use prometheus_client::registry::Registry;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

use health::Health;
pub(crate) use pool::Pool;
use pool::PoolMetrics;
pub use reason::{plain, reason};

/// How long a statement of a lane may run. A turn takes about a millisecond, and a call must get its answer before its
/// deadline even if its batch runs a second time.
pub const LANE_STATEMENT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long the statement of a heavy call may run. It runs alone, beside the light calls of its lane.
pub const HEAVY_STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a statement may wait for a lock. A lane tries the payer's lock without waiting, and the path of busy payers
/// sets its own timeout: this one limits the wait for locks of foreign sessions.
const LOCK_TIMEOUT: Duration = Duration::from_millis(750);

/// How long a slow read or a look-up may run.
const POOL_STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);

/// After this long without a reply a connection of a pool counts as broken: the database cancels its statements sooner.
pub(crate) const POOL_SILENCE_MAX: Duration = POOL_STATEMENT_TIMEOUT.saturating_add(Duration::from_secs(1));

/// Timeout of a new connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a statement waits for a free connection of its pool.
pub const POOL_WAIT: Duration = Duration::from_secs(2);

/// Number of connections for token look-ups. They have a pool of their own, so that slow reads of payers cannot delay
/// them.
pub const AUTH_CONNECTIONS: u32 = 2;

/// Number of connections for revocations and readiness, one for each. They have a pool of their own, because anyone can
/// request look-ups of tokens that do not exist.
pub const WATCH_CONNECTIONS: u32 = 2;

/// Number of connections for slugs and the sweeper's scans, which belong to no single payer. They have a pool of their
/// own. One is for look-ups of links, because anyone can request links that do not exist; one is for the sweeper.
pub const SHARED_CONNECTIONS: u32 = 3;

/// Access to the database: single connections for lanes, and four pools: for slow reads and busy payers, for
/// authentication, for revocations and readiness, and for data that payers share.
#[derive(Clone)]
pub struct Database {
    options: PgConnectOptions,
    slow: Pool,
    auth: Pool,
    watch: Pool,
    shared: Pool,
    health: Arc<Health>,
    /// One probe at a time.
    probing: Arc<tokio::sync::Semaphore>,
}

impl Database {
    /// Prepares the pools. They connect at the first use. `pool_max` is the maximum number of connections for slow
    /// reads and busy payers.
    #[must_use]
    pub fn new(options: PgConnectOptions, pool_max: u32) -> Self {
        let pool = |name, connections| {
            let inner = PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(POOL_WAIT)
                // Fast calls run in lanes. Here a ping before each use costs little, and replaces connections that a
                // restart of the database has broken.
                .test_before_acquire(true)
                .connect_lazy_with(session(options.clone(), POOL_STATEMENT_TIMEOUT));
            Pool::new(name, inner)
        };
        let (slow, auth) = (pool("slow", pool_max), pool("auth", AUTH_CONNECTIONS));
        let (watch, shared) = (pool("watch", WATCH_CONNECTIONS), pool("shared", SHARED_CONNECTIONS));
        let options = session(options, LANE_STATEMENT_TIMEOUT);
        let probing = Arc::new(tokio::sync::Semaphore::new(1));
        Self { options, slow, auth, watch, shared, health: Arc::default(), probing }
    }

    /// A new connection outside of the pools, for a lane.
    ///
    /// # Errors
    /// When the database does not accept the connection within [`CONNECT_TIMEOUT`].
    pub(crate) async fn connect(&self) -> sqlx::Result<PgConnection> {
        // Boxed: it takes kilobytes, which every call would carry, and is rare.
        let connect = Box::pin(self.options.connect());
        let connected = match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(connected) => connected,
            Err(_elapsed) => {
                let silence = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
                Err(std::io::Error::new(std::io::ErrorKind::TimedOut, silence).into())
            }
        };
        match &connected {
            Ok(_) => self.health.answered(),
            Err(error) => self.health.failed(reason(error)),
        }
        connected
    }

    /// The database answered on a connection of a pool.
    pub(crate) fn answered(&self) {
        self.health.answered();
    }

    /// Why a query failed. A pool hides the reason why it cannot connect, so a connection outside of the pools finds it.
    pub(crate) async fn why(&self, error: &sqlx::Error) -> String {
        if !is_lost(error) {
            return reason(error);
        }
        if let Ok(_one) = self.probing.try_acquire() {
            // The outcome is remembered.
            let _probed = self.connect().await;
        }
        self.away().unwrap_or_else(|| reason(error))
    }

    /// Why the database cannot be reached. `None` if it can.
    pub(crate) fn away(&self) -> Option<String> {
        self.health.cause()
    }

    /// The pool for slow reads and busy payers. Each statement on it is one autocommit call of an entry function.
    pub(crate) fn slow(&self) -> &Pool {
        &self.slow
    }

    /// The pool for token look-ups, which run before the payer is known.
    pub(crate) fn auth(&self) -> &Pool {
        &self.auth
    }

    /// The pool for revocations and readiness.
    pub(crate) fn watch(&self) -> &Pool {
        &self.watch
    }

    /// The pool for slugs and the sweeper's scans.
    pub(crate) fn shared(&self) -> &Pool {
        &self.shared
    }

    /// The pool of [`Database::slow`] itself, for the checks at the start.
    pub(crate) fn pool(&self) -> &PgPool {
        self.slow.inner()
    }

    /// Registers the metrics of the database and of its pools.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let up = self.health.up.clone();
        registry.register("database_up", "1 if the last attempt to reach the database succeeded", up);
        let pools = [&self.slow, &self.auth, &self.watch, &self.shared].map(Pool::clone);
        registry.register_collector(Box::new(PoolMetrics(pools)));
    }

    /// Closes the pools and waits for running statements, but not for a connection that is silent.
    pub(crate) async fn close(&self) {
        let pools = [&self.slow, &self.auth, &self.watch, &self.shared];
        let closed = future::join_all(pools.map(|pool| pool.inner().close()));
        if tokio::time::timeout(POOL_SILENCE_MAX, closed).await.is_err() {
            tracing::warn!("a connection to the database was silent and is dropped");
        }
    }
}

/// Limits the time of a query: a silent connection fails it after `limit`.
pub(crate) async fn in_time<T>(limit: Duration, query: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    match tokio::time::timeout(limit, query).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// The settings of each session, independent of the database's configuration.
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
            // Each statement of a turn uses an index. A connection keeps its plans, so a plan that was made while a
            // table was small must also suit a large table.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
        ])
        .log_statements(tracing::log::LevelFilter::Trace)
        .log_slow_statements(tracing::log::LevelFilter::Off, Duration::ZERO)
}

/// Limits how long a statement of this connection may run.
pub(crate) async fn limit_statements(connection: &mut PgConnection, timeout: Duration) -> sqlx::Result<()> {
    execute(connection, &format!("set statement_timeout = {}", timeout.as_millis())).await
}

/// Whether the connection is lost: PostgreSQL is gone, or says that it is shutting down or starting.
#[must_use]
pub fn is_lost(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        // Class 57P: the server is shutting down, crashed or is starting up.
        Some(database) => database.code().is_some_and(|code| code.starts_with("57P")),
        None => true,
    }
}

/// Whether the database has no disk space, no memory or no connection left (class 53): it changed nothing.
#[must_use]
pub fn is_exhausted(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|database| database.code()).is_some_and(|code| code.starts_with("53"))
}

/// Runs static SQL without parameters on `connection`.
pub(crate) async fn execute(connection: &mut PgConnection, sql: &str) -> sqlx::Result<()> {
    connection.execute(AssertSqlSafe(sql.to_owned())).await.map(drop)
}
