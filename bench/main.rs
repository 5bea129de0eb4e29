//! The load benchmark: `cargo bench`.
//!
//! A run prints requests per second, latencies and CPU of the floor (`pgbench`: one durable statement per call, without
//! HTTP), of a constant route, and of calls. Then it prints ratios. Compare the ratios: absolute numbers depend on the
//! machine and on its other load. Each round runs all cells one after the other, and a cell shows the median of its
//! rounds. The benchmark needs Linux and `wrk` (Debian: `apt-get install wrk`); pgbench is part of PostgreSQL.
//!
//! Other benchmarks:
//! - `cargo bench -- long` pushes, pops and completes jobs for minutes, to check that the rate stays constant.
//! - `cargo bench -- two` compares two server processes on one database with one process.
//! - `cargo bench -- fairness` measures what the neighbours of a demanding payer notice, and the memory of the server.
//! - `cargo bench -- prices` compares calls that are paid from credit with free ones.
//! - `cargo bench -- rates` compares calls with limits of rates and a Redis with calls without them. It needs `redis-server`.
//! - `cargo bench -- memories` searches a million (`BENCH_MEMORIES`) memories of a thousand payers.
//! - `cargo bench -- sql` measures statements of a thousand payers with databases, beside calls of counters.
//! - `cargo bench --features local-embeddings -- embeddings` embeds texts. If `BENCH_PYTHON` is a Python with
//!   sentence-transformers, it compares the two.
//! - `cargo bench --features local-embeddings -- relevance` measures the relevance of search results.
//!
//! Variables:
//! - `BENCH_SECONDS`: time of a cell in a round, in seconds. Default: 3.
//! - `BENCH_ROUNDS`: number of rounds. Default: 3.
//! - `BENCH_ONLY`: parts of names, separated by commas. Only loads with one of them in their names run. Default: all.
//! - `BENCH_MINUTES`: time of `long`, in minutes. Default: 5.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for the developer: it prints, and stops when it cannot go on"
)]

mod data;
#[cfg(feature = "local-embeddings")]
mod embeddings;
mod fairness;
mod load;
mod memories;
mod pairs;
mod pgbench;
mod proc;
mod sql;
mod stage;
mod wrk;

use load::{Cell, Load, Sample};
use stage::Stage;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let wants = |word: &str| arguments.iter().any(|argument| argument == word);
    if wants("long") {
        long().await;
    } else if wants("two") {
        two().await;
    } else if wants("fairness") {
        fairness::run().await;
    } else if wants("prices") {
        pairs::prices().await;
    } else if wants("rates") {
        pairs::rates().await;
    } else if wants("memories") {
        memories::run().await;
    } else if wants("sql") {
        sql::run().await;
    } else if wants("embeddings") || wants("relevance") {
        #[cfg(feature = "local-embeddings")]
        match wants("relevance") {
            true => embeddings::relevance().await,
            false => embeddings::speed().await,
        }
        #[cfg(not(feature = "local-embeddings"))]
        panic!("add `--features local-embeddings`");
    } else {
        table().await;
    }
}

async fn table() {
    let (seconds, rounds) = (number("BENCH_SECONDS", 3), number("BENCH_ROUNDS", 3));
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let wanted = Load::ALL.into_iter().filter(|load| only.split(',').any(|word| load.name().contains(word)));
    let mut cells: Vec<Cell> = wanted
        .flat_map(|load| load.connections().iter().map(move |connections| Cell::new(load, *connections)))
        .collect();
    let mut stage = Stage::set(1, &[]).await;
    println!("{} cells, {rounds} rounds of {seconds} s each", cells.len());
    stage.warm_up().await;
    for _ in 0..rounds {
        for cell in &mut cells {
            let sample = stage.run(cell.load, cell.connections, seconds).await;
            cell.samples.push(sample);
        }
    }
    report(&cells, &stage);
    stage.clear().await;
}

fn report(cells: &[Cell], stage: &Stage) {
    println!("\n| load | connections | req/s | p50 ms | p99 ms | CPU server | CPU PostgreSQL | CPU load |");
    println!("|---|---|---|---|---|---|---|---|");
    for cell in cells {
        let Sample { per_second, p50_ms, p99_ms, cpu, .. } = cell.median();
        println!(
            "| {} | {} | {per_second:.0} | {p50_ms:.3} | {p99_ms:.3} | {:.2} | {:.2} | {:.2} |",
            cell.load.name(),
            cell.connections,
            cpu.server,
            cpu.postgres,
            cpu.other
        );
    }
    let median = |load: Load, connections: usize| -> Sample {
        let cell = cells.iter().find(|cell| cell.load == load && cell.connections == connections);
        cell.map_or_else(|| Cell::new(load, connections).median(), Cell::median)
    };
    let rate = |load: Load| median(load, 64).per_second;
    let floors = cells.iter().filter(|cell| cell.load == Load::Floor).map(|cell| cell.median().per_second);
    let floor = floors.fold(f64::NAN, f64::max);
    let parts = median(Load::Floor, 1).p50_ms + median(Load::Constant, 1).p50_ms;
    println!("\n64 connections; the floor is the best of its numbers of clients:\n");
    println!("| ratio | measured | aim |\n|---|---|---|");
    // A ratio of a load that did not run is NaN.
    let row = |what: &str, measured: f64, aim: &str| {
        if measured.is_finite() {
            println!("| {what} | {measured:.2} | {aim} |");
        }
    };
    row("increment, 10,000 payers / floor", rate(Load::IncrementSpread) / floor, ">= 1.1");
    row("increment, one payer / 10,000 payers", rate(Load::IncrementHot) / rate(Load::IncrementSpread), ">= 0.8");
    let alone = median(Load::IncrementSpread, 1).p50_ms;
    row("one connection: p50 of increment / (floor + constant route)", alone / parts, "<= 1.3");
    row("redirect, 10,000 links / floor", rate(Load::Redirect) / floor, ">= 0.8");
    row("redirect, one link / floor", rate(Load::RedirectHot) / floor, ">= 0.8");
    row("acquireLock and releaseLock / floor", rate(Load::Locks) / floor, ">= 0.7");
    row("pushJob, 10,000 payers / floor", rate(Load::Push) / floor, ">= 1.0");
    row("pushJob, one queue / floor", rate(Load::PushHot) / floor, ">= 1.0");
    row("popJob and completeJob, 10,000 payers / floor", rate(Load::Work) / floor, ">= 0.8");
    row("popJob and completeJob, one queue / floor", rate(Load::WorkHot) / floor, ">= 0.8");
    row("popJob of 1,000 / of 1,000,000 pending jobs", rate(Load::PopThousand) / rate(Load::PopMillion), "<= 1.3");
    row("increment / transact of five", rate(Load::IncrementSpread) / rate(Load::Transact), "< 2.5");
    let batches = rate(Load::PushBatch);
    if batches.is_finite() {
        println!("\njobs/s in batches of 100: {:.0}", batches * 100.0);
    }
    println!("memory of the server: {:.0} MiB (aim: < 100)", stage.server_peak_mib());
}

/// Queues under load for minutes. Finished jobs and dead rows must not make them slower.
async fn long() {
    const SEGMENT_SECONDS: usize = 15;
    let segments = number("BENCH_MINUTES", 5) * 60 / SEGMENT_SECONDS;
    let mut stage = Stage::set(1, &[]).await;
    stage.warm_up().await;
    println!("{}, 64 connections\n", Load::Cycle.name());
    println!(
        "| minute | calls/s | p50 ms | p99 ms | jobs, MiB | indexes, MiB | dead rows |\n|---|---|---|---|---|---|---|"
    );
    data::prepare(&mut stage.admin, Load::Cycle).await;
    let mut minute = 0.0;
    for _ in 0..segments {
        let Sample { per_second, p50_ms, p99_ms, .. } = stage.go_on(Load::Cycle, 64, SEGMENT_SECONDS, 1);
        let (table, indexes, dead) = data::bloat(&mut stage.admin).await;
        minute += 0.25;
        println!("| {minute} | {per_second:.0} | {p50_ms:.3} | {p99_ms:.3} | {table} | {indexes} | {dead} |");
    }
    stage.clear().await;
}

/// One process against two. The turns of one payer in two processes wait for each other.
async fn two() {
    let (seconds, rounds) = (number("BENCH_SECONDS", 3), number("BENCH_ROUNDS", 3));
    let mut stage = Stage::set(2, &[]).await;
    stage.warm_up().await;
    println!("\n64 connections:\n\n| load | one process, req/s | two, req/s | ratio |\n|---|---|---|---|");
    for load in [Load::IncrementSpread, Load::IncrementHot, Load::PushHot, Load::WorkHot] {
        let (mut one, mut both) = (Cell::new(load, 64), Cell::new(load, 64));
        for _ in 0..rounds {
            one.samples.push(stage.share(load, 64, seconds, 1).await);
            both.samples.push(stage.share(load, 64, seconds, 2).await);
        }
        let (one, both) = (one.median().per_second, both.median().per_second);
        println!("| {} | {one:.0} | {both:.0} | {:.2} |", load.name(), both / one);
    }
    stage.clear().await;
}
