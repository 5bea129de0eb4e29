//! How sending a batch fails, and what that means for its calls.

use super::access::Access;
use super::error::CallError;
use crate::db;

/// SQLSTATE of a write on a replica: a new connection may find the primary.
const READ_ONLY: &str = "25006";
/// SQLSTATE class of failed logins, when a pool opens a connection.
const LOGIN_REFUSED: &str = "28";
const LOCK_TIMEOUT: &str = "55P03";
const STATEMENT_TIMEOUT: &str = "57014";
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK: &str = "40P01";
/// SQLSTATE of an error inside of PostgreSQL.
const INTERNAL_ERROR: &str = "XX000";
/// SQLSTATE of a type that does not exist.
const UNDEFINED_OBJECT: &str = "42704";
/// Messages of a call that runs while `payerbase migrate` replaces its function, or a type of its function.
const REPLACED: [&str; 3] = ["cache lookup failed for function", "cache lookup failed for type", "type with OID "];

/// Why a batch has no results.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The database refused the batch and rolled it back.
    #[error("the database refused the call: {}", db::reason(.0))]
    Refused(sqlx::Error),
    /// The node does not hold these payers. The batch did not run there.
    #[error("the payers are on another node")]
    Moved,
    /// There was no connection, and the database did not accept a new one.
    #[error("{}", db::reason(.0))]
    NotConnected(sqlx::Error),
    /// The connection was closed, or not all bytes were sent. The batch did not run: the commit comes with the last bytes.
    #[error("not sent: {}", db::reason(.0))]
    Unsent(sqlx::Error),
    /// The connection broke. Whether the batch ran is unknown.
    #[error("the connection broke: {}", db::reason(.0))]
    Lost(sqlx::Error),
}

impl From<sqlx::Error> for SendError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|database| database.code());
        // A broken socket has no SQLSTATE. 08006 sent by the database means that the turn was routed to the wrong node.
        if code.as_deref() == Some("08006") {
            Self::Moved
        } else if code.is_some_and(|code| code == READ_ONLY || code.starts_with(LOGIN_REFUSED)) || is_unsent(&error) {
            Self::Unsent(error)
        } else if db::is_lost(&error) {
            Self::Lost(error)
        } else {
            Self::Refused(error)
        }
    }
}

fn is_unsent(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Io(error) = error {
        // Only a write to a socket can break a pipe.
        return error.kind() == std::io::ErrorKind::BrokenPipe;
    }
    matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
}

impl SendError {
    /// The connection gave no reply for longer than a statement may run.
    pub fn silence() -> Self {
        Self::Lost(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
    }

    /// The SQLSTATE with which the database refused the batch.
    fn refusal(&self) -> Option<String> {
        let Self::Refused(error) = self else { return None };
        error.as_database_error().and_then(|database| database.code()).map(|code| code.into_owned())
    }

    /// Whether the batch reached a database that did not run it, or undid it.
    pub fn is_rolled_back(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Moved)
    }

    /// Whether no connection of the pool became free in time: the pool is busy, or cannot connect.
    pub fn is_pool_timeout(&self) -> bool {
        matches!(self, Self::Unsent(sqlx::Error::PoolTimedOut))
    }

    /// Whether a payer's lock was not free in time.
    pub fn is_lock_timeout(&self) -> bool {
        self.refusal().is_some_and(|code| code == LOCK_TIMEOUT)
    }

    /// Whether the statement took too long.
    pub fn is_timeout(&self) -> bool {
        self.refusal().is_some_and(|code| code == STATEMENT_TIMEOUT)
    }

    /// Whether the same call may succeed when it runs again.
    pub fn is_transient(&self, access: Access) -> bool {
        match self {
            Self::Moved | Self::Unsent(_) => true,
            Self::Lost(_) => access == Access::Read,
            Self::Refused(error) => self.refusal().is_some_and(|code| match code.as_str() {
                SERIALIZATION_FAILURE | DEADLOCK => true,
                INTERNAL_ERROR | UNDEFINED_OBJECT => {
                    let message = error.as_database_error().map(|database| database.message()).unwrap_or_default();
                    REPLACED.iter().any(|replaced| message.starts_with(replaced))
                }
                _ => false,
            }),
            Self::NotConnected(_) => false,
        }
    }

    /// How a call ends that was alone in the batch.
    pub fn of_call(&self, access: Access) -> CallError {
        match self {
            Self::Unsent(sqlx::Error::PoolTimedOut) => CallError::Overloaded,
            Self::Moved | Self::NotConnected(_) | Self::Unsent(_) => CallError::Unavailable,
            Self::Lost(_) if access == Access::Read => CallError::Unavailable,
            Self::Lost(_) => CallError::OutcomeUnknown,
            Self::Refused(error) if db::is_exhausted(error) => CallError::Exhausted,
            Self::Refused(_) => match self.refusal().as_deref() {
                Some(LOCK_TIMEOUT) => CallError::PayerBusy,
                Some(STATEMENT_TIMEOUT | SERIALIZATION_FAILURE | DEADLOCK) => CallError::Overloaded,
                _ => CallError::Refused,
            },
        }
    }
}
