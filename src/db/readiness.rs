//! Whether the server can serve requests.

use tokio::sync::{mpsc, oneshot};

use super::{CONNECT_TIMEOUT, Database, in_time};

/// Checks that share a query. More wait for the next one.
const CHECKS_MAX: usize = 1_024;

/// Whether the database is ready, or the reason why it is not, for the log.
type Ready = Result<(), String>;

/// A readiness check of the database, and no other access: handlers may hold it.
///
/// Checks that come together share one query, because anybody can ask.
pub struct Readiness {
    checks: mpsc::Sender<oneshot::Sender<Ready>>,
}

impl Readiness {
    /// The readiness check of `database`. Its task ends when the last owner is dropped.
    #[must_use]
    pub fn of(database: Database) -> Self {
        let (checks, mut waiting) = mpsc::channel(CHECKS_MAX);
        tokio::spawn(async move {
            let mut replies: Vec<oneshot::Sender<Ready>> = Vec::new();
            while waiting.recv_many(&mut replies, CHECKS_MAX).await > 0 {
                let is_ready = is_ready(&database).await;
                for reply in replies.drain(..) {
                    // The caller may have gone.
                    let _gone = reply.send(is_ready.clone());
                }
            }
        });
        Self { checks }
    }

    /// Whether the database answers and payerbase is installed in it. Only the start of a server checks the version, so
    /// that servers of the previous version keep running during an upgrade.
    ///
    /// # Errors
    /// The reason, for the log.
    pub async fn check(&self) -> Result<(), String> {
        let (reply, is_ready) = oneshot::channel();
        let stopping = || "the server is stopping".to_owned();
        self.checks.send(reply).await.map_err(|_stopping| stopping())?;
        is_ready.await.map_err(|_stopping| stopping())?
    }
}

async fn is_ready(database: &Database) -> Ready {
    let installed = async {
        let mut connection = database.watch().acquire().await?;
        sqlx::query_scalar("select obj_description(to_regnamespace('rpc'), 'pg_namespace') is not null")
            .fetch_all(&mut *connection)
            .await
    };
    let installed: sqlx::Result<Vec<bool>> = in_time(CONNECT_TIMEOUT, installed).await;
    match installed {
        Ok(installed) if installed == [true] => Ok(()),
        Ok(_) => Err("payerbase is not installed in the database".to_owned()),
        Err(error) => Err(database.why(&error).await),
    }
}
