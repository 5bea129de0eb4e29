//! The floor: PostgreSQL with bare statements, measured by pgbench.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::load::{Cpu, Sample};

pub const FLOOR: &str = "\\set payer random(1, 10000)
insert into public.floor as f (payer, name, value, updated_at) \
values ('0x00000000000000000000000000000000000' || :payer, 'visits', 1, now()) \
on conflict (payer, name) do update set value = f.value + 1, updated_at = excluded.updated_at \
returning value, updated_at;
";

/// Runs the program `pgbench` on the database at `url`, in the folder `dir`.
pub fn run(program: &Path, url: &str, dir: &Path, scripts: &[String], clients: usize, seconds: usize) -> Sample {
    let mut files = Vec::new();
    for (place, script) in scripts.iter().enumerate() {
        let file = format!("pgbench{place}.sql");
        fs::write(dir.join(&file), script).expect("written");
        files.extend(["-f".to_owned(), file]);
    }
    let threads = clients.min(2).to_string();
    // `-T` includes the time to connect, which is seconds for many clients; `tps` excludes it.
    let seconds = seconds + clients / 64;
    let output = Command::new(program)
        .args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", &threads, "-T", &seconds.to_string()])
        .args(["-l", "--sampling-rate=0.25"])
        .args(files)
        .arg(url)
        .current_dir(dir)
        .output()
        .expect("pgbench");
    assert!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let tps = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    let mut latencies_us = take_log(dir);
    latencies_us.sort_unstable();
    let quantile = |q: usize| {
        let at = latencies_us.len() * q / 100;
        latencies_us.get(at).map_or(f64::NAN, |us| f64::from(*us) / 1_000.0)
    };
    Sample {
        per_second: tps.unwrap_or_else(|| panic!("pgbench:\n{printed}")),
        p50_ms: quantile(50),
        p95_ms: quantile(95),
        p99_ms: quantile(99),
        cpu: Cpu::default(),
    }
}

/// The latencies of the transactions, in microseconds, from pgbench's log files.
fn take_log(dir: &Path) -> Vec<u32> {
    let mut latencies = Vec::new();
    for entry in fs::read_dir(dir).expect("the folder").flatten() {
        if entry.file_name().to_string_lossy().starts_with("pgbench_log") {
            let log = fs::read_to_string(entry.path()).expect("the log");
            latencies.extend(log.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u32>().ok()));
            fs::remove_file(entry.path()).expect("removed");
        }
    }
    latencies
}
