//! The clock of the methods, which tests can move forward. A database with a moved clock has functions of no version: `serve`
//! refuses it, and the next `payerbase migrate` or `dev` puts the clock right.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// The functions that ask for the time: all of methods, of slugs and of the sweeper. Tokens and sign-ins keep the real time, and so
/// does the choice of the server that sweeps: no other one could be chosen when the clock is right again.
const FUNCTIONS: &str = "select pg_get_functiondef(oid)
  from pg_proc
  where (oid = 'rpc.now()'::regprocedure or pronamespace in ('sweep'::regnamespace, 'slug'::regnamespace))
    and proname <> 'lead' and prosrc ~ 'clock_timestamp\\(\\)'";
/// What these functions ask.
const NOW: &str = "clock_timestamp()";
/// The comment of the functions begins with it if the clock was moved; milliseconds follow. It is no stamp.
const MOVED: &str = "clock ahead by ";

/// The clock of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Its time.
    pub now: DateTime<Utc>,
    /// How far it goes ahead of the real time.
    pub ahead: Duration,
}

impl Clock {
    /// Reads the clock.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn read(admin: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let clock = "select rpc.now(), coalesce(obj_description('rpc'::regnamespace, 'pg_namespace'), '')";
        let (now, comment): (DateTime<Utc>, String) = sqlx::query_as(clock).fetch_one(admin).await?;
        let ahead = comment.strip_prefix(MOVED).and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        Ok(Self { now, ahead: ahead.unwrap_or_default() })
    }

    /// Moves the clock forward. `None`, and nothing was changed, if it would go more than `max` ahead of the real time.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn advance(admin: &mut PgConnection, by: Duration, max: Duration) -> Result<Option<Self>, sqlx::Error> {
        if by.as_millis() == 0 {
            return Self::read(admin).await.map(Some);
        }
        let mut transaction = admin.begin().await?;
        // Two moves add up.
        transaction.execute("select pg_advisory_xact_lock(hashtext('payerbase clock'))").await?;
        let Self { ahead, .. } = Self::read(&mut transaction).await?;
        let sum = ahead.saturating_add(by);
        if sum > max {
            return Ok(None);
        }
        let functions: Vec<String> = sqlx::query_scalar(FUNCTIONS).fetch_all(&mut *transaction).await?;
        for function in functions {
            transaction.execute(AssertSqlSafe(function.replace(&time(ahead), &time(sum)))).await?;
        }
        let comment = format!("comment on schema rpc is '{MOVED}{}'", sum.as_millis());
        transaction.execute(AssertSqlSafe(comment)).await?;
        let clock = Self::read(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Some(clock))
    }
}

/// The time ahead of the real one, in SQL.
fn time(ahead: Duration) -> String {
    match ahead.is_zero() {
        true => NOW.to_owned(),
        false => format!("({NOW} + interval '{} milliseconds')", ahead.as_millis()),
    }
}
