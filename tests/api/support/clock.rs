//! A clock that only a test moves, in place of the database's own: the one function that every method asks for the time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::sync::Mutex;

use super::{Caller, TestApp, TestDatabase};

/// Far from now, so that the server's own sweeper, which goes by the real time, finds nothing to do.
const START: &str = "2100-01-01T00:00:00Z";

/// A server whose time stands still.
pub struct TimedApp {
    pub app: TestApp,
    admin: Mutex<PgConnection>,
}

impl TimedApp {
    pub async fn spawn() -> Self {
        let database = TestDatabase::own().await;
        let mut admin = database.admin().await;
        let clock = format!(
            "create table rpc.clock (time timestamptz not null);
             insert into rpc.clock values ('{START}');
             grant select on rpc.clock to payerbase_rpc;
             create or replace function rpc.now() returns timestamptz language sql volatile
               as $$ select time from rpc.clock $$;"
        );
        admin.execute(AssertSqlSafe(clock)).await.unwrap();
        Self { app: TestApp::on(database), admin: Mutex::new(admin) }
    }

    pub async fn now(&self) -> DateTime<Utc> {
        sqlx::query_scalar("select time from rpc.clock").fetch_one(&mut *self.admin.lock().await).await.unwrap()
    }

    /// Moves the clock on.
    pub async fn pass(&self, time: Duration) {
        let pass = sqlx::query("update rpc.clock set time = time + $1").bind(time);
        pass.execute(&mut *self.admin.lock().await).await.unwrap();
    }

    /// Does to a payer what the sweeper does when it comes by, until nothing is left to do.
    pub async fn sweep(&self, caller: &Caller, method: &str) {
        let payer = caller.payer.as_str();
        let turn = "select results[1] from rpc.turn($1, array[$1], array[$2], array['{}'], array[null], 1000)";
        let mut admin = self.admin.lock().await;
        loop {
            let swept = sqlx::query_scalar(turn).bind(payer).bind(method).fetch_one(&mut *admin);
            let swept: String = swept.await.unwrap();
            if swept == r#"{"ok" : 0}"# || swept == r#"{"ok":0}"# {
                return;
            }
            assert!(swept.starts_with(r#"{"ok""#), "{swept}");
        }
    }
}
