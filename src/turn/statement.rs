//! The statements: `rpc.write_batch` and `rpc.read_batch`.

use std::collections::HashMap;
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

/// After this time, a batch of light calls begins no more calls: they run in the next batch.
const LIGHT_BUDGET: Duration = Duration::from_millis(10);

/// The results of a batch.
pub(super) struct BatchResults {
    /// One result per call, in the order of the calls.
    pub results: Vec<String>,
    /// Time inside of the function. The rest of the round trip is the commit and the network.
    pub ran: Duration,
    /// Per call, the time after the begin of the batch at which it ended, if it is known.
    pub ended: Vec<Option<Duration>>,
}

/// Groups a batch by payer, and the calls of a payer by method, each in the order of its first call, so that the oldest calls
/// come first. All calls of a batch are in flight at the same time, so any order of the calls of a payer is right: those of one
/// method without conditions become neighbours, because they run as a set.
///
/// The payers may have any order: a turn of several payers waits for no lock, so two of them cannot deadlock.
pub(super) fn group(calls: &mut [Call]) {
    let kind = |call: &Call| (call.payer.clone(), call.command.method, call.command.conditions.is_some());
    let (mut payers, mut kinds) = (HashMap::new(), HashMap::new());
    for (place, call) in calls.iter().enumerate() {
        payers.entry(call.payer.clone()).or_insert(place);
        kinds.entry(kind(call)).or_insert(place);
    }
    calls.sort_by_cached_key(|call| (payers.get(&call.payer).copied(), kinds.get(&kind(call)).copied()));
}

/// How a batch runs.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// How long it waits for the lock of its payer. Only a batch of one payer may wait.
    pub lock_wait: Duration,
    /// After this time, it begins no more calls.
    pub budget: Option<Duration>,
}

impl Terms {
    /// The terms of a batch of light calls.
    pub const LIGHT: Self = Self { lock_wait: Duration::ZERO, budget: Some(LIGHT_BUDGET) };

    /// The terms of calls of one payer.
    pub const fn waiting(lock_wait: Duration) -> Self {
        Self { lock_wait, budget: None }
    }
}

/// The prices of a batch as `rpc.write_batch` reads them. All `None` if its calls are free.
#[derive(Default)]
struct Prices<'a> {
    assets: Option<&'a [String]>,
    /// Per asset, the price of each call.
    each: Option<Vec<i64>>,
    /// Per asset, at the first call of each payer, the price of all its calls; 0 at the others.
    totals: Option<Vec<i64>>,
}

fn prices(calls: &[Call]) -> Prices<'_> {
    let Some(some) = calls.iter().find_map(|call| call.command.price.as_ref()) else { return Prices::default() };
    let (mut each, mut totals) = (Vec::new(), Vec::new());
    for place in 0..some.amounts.len() {
        let price = |call: &Call| call.command.price.as_ref().and_then(|price| price.amounts.get(place)).copied();
        for of_payer in calls.chunk_by(|call, next| call.payer == next.payer) {
            let prices = of_payer.iter().map(|call| price(call).unwrap_or_default());
            totals.push(prices.clone().fold(0, i64::saturating_add));
            totals.extend(of_payer.iter().skip(1).map(|_| 0));
            each.extend(prices);
        }
    }
    Prices { assets: Some(&some.assets), each: Some(each), totals: Some(totals) }
}

/// Runs a batch, grouped by payer, as one autocommit statement.
pub(super) async fn execute(
    connection: impl PgExecutor<'_>,
    access: Access,
    calls: &[Call],
    terms: Terms,
) -> Result<BatchResults, SendError> {
    let payers: Vec<&str> = calls.iter().map(|call| call.payer.as_str()).collect();
    let methods: Vec<&str> = calls.iter().map(|call| call.command.method).collect();
    let params: Vec<&str> = calls.iter().map(|call| call.command.params.as_str()).collect();
    let route = payers.first().copied();
    let budget_ms = terms.budget.map(milliseconds);
    let rows = match access {
        Access::Write => {
            let conditions: Vec<Option<&str>> = calls.iter().map(|call| call.command.conditions.as_deref()).collect();
            let Prices { assets, each, totals } = prices(calls);
            sqlx::query("select * from rpc.write_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
                .bind(route)
                .bind(payers)
                .bind(methods)
                .bind(params)
                .bind(conditions)
                .bind(milliseconds(terms.lock_wait))
                .bind(budget_ms)
                .bind(assets)
                .bind(each)
                .bind(totals)
                .fetch_all(connection)
                .await
        }
        Access::Read => {
            let vector = calls.first().and_then(|call| call.command.vector.as_ref()).map(Vector::to_pg);
            sqlx::query("select * from rpc.read_batch($1, $2, $3, $4, $5, $6)")
                .bind(route)
                .bind(payers)
                .bind(methods)
                .bind(params)
                .bind(vector)
                .bind(budget_ms)
                .fetch_all(connection)
                .await
        }
    };
    // All rows are fetched: the commit comes after the first row and before the database is ready for the next statement.
    let results = rows.and_then(|rows| decode(rows.first().ok_or(sqlx::Error::RowNotFound)?));
    let results = results.map_err(SendError::from)?;
    if results.results.len() == calls.len() && results.ended.len() == calls.len() {
        return Ok(results);
    }
    // The batch is committed, but the results cannot be assigned to the calls.
    Err(SendError::Lost(sqlx::Error::Protocol("a batch returned a wrong number of results".into())))
}

fn decode(row: &PgRow) -> sqlx::Result<BatchResults> {
    let (ran, ended): (PgInterval, Vec<Option<PgInterval>>) = (row.try_get("ran")?, row.try_get("ended")?);
    let ended = ended.iter().map(|time| time.as_ref().map(duration)).collect();
    Ok(BatchResults { results: row.try_get("results")?, ran: duration(&ran), ended })
}

fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// The time of a statement: less than a day.
fn duration(interval: &PgInterval) -> Duration {
    Duration::from_micros(u64::try_from(interval.microseconds).unwrap_or_default())
}
