//! The clock that tests move.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::Mutex;

use crate::db::clock::set_clock;
use crate::db::reason;
use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// The furthest that the clock can go ahead: 100 years.
const AHEAD_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// What tests need of a server.
pub struct TestKit {
    admin: PgConnectOptions,
    /// How far the clock goes ahead of the real time.
    ahead: Mutex<Duration>,
}

impl TestKit {
    /// Works as the role that migrates the database.
    #[must_use]
    pub fn new(admin: PgConnectOptions) -> Self {
        Self { admin, ahead: Mutex::default() }
    }

    /// The time of the methods, and how far it goes ahead of the real time.
    pub(super) async fn clock(&self) -> Result<(DateTime<Utc>, Duration), Problem> {
        let ahead = self.ahead.lock().await;
        let now = now(&mut self.connect().await?).await;
        Ok((now.map_err(|error| unavailable(&error))?, *ahead))
    }

    /// Moves the clock forward. Waiting calls notice it within a second, the sweeper within five.
    pub(super) async fn advance(&self, by: Duration) -> Result<(DateTime<Utc>, Duration), Problem> {
        let mut ahead = self.ahead.lock().await;
        let sum = ahead.saturating_add(by);
        if sum > AHEAD_MAX {
            let problem = Problem::new(Code::InvalidValue);
            return Err(problem.field("/advanceMs", "must leave the clock at most 100 years ahead of the real time"));
        }
        let mut admin = self.connect().await?;
        let moved = async {
            set_clock(&mut admin, *ahead, sum).await?;
            now(&mut admin).await
        };
        let now = moved.await.map_err(|error| unavailable(&error))?;
        *ahead = sum;
        Ok((now, sum))
    }

    async fn connect(&self) -> Result<PgConnection, Problem> {
        self.admin.connect().await.map_err(|error| unavailable(&error))
    }
}

async fn now(admin: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("select rpc.now()").fetch_one(admin).await
}

fn unavailable(error: &sqlx::Error) -> Problem {
    because(reason(error));
    Problem::new(Code::DatabaseUnavailable)
}
