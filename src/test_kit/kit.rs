//! The clock that tests move.

use std::time::Duration;

use crate::db::admin::{Admin, AdminConnection};
use crate::db::clock::Clock;
use crate::db::reason;
use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// The furthest that the clock can go ahead, in milliseconds: 100 years.
pub(super) const AHEAD_MS_MAX: i64 = 100 * 366 * 24 * 3_600_000;

/// What tests need of a server.
#[derive(Clone)]
pub struct TestKit {
    admin: Admin,
}

impl TestKit {
    /// Works as the role that migrates the database.
    #[must_use]
    pub fn new(admin: Admin) -> Self {
        Self { admin }
    }

    /// The clock of the methods.
    ///
    /// # Errors
    /// `database-unavailable`
    pub async fn clock(&self) -> Result<Clock, Problem> {
        Clock::read(&mut *self.connect().await?).await.map_err(|error| unavailable(&error))
    }

    /// Moves the clock forward. Waiting calls notice it within a second, the sweeper within five.
    ///
    /// # Errors
    /// `invalid-value` if it would go more than 100 years ahead of the real time, `database-unavailable`.
    pub async fn advance(&self, by: Duration) -> Result<Clock, Problem> {
        let max = Duration::from_millis(AHEAD_MS_MAX.unsigned_abs());
        let moved = Clock::advance(&mut *self.connect().await?, by, max).await;
        moved.map_err(|error| unavailable(&error))?.ok_or_else(|| {
            let problem = Problem::new(Code::InvalidValue);
            problem.field("/advanceMs", "must leave the clock at most 100 years ahead of the real time")
        })
    }

    async fn connect(&self) -> Result<AdminConnection, Problem> {
        self.admin.connect().await.map_err(|error| unavailable(&error))
    }
}

fn unavailable(error: &sqlx::Error) -> Problem {
    because(reason(error));
    Problem::new(Code::DatabaseUnavailable)
}
