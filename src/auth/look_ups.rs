//! Look-ups by keys that anybody can make up: ids of tokens, and slugs.
//!
//! Waiting look-ups share one statement, as the calls of a lane do, so many look-ups cost little more than one. The statement
//! runs in a task of its own: a client that hangs up does not break the connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgRow;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::db::{Database, Pool, in_time};
use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// Look-ups that share a statement.
const BATCH_MAX: usize = 256;
/// Look-ups that wait. More are refused at once.
const WAITING_MAX: usize = 4_096;
/// Timeout of a look-up, including the wait for a connection.
pub(super) const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(3);

/// The query of a look-up, and its pool of connections.
pub(super) struct Source<T> {
    pub database: Database,
    pub pool: fn(&Database) -> &Pool,
    /// Takes an array of keys, and returns rows for each key that exists.
    pub statement: &'static str,
    /// The key and the value of a row.
    pub read: fn(&PgRow) -> sqlx::Result<(String, T)>,
    /// Statements that run at the same time.
    pub statements_max: usize,
}

/// A look-up that waits. Without values, the key does not exist. `Err`: why the database did not answer.
struct Wanted<T> {
    key: String,
    reply: oneshot::Sender<Result<Vec<T>, String>>,
}

/// Looks up values by their keys.
pub(super) struct LookUps<T> {
    waiting: mpsc::Sender<Wanted<T>>,
}

impl<T: Clone + Send + Sync + 'static> LookUps<T> {
    /// Starts the task, which ends when the last owner is dropped.
    pub fn start(source: Source<T>) -> Self {
        let (waiting, wanted) = mpsc::channel(WAITING_MAX);
        tokio::spawn(serve(Arc::new(source), wanted));
        Self { waiting }
    }

    /// The values of a key, one for each row. Empty if the key does not exist.
    ///
    /// # Errors
    /// `overloaded` if too many look-ups wait, `database-unavailable`.
    pub async fn find(&self, key: &str) -> Result<Vec<T>, Problem> {
        let (reply, found) = oneshot::channel();
        let wanted = Wanted { key: key.to_owned(), reply };
        self.waiting.try_send(wanted).map_err(|_full| {
            because("too many look-ups wait");
            Problem::new(Code::Overloaded)
        })?;
        let cause = match tokio::time::timeout(LOOK_UP_TIMEOUT, found).await {
            Ok(Ok(Ok(values))) => return Ok(values),
            Ok(Ok(Err(cause))) => cause,
            Ok(Err(_panicked)) => "the task panicked".to_owned(),
            Err(_elapsed) => "the database did not reply in time".to_owned(),
        };
        because(format!("cannot look up: {cause}"));
        Err(Problem::new(Code::DatabaseUnavailable))
    }
}

async fn serve<T: Clone + Send + Sync + 'static>(source: Arc<Source<T>>, mut wanted: mpsc::Receiver<Wanted<T>>) {
    let statements = Arc::new(Semaphore::new(source.statements_max));
    // A batch forms while all statements run.
    while let Ok(statement) = Arc::clone(&statements).acquire_owned().await {
        let mut batch = Vec::new();
        if wanted.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            batch.retain(|wanted| !wanted.reply.is_closed());
            answer(&source, batch).await;
            drop(statement);
        });
    }
}

async fn answer<T: Clone>(source: &Source<T>, batch: Vec<Wanted<T>>) {
    if batch.is_empty() {
        return;
    }
    let keys: Vec<&str> = batch.iter().map(|wanted| wanted.key.as_str()).collect();
    let rows = async {
        let mut connection = (source.pool)(&source.database).acquire().await?;
        sqlx::query(source.statement).bind(keys).fetch_all(&mut *connection).await
    };
    let found = in_time(LOOK_UP_TIMEOUT, rows).await;
    let found = found.and_then(|rows| {
        let mut by_key: HashMap<String, Vec<T>> = HashMap::new();
        for row in &rows {
            let (key, value) = (source.read)(row)?;
            by_key.entry(key).or_default().push(value);
        }
        Ok(by_key)
    });
    let found = match found {
        Ok(found) => Ok(found),
        Err(error) => Err(source.database.why(&error).await),
    };
    for Wanted { key, reply } in batch {
        let values = found.as_ref().map(|found| found.get(&key).cloned().unwrap_or_default()).map_err(Clone::clone);
        // The caller may have gone.
        let _gone = reply.send(values);
    }
}
