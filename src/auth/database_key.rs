//! The secret key of a database. All servers of the database have it, and make codes (HMAC-SHA-256) with it.

use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use tokio::sync::OnceCell;

use super::look_ups::LOOK_UP_TIMEOUT;
use crate::db::{Database, in_time, is_exhausted};
use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// A code that is being computed.
pub(crate) type Mac = Hmac<Sha256>;

/// The key of the codes. Each purpose begins its codes in another way.
#[derive(Clone)]
pub struct DatabaseKey(Mac);

impl DatabaseKey {
    pub(crate) fn new(key: [u8; 32]) -> Option<Self> {
        Mac::new_from_slice(&key).ok().map(Self)
    }

    /// A code, before its data.
    pub(crate) fn mac(&self) -> Mac {
        self.0.clone()
    }
}

/// The key of the database. It is read at first use.
pub struct DatabaseKeys {
    database: Database,
    key: OnceCell<DatabaseKey>,
}

impl DatabaseKeys {
    /// The key of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, key: OnceCell::new() }
    }

    /// The key.
    ///
    /// # Errors
    /// `database-unavailable` and `database-exhausted`, until it is known.
    pub async fn get(&self) -> Result<&DatabaseKey, Problem> {
        let read = async || {
            let key = async {
                let mut connection = self.database.auth().acquire().await?;
                sqlx::query_scalar("select tenant.challenge_key()").fetch_one(&mut *connection).await
            };
            let key: Vec<u8> = in_time(LOOK_UP_TIMEOUT, key).await?;
            let key = key.try_into().ok().and_then(DatabaseKey::new);
            key.ok_or_else(|| sqlx::Error::Decode("a key of 32 bytes".into()))
        };
        match self.key.get_or_try_init(read).await {
            Ok(key) => Ok(key),
            Err(error) => {
                because(format!("cannot read the key of the database: {}", self.database.why(&error).await));
                Err(Problem::new(if is_exhausted(&error) {
                    Code::DatabaseExhausted
                } else {
                    Code::DatabaseUnavailable
                }))
            }
        }
    }
}
