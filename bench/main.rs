//! The load benchmark: `cargo bench`.
//!
//! One run on one machine prints requests per second, latencies and CPU for the floor (`pgbench`: one durable statement a
//! call, no HTTP), a constant route, and calls, at 1, 16, 64 and 256 connections; then the ratios, which are what to
//! compare: the numbers themselves belong to the machine and the hour. Cells are run in turn, round after round, and each
//! shows the median of its rounds. Needs Linux and `wrk` (Debian: `apt-get install wrk`); pgbench comes with PostgreSQL.
//!
//! `BENCH_SECONDS` (default 3) is the time of one cell in one round, `BENCH_ROUNDS` (default 3) the number of rounds, and
//! `BENCH_ONLY` a word: only loads with it in their names are run.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for the developer: it prints, and stops when it cannot go on"
)]

mod load;
mod stage;

use load::{Cell, Load, Sample};
use stage::Stage;

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
/// At which number of clients the floor is highest, and what `increment` is compared with.
const FLOOR_CLIENTS: usize = 32;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let (seconds, rounds) = (number("BENCH_SECONDS", 3), number("BENCH_ROUNDS", 3));
    let stage = Stage::set().await;
    let mut cells = Vec::new();
    for load in [Load::Floor, Load::Constant, Load::IncrementSpread, Load::IncrementHot, Load::Get] {
        for connections in CONNECTIONS {
            cells.push(Cell::new(load, connections));
        }
    }
    cells.insert(2, Cell::new(Load::Floor, FLOOR_CLIENTS));
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    cells.retain(|cell| cell.load.name().contains(&only));
    println!("{} cells, {rounds} rounds of {seconds} s each", cells.len());
    stage.warm_up();
    for _ in 0..rounds {
        for cell in &mut cells {
            let sample = stage.run(cell.load, cell.connections, seconds);
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
    let floor = median(Load::Floor, FLOOR_CLIENTS);
    let spread = median(Load::IncrementSpread, 64);
    let hot = median(Load::IncrementHot, 64);
    let alone = median(Load::IncrementSpread, 1).p50_ms;
    let parts = median(Load::Floor, 1).p50_ms + median(Load::Constant, 1).p50_ms;
    println!("\n| what | measured | wanted |\n|---|---|---|");
    println!(
        "| increment, 10,000 payers, 64 connections / floor, 32 clients | {:.2} | >= 1.0 |",
        spread.per_second / floor.per_second
    );
    println!(
        "| increment, one payer / 10,000 payers, 64 connections | {:.2} | >= 0.8 |",
        hot.per_second / spread.per_second
    );
    println!("| one connection: p50 of increment / (floor + constant route) | {:.2} | <= 1.3 |", alone / parts);
    println!("| memory of the server, MiB | {:.0} | < 100 |", stage.server_peak_mib());
}
