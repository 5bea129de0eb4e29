//! The load benchmark: `cargo bench`.
//!
//! One run on one machine prints requests per second, latencies and CPU for the floor (`pgbench`: one durable statement a
//! call, no HTTP), a constant route, and calls; then the ratios, which are what to compare: the numbers themselves belong
//! to the machine and the hour. Cells are run in turn, round after round, and each shows the median of its rounds. Needs
//! Linux and `wrk` (Debian: `apt-get install wrk`); pgbench comes with PostgreSQL.
//!
//! `cargo bench -- long` pushes, pops and completes jobs for minutes, to see whether the line stays flat;
//! `cargo bench -- two` runs loads against two server processes of one database beside one;
//! `cargo bench -- memories` searches among a million (`BENCH_MEMORIES`) memories of a thousand payers;
//! `cargo bench --features local-embeddings -- embeddings` embeds texts, beside sentence-transformers if `BENCH_PYTHON` is a
//! Python that has it; `-- relevance` (with the feature too) says how good what is found is.
//!
//! `BENCH_SECONDS` (default 3) is the time of one cell in one round, `BENCH_ROUNDS` (default 3) the number of rounds,
//! `BENCH_ONLY` words with commas between: only loads with one of them in their names are run; `BENCH_MINUTES`
//! (default 5) the time of the long one.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for the developer: it prints, and stops when it cannot go on"
)]

mod data;
#[cfg(feature = "local-embeddings")]
mod embeddings;
mod load;
mod memories;
mod pgbench;
mod proc;
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
    } else if wants("memories") {
        memories::run().await;
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
        let Sample { per_second, p50_ms, p99_ms, cpu } = cell.median();
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
        // What was not run has no figures: they print as NaN.
        cell.map_or_else(|| Cell::new(load, connections).median(), Cell::median)
    };
    let rate = |load: Load| median(load, 64).per_second;
    let floors = cells.iter().filter(|cell| cell.load == Load::Floor).map(|cell| cell.median().per_second);
    let floor = floors.fold(f64::NAN, f64::max);
    let parts = median(Load::Floor, 1).p50_ms + median(Load::Constant, 1).p50_ms;
    println!("\n64 connections, and the floor with as many clients as do it best:\n");
    println!("| ratio | measured | aim |\n|---|---|---|");
    let row = |what: &str, measured: f64, aim: &str| println!("| {what} | {measured:.2} | {aim} |");
    row("increment, 10,000 payers / floor", rate(Load::IncrementSpread) / floor, ">= 1.0");
    row("increment, one payer / 10,000 payers", rate(Load::IncrementHot) / rate(Load::IncrementSpread), ">= 0.8");
    let alone = median(Load::IncrementSpread, 1).p50_ms;
    row("one connection: p50 of increment / (floor + constant route)", alone / parts, "<= 1.3");
    row("redirect, 10,000 links / floor", rate(Load::Redirect) / floor, ">= 0.8");
    row("redirect, one link / floor", rate(Load::RedirectHot) / floor, ">= 0.8");
    row("acquireLock and releaseLock / floor", rate(Load::Locks) / floor, ">= 0.7");
    row("pushJob, 10,000 payers / floor", rate(Load::Push) / floor, ">= 0.8");
    row("pushJob, one queue / floor", rate(Load::PushHot) / floor, ">= 0.8");
    row("popJob and completeJob, 10,000 payers / floor", rate(Load::Work) / floor, ">= 0.5");
    row("popJob and completeJob, one queue / floor", rate(Load::WorkHot) / floor, ">= 0.5");
    row("popJob of 1,000 / of 1,000,000 pending jobs", rate(Load::PopThousand) / rate(Load::PopMillion), "<= 1.3");
    row("increment / transact of five", rate(Load::IncrementSpread) / rate(Load::Transact), "< 2.5");
    println!("\njobs/s in batches of 100: {:.0}", rate(Load::PushBatch) * 100.0);
    println!("memory of the server: {:.0} MiB (aim: < 100)", stage.server_peak_mib());
}

/// Queues at work for minutes: what stays behind must not make them slower.
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

/// One hot payer, served by two processes: they wait for each other's turns.
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
