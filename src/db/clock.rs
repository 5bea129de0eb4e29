//! The clock of the methods, which tests can move forward. A database with a moved clock has functions of no version: `serve`
//! refuses it, and the next `payerbase migrate` or `dev` puts the clock right.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// The functions that ask for the time: all of methods, of slugs and of the sweeper. Tokens and sign-ins keep the real time.
const FUNCTIONS: &str = "select pg_get_functiondef(oid)
  from pg_proc
  where (oid = 'rpc.now()'::regprocedure or pronamespace in ('sweep'::regnamespace, 'slug'::regnamespace))
    and prosrc ~ 'clock_timestamp\\(\\)'";
/// What these functions ask.
const NOW: &str = "clock_timestamp()";
/// The comment of a schema with a moved clock, which is no stamp.
const COMMENT: &str = "comment on schema rpc is 'payerbase with a clock that was moved'";

/// Lets the clock of a database go ahead of the real time.
///   ahead_before  how far it goes ahead now
///
/// # Errors
/// Those of the database.
pub async fn set_clock(admin: &mut PgConnection, ahead_before: Duration, ahead: Duration) -> Result<(), sqlx::Error> {
    let (before, after) = (time_ahead(ahead_before), time_ahead(ahead));
    let mut transaction = admin.begin().await?;
    let functions: Vec<String> = sqlx::query_scalar(FUNCTIONS).fetch_all(&mut *transaction).await?;
    for function in functions {
        transaction.execute(AssertSqlSafe(function.replace(&before, &after))).await?;
    }
    transaction.execute(COMMENT).await?;
    transaction.commit().await
}

fn time_ahead(ahead: Duration) -> String {
    match ahead.is_zero() {
        true => NOW.to_owned(),
        false => format!("({NOW} + interval '{} milliseconds')", ahead.as_millis()),
    }
}
