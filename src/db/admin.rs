//! Connections of the role that migrates, for what tests need.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that are open at the same time; others wait.
const CONNECTIONS_MAX: usize = 2;

/// The role that migrates.
#[derive(Clone)]
pub struct Admin {
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
}

/// A connection of this role. It is closed when this is dropped.
pub struct AdminConnection {
    connection: PgConnection,
    _permit: OwnedSemaphorePermit,
}

impl Admin {
    /// Connects with these options.
    #[must_use]
    pub fn new(options: PgConnectOptions) -> Self {
        Self { options, permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }

    /// Connects, once others have ended.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn connect(&self) -> Result<AdminConnection, sqlx::Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_closed| sqlx::Error::PoolClosed)?;
        Ok(AdminConnection { connection: self.options.connect().await?, _permit: permit })
    }
}

impl Deref for AdminConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for AdminConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
