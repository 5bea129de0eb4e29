//! Redis: how replicas tell each other what cannot wait for the database. Nothing in it is ever the only copy, and
//! without it everything works, some of it later.

use std::time::Duration;

use deadpool_redis::redis::aio::PubSub;
use deadpool_redis::redis::{AsyncCommands as _, Client, ErrorKind, RedisError, RedisResult};
use deadpool_redis::{Config, Pool, PoolConfig, Runtime, Timeouts};
use futures_util::StreamExt as _;
use thiserror::Error;

/// Most connections of one server, beside the one that listens.
const CONNECTIONS_MAX: usize = 4;
/// How long to wait for a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a connection that hears nothing is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(10);

/// Why Redis did not do as it was told.
#[derive(Debug, Error)]
pub enum Fault {
    /// No connection.
    #[error("{0}")]
    Connection(#[from] deadpool_redis::PoolError),
    /// It refused, or the connection broke.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// No answer in time.
    #[error("no answer within {PATIENCE:?}")]
    Silent(#[from] tokio::time::error::Elapsed),
    /// The connection ended.
    #[error("the connection ended")]
    Ended,
}

/// One Redis, connected to when it is needed.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    pool: Pool,
}

impl Redis {
    /// The one at this URL: `redis://`, `rediss://` for TLS, `redis+unix://` for a socket. Does not connect yet.
    ///
    /// # Errors
    /// When it is no such URL.
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

    /// Tells everybody who listens on a channel.
    ///
    /// # Errors
    /// When Redis cannot be reached, or does not answer in time.
    pub async fn publish(&self, channel: &str, message: Vec<u8>) -> Result<(), Fault> {
        let mut connection = self.pool.get().await?;
        let publish = connection.publish(channel, message);
        let _listeners: u64 = tokio::time::timeout(PATIENCE, publish).await??;
        Ok(())
    }

    /// Listens on a channel.
    ///
    /// # Errors
    /// When Redis cannot be reached, or does not answer in time.
    pub async fn listen(&self, channel: &str) -> Result<Ear, Fault> {
        let connect = async {
            let mut connection = self.client.get_async_pubsub().await?;
            connection.subscribe(channel).await?;
            RedisResult::Ok(connection)
        };
        Ok(Ear { connection: tokio::time::timeout(PATIENCE, connect).await?? })
    }
}

/// A connection that listens.
pub struct Ear {
    connection: PubSub,
}

impl Ear {
    /// The next message.
    ///
    /// # Errors
    /// When the connection broke, which is found out also where nobody says so.
    pub async fn next(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            let message = tokio::time::timeout(PING_EVERY, self.connection.on_message().next()).await;
            match message {
                Ok(Some(message)) => return Ok(message.get_payload()?),
                Ok(None) => return Err(Fault::Ended),
                Err(_silence) => tokio::time::timeout(PATIENCE, self.connection.ping::<()>()).await??,
            }
        }
    }
}
