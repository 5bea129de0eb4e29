//! A clock that only a test moves. It replaces `rpc.now()`, from which every method gets the time. Each payer has its
//! own clock, so that concurrent tests do not disturb each other.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tokio::sync::Mutex;

use super::{Caller, TestApp, TestDatabase};

/// Start of each clock. It is far in the future, so that the server's own sweeper, which uses the real time, finds
/// no rows to sweep.
const START: &str = "2100-01-01T00:00:00Z";

/// The clocks of a database.
pub struct Clock(Mutex<PgConnection>);

impl Clock {
    /// Replaces the database's clock with new ones.
    pub async fn install(admin: &PgConnectOptions) -> Self {
        let mut admin = admin.connect().await.unwrap();
        let clock = format!(
            "create table rpc.clock (payer text primary key, time timestamptz not null);
             grant select on rpc.clock to payerbase_rpc;
             create or replace function rpc.now() returns timestamptz language sql volatile as $$
               select coalesce(
                 (select time from rpc.clock where payer = current_setting('payerbase.payer')), timestamptz '{START}')
             $$;"
        );
        admin.execute(AssertSqlSafe(clock)).await.unwrap();
        Self(Mutex::new(admin))
    }

    /// The clocks that are installed in a database.
    pub async fn at(admin: &PgConnectOptions) -> Self {
        Self(Mutex::new(admin.connect().await.unwrap()))
    }

    /// The time of a payer's clock.
    pub async fn now(&self, caller: &Caller) -> DateTime<Utc> {
        let now = "select coalesce((select time from rpc.clock where payer = $1), $2::timestamptz)";
        let now = sqlx::query_scalar(now).bind(caller.payer.as_str()).bind(START);
        now.fetch_one(&mut *self.0.lock().await).await.unwrap()
    }

    /// Moves the clock of a payer forward, while no turn of the payer runs, so that a turn sees only one time.
    pub async fn pass(&self, caller: &Caller, time: Duration) -> sqlx::Result<()> {
        let mut admin = self.0.lock().await;
        let mut transaction = admin.begin().await?;
        let alone = sqlx::query("select pg_advisory_xact_lock(tenant.payer_lock($1))").bind(caller.payer.as_str());
        alone.execute(&mut *transaction).await?;
        let pass = "insert into rpc.clock values ($1, $2::timestamptz + $3)
                    on conflict (payer) do update set time = clock.time + $3";
        let pass = sqlx::query(pass).bind(caller.payer.as_str()).bind(START).bind(time);
        pass.execute(&mut *transaction).await?;
        transaction.commit().await
    }
}

/// A server whose clock only the test moves.
pub struct TimedApp {
    pub app: TestApp,
    pub clock: Clock,
}

impl TimedApp {
    pub async fn spawn() -> Self {
        let database = TestDatabase::own().await;
        let clock = Clock::install(&database.admin).await;
        Self { app: TestApp::on(database), clock }
    }

    /// Runs a method of the sweeper for a payer until no rows are left to sweep.
    pub async fn sweep(&self, caller: &Caller, method: &str) {
        let payer = caller.payer.as_str();
        let turn = "select results[1] from rpc.turn($1, array[$1], array[$2], array['{}'], array[null], 1000)";
        let mut admin = self.app.database.admin().await;
        loop {
            let swept = sqlx::query_scalar(turn).bind(payer).bind(method).fetch_one(&mut admin);
            let swept: String = swept.await.unwrap();
            if swept.replace(' ', "") == r#"{"ok":0}"# {
                return;
            }
            assert!(swept.starts_with(r#"{"ok""#), "{swept}");
        }
    }
}
