//! The two statements: `rpc.turn` for writes and `rpc.read` for reads.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use sqlx::{PgExecutor, Row as _};

use super::access::Access;
use super::call::Call;
use super::send_error::SendError;
use crate::db::LANE_STATEMENT_TIMEOUT;
use crate::vector::Vector;

/// After this long without a reply a connection counts as broken: the database cancels its statements sooner.
pub(super) const SILENCE_MAX: Duration = LANE_STATEMENT_TIMEOUT.saturating_mul(2);

/// The results of a batch.
pub(super) struct BatchResults {
    /// One result per call, in the order of the calls.
    pub results: Vec<String>,
    /// Time inside of the function. The rest of the round trip is the commit and the network.
    pub ran: Duration,
}

/// Sorts a batch by payer, so that two batches take the locks of their payers in the same order. All calls of a batch are in
/// flight at the same time, so any order of the calls of a payer is right: those of one method without conditions become
/// neighbours, because they run as a set.
pub(super) fn sort(calls: &mut [Call]) {
    let key = |call: &Call| (call.command.method, call.command.conditions.is_some());
    calls.sort_by(|a, b| a.payer.cmp(&b.payer).then_with(|| key(a).cmp(&key(b))));
}

/// Runs `calls`, sorted by payer, as one autocommit statement.
///
/// Fetches all rows: the commit comes after the first row and before the database is ready for the next statement.
pub(super) async fn execute(
    connection: impl PgExecutor<'_>,
    access: Access,
    calls: &[Call],
    lock_wait: Duration,
) -> Result<BatchResults, SendError> {
    let payers: Vec<&str> = calls.iter().map(|call| call.payer.as_str()).collect();
    let methods: Vec<&str> = calls.iter().map(|call| call.command.method).collect();
    let params: Vec<&str> = calls.iter().map(|call| call.command.params.as_str()).collect();
    let route = payers.first().copied();
    let rows = match access {
        Access::Write => {
            let lock_wait_ms = i32::try_from(lock_wait.as_millis()).unwrap_or(i32::MAX);
            let conditions: Vec<Option<&str>> = calls.iter().map(|call| call.command.conditions.as_deref()).collect();
            sqlx::query("select * from rpc.turn($1, $2, $3, $4, $5, $6)")
                .bind(route)
                .bind(payers)
                .bind(methods)
                .bind(params)
                .bind(conditions)
                .bind(lock_wait_ms)
                .fetch_all(connection)
                .await
        }
        Access::Read => {
            let vector = calls.first().and_then(|call| call.command.vector.as_ref()).map(Vector::to_pg);
            sqlx::query("select * from rpc.read($1, $2, $3, $4, $5)")
                .bind(route)
                .bind(payers)
                .bind(methods)
                .bind(params)
                .bind(vector)
                .fetch_all(connection)
                .await
        }
    };
    let results = rows.and_then(|rows| decode(&rows)).map_err(SendError::from)?;
    if results.results.len() == calls.len() {
        return Ok(results);
    }
    // The batch is committed, but the results cannot be assigned to the calls.
    Err(SendError::Lost(sqlx::Error::Protocol("a batch returned a wrong number of results".into())))
}

fn decode(rows: &[PgRow]) -> Result<BatchResults, sqlx::Error> {
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let ran: PgInterval = row.try_get("ran")?;
    let ran = Duration::from_micros(u64::try_from(ran.microseconds).unwrap_or_default());
    Ok(BatchResults { results: row.try_get("results")?, ran })
}
