//! Two servers on one database, with the same payers on both: no payer is busy for ordinary load.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use payerbase::turn::LaneCounts;
use serde_json::json;

use crate::support::{Answer, Caller, TestApp, TestDatabase};

/// Short calls of each connection.
const CALLS: usize = 150;
/// Heavy calls of each heavy payer on each server.
const HEAVY_CALLS: usize = 20;

/// A load that both servers carry.
struct Load {
    payers: usize,
    /// Connections of each payer to each server.
    connections: usize,
    /// Payers beside them, with one connection for heavy calls to each server.
    heavy_payers: usize,
    lanes: usize,
}

/// The kinds of an answer whose call was done, and of one whose outcome is unknown.
const DONE: &str = "200 ";
const UNKNOWN: &str = "503 outcome-unknown";

/// The answers, by status and code.
type Answers = BTreeMap<String, usize>;

fn count(answers: &mut Answers, answer: &Answer) {
    let body: serde_json::Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let code = body["code"].as_str().unwrap_or_default();
    *answers.entry(format!("{} {code}", answer.status.as_u16())).or_default() += 1;
}

/// A transaction of the greatest weight: it holds the lock of its payer for long.
fn heavy() -> serde_json::Value {
    let jobs = vec![json!({"payload": 1}); 100];
    let push = json!({"method": "pushJobs", "params": {"queue": "q", "jobs": jobs}});
    json!({ "calls": vec![push; 5] })
}

async fn short_calls(caller: Caller) -> Answers {
    let mut answers = Answers::new();
    for _ in 0..CALLS {
        count(&mut answers, &caller.increment("a", json!({})).await);
    }
    answers
}

async fn heavy_calls(caller: Caller) {
    for _ in 0..HEAVY_CALLS {
        let answer = caller.post("/v1/transaction", heavy()).await;
        assert!(answer.status == 200 || answer.status == 503, "{answer:?}");
    }
}

/// Runs a load. Returns the answers to the short calls.
async fn run(load: &Load) -> Answers {
    let database = TestDatabase::own().await;
    let apps = [0, 1]
        .map(|_| TestApp::set(database.clone(), |settings| settings.lanes = LaneCounts { write: load.lanes, read: 1 }));
    let on_both = |caller: Caller| apps.each_ref().map(|app| Caller { url: app.url.clone(), ..caller.clone() });
    let payers = join_all((0..load.payers).map(|_| apps[0].caller())).await;
    let heavy_payers = join_all((0..load.heavy_payers).map(|_| apps[0].caller())).await;
    let heavy: Vec<_> =
        heavy_payers.into_iter().flat_map(on_both).map(|caller| tokio::spawn(heavy_calls(caller))).collect();
    let connections = payers.iter().cloned().flat_map(on_both).flat_map(|caller| vec![caller; load.connections]);
    let short: Vec<_> = connections.map(|caller| tokio::spawn(short_calls(caller))).collect();
    let mut all = Answers::new();
    let answers: Vec<Answers> = join_all(short).await.into_iter().map(Result::unwrap).collect();
    for (payer, answers) in payers.iter().zip(answers.chunks(2 * load.connections)) {
        let count = |kind: &str| answers.iter().filter_map(|answers| answers.get(kind)).sum::<usize>();
        let (done, unknown) = (count(DONE), count(UNKNOWN));
        let value = usize::try_from(payer.value("a").await).unwrap();
        assert!((done..=done + unknown).contains(&value), "{value}: each increment counts once: {answers:?}");
    }
    for (kind, count) in answers.into_iter().flatten() {
        *all.entry(kind).or_default() += count;
    }
    for calls in join_all(heavy).await {
        calls.unwrap();
    }
    all
}

async fn is_never_busy(load: Load) {
    let answers = run(&load).await;
    println!(
        "{} payers x {} connections, {} heavy payers, {} lanes, on each of two servers: {answers:?}",
        load.payers, load.connections, load.heavy_payers, load.lanes
    );
    // A machine that is too slow refuses calls for other reasons.
    assert!(!answers.keys().any(|kind| kind.contains("payer-busy")), "{answers:?}");
    assert!(answers.contains_key(DONE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payer_is_busy_with_eight_payers_and_two_connections() {
    is_never_busy(Load { payers: 8, connections: 2, heavy_payers: 0, lanes: 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payer_is_busy_with_more_payers_than_connections_of_the_pool() {
    is_never_busy(Load { payers: 32, connections: 1, heavy_payers: 0, lanes: 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payer_is_busy_with_four_lanes() {
    is_never_busy(Load { payers: 8, connections: 2, heavy_payers: 0, lanes: 4 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payer_is_busy_while_heavy_payers_are_busy_on_both_servers() {
    is_never_busy(Load { payers: 8, connections: 1, heavy_payers: 5, lanes: 4 }).await;
}
