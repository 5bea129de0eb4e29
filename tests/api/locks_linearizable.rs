//! Locks are linearizable: the results of concurrent calls are possible in some sequential order, even when the
//! database is killed. The clients record histories, and the algorithm of Wing, Gong and Lowe checks them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;
use payerbase::db::embedded::Cluster;
use rand::RngExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use crate::faults::{kill, migrated, wait_for_readyz};
use crate::support::database::temporary_cluster;
use crate::support::{Answer, Caller, Clock, TestApp, TestDatabase};

/// Number of histories that run at the same time.
const AT_ONCE: usize = 8;
const TTL_MS: i64 = 1_000;
const KILLS: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire(usize),
    Release(usize),
    Check,
    Pass(i64),
}

#[derive(Clone, Debug, PartialEq)]
enum Ret {
    Acquired(i64),
    Released,
    /// The fence, if the lock is held.
    Seen(Option<i64>),
    Refused(String),
    Passed,
    /// The call was refused and had no effect.
    NotRun,
}

/// The model of a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Lock {
    now_ms: i64,
    fence: i64,
    holder: Option<(usize, i64)>,
}

impl Lock {
    fn refusal(&self, token: usize) -> Option<&'static str> {
        let Some((holder, until_ms)) = self.holder else { return Some("lock-not-held") };
        match (until_ms > self.now_ms, holder == token) {
            (true, true) => None,
            (true, false) => Some("lock-wrong-token"),
            (false, true) => Some("lock-expired"),
            (false, false) => Some("lock-not-held"),
        }
    }
}

impl Lock {
    fn run(&mut self, op: Op) -> Ret {
        let holder = self.holder.filter(|(_, until_ms)| *until_ms > self.now_ms);
        match op {
            Op::Acquire(token) => match holder {
                Some((holder, _)) if holder == token => Ret::Acquired(self.fence),
                Some(_) => Ret::Refused("lock-held".to_owned()),
                None => {
                    self.fence += 1;
                    self.holder = Some((token, self.now_ms + TTL_MS));
                    Ret::Acquired(self.fence)
                }
            },
            Op::Release(token) => match self.refusal(token) {
                Some(code) => Ret::Refused(code.to_owned()),
                None => {
                    self.holder = None;
                    Ret::Released
                }
            },
            Op::Check => Ret::Seen(holder.map(|_| self.fence)),
            Op::Pass(ms) => {
                self.now_ms += ms;
                Ret::Passed
            }
        }
    }
}

/// A call and its answer. `None` if the answer is unknown: the call is still running, or its outcome is unknown.
type Call = (Op, Option<Ret>);

impl Specification for Lock {
    type State = Self;
    type Operation = Call;

    fn init() -> Self {
        Self::default()
    }

    fn apply((op, ret): &Call, lock: &Self) -> (bool, Self) {
        let mut after = lock.clone();
        match ret {
            Some(Ret::NotRun) => (true, after),
            Some(ret) => (after.run(*op) == *ret, after),
            // With an unknown answer, any result is possible. If the call had no effect, it can be placed after all
            // others.
            None => (after.run(*op) != Ret::NotRun, after),
        }
    }
}

/// Number of clients of a lock, each with its own token. After a call without an answer, a client continues as a new
/// thread of the history.
const CLIENTS: usize = 4;
/// Number of calls of each client.
const STEPS: usize = 10;

/// The history of one lock.
#[derive(Default)]
struct Record(Mutex<Events>);

#[derive(Default)]
struct Events {
    threads: usize,
    actions: Vec<(usize, Action<Call>)>,
    in_flight: BTreeMap<usize, Op>,
}

impl Record {
    fn events(&self) -> MutexGuard<'_, Events> {
        self.0.lock().unwrap()
    }

    fn new_thread(&self) -> usize {
        let mut events = self.events();
        events.threads += 1;
        events.threads
    }

    fn invoke(&self, thread: usize, op: Op) {
        let mut events = self.events();
        events.actions.push((thread, Action::Call((op, None))));
        assert!(events.in_flight.insert(thread, op).is_none());
    }

    fn answer(&self, thread: usize, ret: Ret) {
        let mut events = self.events();
        let op = events.in_flight.remove(&thread).unwrap();
        events.actions.push((thread, Action::Response((op, Some(ret)))));
    }

    fn is_linearizable(&self) -> bool {
        let mut events = self.events();
        let in_flight = std::mem::take(&mut events.in_flight);
        events.actions.extend(in_flight.into_iter().map(|(thread, op)| (thread, Action::Response((op, None)))));
        WGLChecker::<Lock>::is_linearizable(History::from_actions(events.actions.clone()))
    }

    /// A client of the lock, which calls both servers.
    async fn client(&self, callers: &[Caller], token: usize) {
        let mut thread = self.new_thread();
        for _step in 0..STEPS {
            let (op, place, gone) = {
                let mut rng = rand::rng();
                let op = match rng.random_range(0..6) {
                    0..3 => Op::Acquire(token),
                    3..5 => Op::Release(token),
                    _ => Op::Check,
                };
                (op, rng.random_range(0..callers.len()), rng.random_ratio(1, 20))
            };
            self.invoke(thread, op);
            let call = call(&callers[place], op);
            let ret = match gone {
                // Disconnect immediately: the outcome of the call is unknown.
                true => tokio::time::timeout(Duration::from_micros(500), call).await.ok().flatten(),
                false => call.await,
            };
            if ret == Some(Ret::NotRun) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            match ret {
                Some(ret) => self.answer(thread, ret),
                None => thread = self.new_thread(),
            }
        }
    }

    async fn run(&self, callers: &[Caller], clock: &Clock) {
        let clients = (0..CLIENTS).map(|token| self.client(callers, token));
        let time = async {
            for _step in 0..3 {
                let (thread, ms) = (self.new_thread(), rand::rng().random_range(200..900));
                tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..8))).await;
                self.invoke(thread, Op::Pass(ms));
                if clock.pass(&callers[0], Duration::from_millis(ms.unsigned_abs())).await.is_ok() {
                    self.answer(thread, Ret::Passed);
                }
            }
        };
        tokio::join!(join_all(clients), time);
    }
}

/// The answer of a call. `None` if its outcome is unknown.
async fn call(caller: &Caller, op: Op) -> Option<Ret> {
    let token = |token: usize| format!("the token of client {token}");
    let send = async |what, body: Value| {
        let body = Some(("application/json", body.to_string().into_bytes()));
        caller.try_send(Method::POST, &format!("/v1/locks/l/{what}"), body).await
    };
    let answer = match op {
        Op::Acquire(by) => send("acquire", json!({"token": token(by), "ttlMs": TTL_MS})).await,
        Op::Release(by) => send("release", json!({"token": token(by)})).await,
        Op::Check => caller.try_send(Method::GET, "/v1/locks/l", None).await,
        Op::Pass(_) => unreachable!("this is not a call"),
    };
    let answer: Answer = answer.ok()?;
    // The server closed a connection on which no complete request had arrived.
    if answer.status == 408 {
        return Some(Ret::NotRun);
    }
    if answer.status == 503 {
        return (answer.json()["code"] != "outcome-unknown").then_some(Ret::NotRun);
    }
    Some(match (op, answer.status.is_success()) {
        (_, false) => Ret::Refused(answer.json()["code"].as_str().unwrap().to_owned()),
        (Op::Acquire(_), true) => Ret::Acquired(answer.json()["fence"].as_i64().unwrap()),
        (Op::Release(_), true) => Ret::Released,
        (Op::Check | Op::Pass(_), true) => {
            let body: Value = answer.json();
            Ret::Seen(body["fence"].as_i64().filter(|_| body["locked"] == true))
        }
    })
}

/// New payers, each with a caller for every server.
async fn payers(apps: &[TestApp]) -> Vec<Vec<Caller>> {
    let mut payers = Vec::new();
    for _payer in 0..AT_ONCE {
        let caller = apps[0].caller().await;
        payers.push(apps.iter().map(|app| Caller { url: app.url.clone(), ..caller.clone() }).collect());
    }
    payers
}

/// Records one history per payer. Returns whether all of them are linearizable.
async fn are_linearizable(payers: &[Vec<Caller>], clock: &Clock) -> bool {
    let records: Vec<Record> = payers.iter().map(|_| Record::default()).collect();
    join_all(records.iter().zip(payers).map(|(record, callers)| record.run(callers, clock))).await;
    let failed = records.iter().find(|record| !record.is_linearizable());
    if let Some(record) = failed {
        println!("not linearizable: {:#?}", record.events().actions);
    }
    failed.is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_linearizable_over_two_servers() {
    let database = TestDatabase::own().await;
    let clock = Clock::install(&database.admin).await;
    let apps = [TestApp::on(database.clone()), TestApp::on(database)];
    for _round in 0..25 {
        assert!(are_linearizable(&payers(&apps).await, &clock).await);
    }
}

/// Tests the checker: without the payer's lock, histories are not linearizable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_an_error_without_the_payer_lock() {
    let database = TestDatabase::own().await;
    let clock = Clock::install(&database.admin).await;
    let mut admin = database.admin().await;
    let turn: String = sqlx::query_scalar("select pg_get_functiondef('rpc.write_batch'::regproc)")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    let unlocked = turn.replace("pg_try_advisory_xact_lock(tenant.payer_lock(v_payer))", "true");
    assert_ne!(turn, unlocked);
    admin.execute(AssertSqlSafe(unlocked)).await.unwrap();
    let apps = [TestApp::on(database.clone()), TestApp::on(database)];
    for _round in 0..100 {
        if !are_linearizable(&payers(&apps).await, &clock).await {
            return;
        }
    }
    panic!("the checker found no error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_linearizable_while_the_database_is_killed() {
    let mut cluster: Cluster = temporary_cluster().await;
    let (admin, app) = migrated(&cluster).await;
    let database = TestDatabase { admin, app };
    Clock::install(&database.admin).await;
    let apps = [TestApp::on(database.clone()), TestApp::on(database.clone())];
    let ready = apps[0].caller().await;
    for _kill in 0..KILLS {
        let (clock, payers) = (Clock::at(&database.admin).await, payers(&apps).await);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(rand::rng().random_range(5..40))).await;
            kill(&mut cluster).await;
            cluster.launch().await.unwrap();
        };
        let (are_linearizable, ()) = tokio::join!(are_linearizable(&payers, &clock), kill);
        assert!(are_linearizable);
        wait_for_readyz(&ready, 200).await;
    }
    cluster.stop().await;
}
