//! A random checker: clients of several payers call two servers, which are processes, while servers, connections and
//! PostgreSQL fail. What the clients saw must be possible: no acknowledged write is lost, and none is done twice.
//!
//! - `PAYERBASE_TEST_SECONDS`: time of the load. Default: 12.
//! - `PAYERBASE_TEST_KILLS`: how often something is killed under a load of SQL. Default: 12.
//! - `PAYERBASE_TEST_SEED`: the seed of the faults and of the clients' choices. Default: random; a failure prints it.
//!
//! Nothing is said about how long a call takes: a slow machine has other histories, and all of them are possible.

mod counters;
mod faults;
mod links;
mod locks;
mod memories;
mod mutants;
mod payer;
mod queues;
mod servers;
mod sql;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use faults::Faults;
use memories::Writer;
use mutants::{FORGETFUL, MUTANTS, MUTANTS_OF_SQL, Mutant};
use payer::Payer;
use servers::World;

const PAYERS: usize = 3;
/// Clients of each payer.
const CLIENTS: usize = 8;
/// Time of the load in which a mutant is searched, and how often.
const ROUND: Duration = Duration::from_millis(1_500);
const ROUNDS_MAX: u64 = 50;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// What the clients do.
#[derive(Clone, Copy)]
enum Load {
    /// Calls of all primitives.
    All,
    Sql,
}

/// A client: does something at random until the world stops.
async fn client(payer: Arc<Payer>, number: usize, seed: u64, claims: Arc<AtomicUsize>, load: Load) {
    let (payer, random) = (&*payer, &mut StdRng::seed_from_u64(seed));
    let mut writer = Writer::new(number);
    while !payer.has_stopped() {
        if matches!(load, Load::Sql) {
            sql::call(payer, random).await;
            continue;
        }
        match random.random_range(0..105) {
            0..9 => counters::step(payer, random).await,
            9..12 => counters::leap(payer, random).await,
            12..20 => counters::step_once(payer, random).await,
            20..28 => counters::read(payer, random).await,
            28..36 => counters::transfer(payer, random).await,
            36..41 => counters::audit(payer, random).await,
            41..53 => queues::push(payer, random).await,
            53..72 => queues::work(payer, random).await,
            72..83 => locks::hold(payer, random).await,
            83..85 => links::visit(payer, random).await,
            85..89 => links::claim(payer, random, &claims).await,
            89..95 => writer.write(payer, random).await,
            95..100 => memories::read(payer, random, CLIENTS).await,
            _ => sql::call(payer, random).await,
        }
    }
}

/// Runs clients and faults. Returns what is impossible in what the clients saw.
async fn run(world: &mut World, load: Load, time: Duration, seed: u64, faults: Faults) -> Vec<String> {
    let random = &mut StdRng::seed_from_u64(seed);
    let stop = CancellationToken::new();
    let payers = join_all((0..PAYERS).map(|_| world.payer(&stop))).await;
    let payers: Vec<Arc<Payer>> = payers.into_iter().map(Arc::new).collect();
    join_all(payers.iter().map(|payer| counters::prepare(payer, random.random()))).await;
    join_all(payers.iter().map(|payer| sql::prepare(payer, random.random()))).await;
    // Other rounds on the database have had other slugs.
    let (mut clients, claims) = (JoinSet::new(), Arc::new(AtomicUsize::new(rand::random::<u32>() as usize)));
    for payer in &payers {
        for number in 0..CLIENTS {
            clients.spawn(client(Arc::clone(payer), number, random.random(), Arc::clone(&claims), load));
        }
    }
    let done = || payers.iter().map(|payer| payer.done.load(Ordering::Relaxed)).sum::<u64>();
    let until = Instant::now() + time;
    let caused = match faults {
        Faults::None => {
            while Instant::now() < until && !payers.iter().any(|payer| payer.wrong.has_some()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            0
        }
        Faults::Crashes | Faults::All => {
            let caused = faults::cause(world, faults, until, random.random()).await;
            world.heal().await;
            caused
        }
        Faults::Kills(count) => {
            faults::kill_often(world, count, random.random(), done).await;
            world.heal().await;
            count
        }
    };
    stop.cancel();
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let mut wrong = std::mem::take(&mut *world.panics.lock().unwrap());
    for payer in &payers {
        wrong.extend(payer.wrong.take());
        counters::check(payer, random, &mut wrong).await;
        locks::check(payer, &mut wrong);
        memories::check(payer, random, CLIENTS, &mut wrong).await;
        sql::check(payer, random, &mut wrong).await;
    }
    links::check(&payers.iter().map(|payer| &**payer).collect::<Vec<_>>(), random, &mut wrong).await;
    // The rest takes longer.
    if faults == Faults::All || wrong.is_empty() {
        for payer in &payers {
            queues::drain(payer, random, &mut wrong).await;
            queues::check(payer, random, &mut wrong).await;
        }
    }
    println!("seed {seed}: {} calls done, {caused} faults, {} impossible", done(), wrong.len());
    wrong
}

/// Nothing that clients see is impossible.
async fn all_is_possible(load: Load, time: Duration, faults: Faults) {
    let seed = number("PAYERBASE_TEST_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("PAYERBASE_TEST_SEED={seed}");
    let mut world = World::start().await;
    let mut wrong = run(&mut world, load, time, seed, faults).await;
    world.end().await;
    wrong.truncate(50);
    assert!(wrong.is_empty(), "PAYERBASE_TEST_SEED={seed}:\n{}", wrong.join("\n"));
}

fn time_of_load() -> Duration {
    Duration::from_secs(number("PAYERBASE_TEST_SECONDS").unwrap_or(12))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_see_is_possible_while_everything_fails() {
    all_is_possible(Load::All, time_of_load(), Faults::All).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_of_sql_see_is_possible() {
    all_is_possible(Load::Sql, time_of_load(), Faults::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_of_sql_see_is_possible_while_everything_is_killed() {
    let kills = number("PAYERBASE_TEST_KILLS").unwrap_or(12);
    all_is_possible(Load::Sql, Duration::ZERO, Faults::Kills(usize::try_from(kills).unwrap())).await;
}

/// Runs rounds until something is impossible.
async fn find(world: &mut World, mutant: &Mutant, load: Load, time: Duration, faults: Faults) {
    let start = Instant::now();
    for round in 1..=ROUNDS_MAX {
        if let Some(found) = run(world, load, time, round, faults).await.first() {
            println!("{}: round {round}, {:.1?}: {found}", mutant.name, start.elapsed());
            return;
        }
    }
    panic!("not found: {}", mutant.name);
}

/// Tests the checker: it finds each of these errors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_each_broken_function() {
    let mut world = World::start().await;
    let mut admin = world.database.admin().await;
    for (load, mutants) in [(Load::All, MUTANTS), (Load::Sql, MUTANTS_OF_SQL)] {
        assert_eq!(run(&mut world, load, ROUND, 0, Faults::None).await, Vec::<String>::new());
        for mutant in mutants {
            let unbroken = mutants::install(&mut admin, mutant).await;
            find(&mut world, mutant, load, ROUND, Faults::None).await;
            for function in unbroken {
                admin.execute(AssertSqlSafe(function)).await.unwrap();
            }
        }
    }
    world.end().await;
}

/// Tests the faults.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_writes_that_a_crash_loses() {
    let mut world = World::start().await;
    let mut admin = world.database.admin().await;
    mutants::install(&mut admin, &FORGETFUL).await;
    admin.close().await.unwrap();
    find(&mut world, &FORGETFUL, Load::All, 2 * ROUND, Faults::Crashes).await;
    world.end().await;
}
