//! The two statements: `rpc.turn` and `rpc.read`.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use sqlx::{PgExecutor, Row as _};

use super::outcome::Failure;
use super::queue::Call;
use crate::db;

/// A read waits for nothing, a write takes its payers' locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Write,
    Read,
}

/// What came back from a batch.
pub(super) struct Answers {
    /// One for each call, in order.
    pub results: Vec<String>,
    /// The time inside of the function: the rest of the round trip is the commit and the way.
    pub ran: Duration,
}

/// Why a batch did not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The database refused it and rolled it back.
    #[error("refused and rolled back: {0}")]
    Refused(sqlx::Error),
    /// The node does not hold these payers (any more): it has not run there.
    #[error("the payers are on another node")]
    Moved,
    /// There was no connection to send it on, or not all of it could be sent: the commit comes with the last bytes.
    #[error("not sent: {0}")]
    Unsent(sqlx::Error),
    /// The connection broke. Whether it ran is unknown.
    #[error("the connection broke: {0}")]
    Lost(sqlx::Error),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|database| database.code());
        // 08006 from a broken socket has no database behind it; said by the database it means a mis-routed turn.
        if code.as_deref() == Some("08006") {
            Self::Moved
        } else if code.is_some_and(|code| code == READ_ONLY || code.starts_with(NOT_LET_IN)) || is_unsent(&error) {
            Self::Unsent(error)
        } else if db::is_lost(&error) {
            Self::Lost(error)
        } else {
            Self::Refused(error)
        }
    }
}

/// Said to a write: this server has become a replica, and a new connection may find the one that has not.
const READ_ONLY: &str = "25006";
/// The class of errors about logging in, met when a pool opens a connection.
const NOT_LET_IN: &str = "28";

fn is_unsent(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Io(error) = error {
        // Only writing to a socket can break a pipe.
        return error.kind() == std::io::ErrorKind::BrokenPipe;
    }
    matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
}

impl Fault {
    /// The connection has said nothing for longer than the database lets a statement run.
    pub fn silence() -> Self {
        Self::Lost(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
    }

    /// Whether a lock was waited for and did not come free.
    pub fn is_lock_timeout(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        error.as_database_error().and_then(|database| database.code()).is_some_and(|code| code == "55P03")
    }

    /// Whether the same call may well succeed when it is run again.
    pub fn is_transient(&self, kind: Kind) -> bool {
        match self {
            Self::Moved | Self::Unsent(_) => true,
            Self::Lost(_) => kind == Kind::Read,
            Self::Refused(error) => {
                let code = error.as_database_error().and_then(|database| database.code());
                // Serialisation failure; deadlock.
                code.is_some_and(|code| code == "40001" || code == "40P01")
            }
        }
    }

    /// How the call ends that was alone in the batch. Logs what nobody else will see.
    pub fn end(&self, kind: Kind, method: &'static str) -> Failure {
        match self {
            Self::Unsent(sqlx::Error::PoolTimedOut) => Failure::Overloaded,
            Self::Moved | Self::Unsent(_) => Failure::Unavailable,
            Self::Lost(_) if kind == Kind::Read => Failure::Unavailable,
            Self::Lost(_) => Failure::Unknown,
            Self::Refused(error) => {
                let code = error.as_database_error().and_then(|database| database.code());
                match code.as_deref() {
                    Some("55P03") => Failure::PayerBusy,
                    // Cancelled by statement_timeout; serialisation failure; deadlock.
                    Some("57014" | "40001" | "40P01") => Failure::Overloaded,
                    _ => {
                        tracing::error!(method, %error, "the database refused a call");
                        Failure::Refused
                    }
                }
            }
        }
    }
}

/// Runs `calls`, which stand sorted by payer, as one autocommit statement.
///
/// All rows are fetched: only then has the database said that it is ready again, and a commit comes before that but
/// after the first row.
pub(super) async fn run(
    connection: impl PgExecutor<'_>,
    kind: Kind,
    calls: &[Call],
    lock_wait: Duration,
) -> Result<Answers, Fault> {
    let payers: Vec<&str> = calls.iter().map(|call| call.payer.as_str()).collect();
    let methods: Vec<&str> = calls.iter().map(|call| call.method).collect();
    let params: Vec<&str> = calls.iter().map(|call| call.work.params.as_str()).collect();
    let route = payers.first().copied();
    let rows = match kind {
        Kind::Write => {
            let lock_wait_ms = i32::try_from(lock_wait.as_millis()).unwrap_or(i32::MAX);
            let arounds: Vec<Option<&str>> = calls.iter().map(|call| call.around.as_deref()).collect();
            sqlx::query("select * from rpc.turn($1, $2, $3, $4, $5, $6)")
                .bind(route)
                .bind(payers)
                .bind(methods)
                .bind(params)
                .bind(arounds)
                .bind(lock_wait_ms)
                .fetch_all(connection)
                .await
        }
        Kind::Read => {
            sqlx::query("select * from rpc.read($1, $2, $3, $4)")
                .bind(route)
                .bind(payers)
                .bind(methods)
                .bind(params)
                .fetch_all(connection)
                .await
        }
    };
    let answers = rows.and_then(|rows| decode(&rows)).map_err(Fault::from)?;
    if answers.results.len() == calls.len() {
        return Ok(answers);
    }
    // It is committed, and nobody knows what came of which call.
    Err(Fault::Lost(sqlx::Error::Protocol("a batch has another number of answers than of calls".into())))
}

fn decode(rows: &[PgRow]) -> Result<Answers, sqlx::Error> {
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let ran: PgInterval = row.try_get("ran")?;
    let ran = Duration::from_micros(u64::try_from(ran.microseconds).unwrap_or_default());
    Ok(Answers { results: row.try_get("results")?, ran })
}
