//! Redis: messages between replicas. It never holds the only copy of anything. Without it every feature works, some with
//! a delay.

use std::sync::OnceLock;
use std::time::Duration;

use deadpool_redis::redis::aio::PubSub;
use deadpool_redis::redis::{
    AsyncCommands as _, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind,
};
use deadpool_redis::{Config, Connection, Pool, PoolConfig, Runtime, Timeouts};
use futures_util::StreamExt as _;
use thiserror::Error;

/// Maximum number of connections to Redis, without the connection of the subscription.
const CONNECTIONS_MAX: usize = 4;
/// Time limit for a connection or a reply.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often an idle subscription is pinged.
const PING_EVERY: Duration = Duration::from_secs(10);

/// Why a command failed.
#[derive(Debug, Error)]
pub enum RedisFailure {
    /// No connection.
    #[error("{0}")]
    Connection(#[from] deadpool_redis::PoolError),
    /// Redis refused, or the connection broke.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// No reply in time.
    #[error("no reply within {PATIENCE:?}")]
    Silent(#[from] tokio::time::error::Elapsed),
    /// The connection ended.
    #[error("the connection ended")]
    Ended,
}

impl RedisFailure {
    /// Whether the command was certainly not sent. Otherwise it may have been carried out.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        matches!(self, Self::Connection(_))
    }
}

/// A script in Lua that changes one key. Redis is sent its text once.
pub struct Script {
    text: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    /// A script with this text.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text, hash: OnceLock::new() }
    }

    async fn run(&self, connection: &mut Connection, calls: &[(String, [u64; 3])]) -> RedisResult<Vec<u64>> {
        if let Some(hash) = self.hash.get() {
            let ran = evaluate(connection, hash, calls).await;
            // Redis does not keep scripts when it restarts.
            if !ran.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
                return ran;
            }
        }
        let mut load = Cmd::new();
        let hash: String = load.arg("SCRIPT").arg("LOAD").arg(self.text).query_async(connection).await?;
        evaluate(connection, self.hash.get_or_init(|| hash), calls).await
    }
}

async fn evaluate(connection: &mut Connection, hash: &str, calls: &[(String, [u64; 3])]) -> RedisResult<Vec<u64>> {
    if calls.is_empty() {
        // Redis-rs would call it an error.
        return Ok(Vec::new());
    }
    let mut pipeline = Pipeline::with_capacity(calls.len());
    for (key, arguments) in calls {
        pipeline.cmd("EVALSHA").arg(hash).arg(1).arg(key).arg(arguments);
    }
    pipeline.query_async(connection).await
}

/// A Redis server. Connections are opened when needed.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    pool: Pool,
}

impl Redis {
    /// The server at this URL: `redis://`, `rediss://` for TLS, `redis+unix://` for a socket. Does not connect yet.
    ///
    /// # Errors
    /// If it is not such a URL.
    pub fn at(url: &str) -> Result<Self, RedisError> {
        let client = Client::open(url)?;
        let mut config = Config::from_url(url);
        let patience = Some(PATIENCE);
        config.pool = Some(PoolConfig {
            timeouts: Timeouts { wait: patience, create: patience, recycle: patience },
            ..PoolConfig::new(CONNECTIONS_MAX)
        });
        let pool = config.create_pool(Some(Runtime::Tokio1)).map_err(|error| {
            RedisError::from((ErrorKind::InvalidClientConfig, "no pool of connections", error.to_string()))
        })?;
        Ok(Self { client, pool })
    }

    /// Publishes a message on a channel.
    ///
    /// # Errors
    /// If Redis is unreachable or does not reply in time.
    pub async fn publish(&self, channel: &str, message: Vec<u8>) -> Result<(), RedisFailure> {
        let mut connection = self.pool.get().await?;
        let publish = connection.publish(channel, message);
        let _listeners: u64 = tokio::time::timeout(PATIENCE, publish).await??;
        Ok(())
    }

    /// Runs a script once for each key, all in one round trip. The answers have the order of the keys.
    /// Without keys it only finds out whether Redis can be reached.
    ///
    /// # Errors
    /// If Redis is unreachable, does not reply in time, or refuses one of the calls.
    pub async fn run(&self, script: &Script, calls: &[(String, [u64; 3])]) -> Result<Vec<u64>, RedisFailure> {
        let mut connection = self.pool.get().await?;
        Ok(tokio::time::timeout(PATIENCE, script.run(&mut connection, calls)).await??)
    }

    /// Subscribes to a channel.
    ///
    /// # Errors
    /// If Redis is unreachable or does not reply in time.
    pub async fn subscribe(&self, channel: &str) -> Result<Subscription, RedisFailure> {
        let connect = async {
            let mut connection = self.client.get_async_pubsub().await?;
            connection.subscribe(channel).await?;
            RedisResult::Ok(connection)
        };
        Ok(Subscription { connection: tokio::time::timeout(PATIENCE, connect).await?? })
    }
}

/// The address of the server, without the password.
impl std::fmt::Display for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.client.get_connection_info().addr())
    }
}

/// A subscription to one channel.
pub struct Subscription {
    connection: PubSub,
}

impl Subscription {
    /// The next message.
    ///
    /// # Errors
    /// If the connection broke. A ping detects this when no messages come.
    pub async fn next(&mut self) -> Result<Vec<u8>, RedisFailure> {
        loop {
            let message = tokio::time::timeout(PING_EVERY, self.connection.on_message().next()).await;
            match message {
                Ok(Some(message)) => return Ok(message.get_payload()?),
                Ok(None) => return Err(RedisFailure::Ended),
                Err(_silence) => tokio::time::timeout(PATIENCE, self.connection.ping::<()>()).await??,
            }
        }
    }
}
