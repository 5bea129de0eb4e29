//! The HTTP load generator: `wrk`, with scripts of this benchmark.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::data::{PAYERS, SMALL_QUEUES, Tokens};
use crate::load::{Cpu, Load, Sample};

const SCRIPTS: [(&str, &str); 3] = [
    ("any.lua", include_str!("wrk/any.lua")),
    ("locks.lua", include_str!("wrk/locks.lua")),
    ("jobs.lua", include_str!("wrk/jobs.lua")),
];

/// Writes the scripts, and the file of requests of each load.
pub fn lay_out(dir: &Path, tokens: &Tokens) {
    assert!(
        Command::new("wrk").arg("--version").stdout(Stdio::null()).status().is_ok(),
        "wrk is missing: apt-get install wrk"
    );
    for (name, script) in SCRIPTS {
        fs::write(dir.join(name), script).expect("written");
    }
    for load in Load::ALL {
        let Some(requests) = requests(load, tokens) else { continue };
        fs::write(dir.join(format!("{load:?}.requests")), requests).expect("written");
    }
}

/// The file of requests: one request per line, with verb, path, token and body. `None` for a load with its own script
/// or its own file.
fn requests(load: Load, tokens: &Tokens) -> Option<String> {
    const ONE_JOB: &str = r#"{"payload":{"order":1}}"#;
    let lines: Vec<(&str, String, &str, String)> = match load {
        Load::Floor
        | Load::Locks
        | Load::Work
        | Load::WorkHot
        | Load::Cycle
        | Load::Search
        | Load::Store
        | Load::Query
        | Load::Insert
        | Load::GetThousand
        | Load::IncrementThousand => return None,
        Load::Constant => vec![("GET", "/healthz".into(), "", String::new())],
        Load::IncrementSpread => each(tokens.all(), "/v1/counters/visits/increment", ""),
        Load::IncrementHot => each(tokens.one(), "/v1/counters/visits/increment", ""),
        Load::Get => tokens
            .all()
            .iter()
            .map(|token| ("GET", "/v1/counters/visits".into(), token.as_str(), String::new()))
            .collect(),
        Load::Redirect => (0..PAYERS).map(|place| ("GET", format!("/l/bench{place}"), "", String::new())).collect(),
        Load::RedirectHot => vec![("GET", "/l/bench0".into(), "", String::new())],
        Load::Push => each(tokens.all(), "/v1/queues/orders/jobs", ONE_JOB),
        Load::PushHot => each(tokens.one(), "/v1/queues/orders/jobs", ONE_JOB),
        Load::PushBatch => {
            each(tokens.all(), "/v1/queues/orders/jobs/batch", &format!(r#"{{"jobs":[{}]}}"#, [ONE_JOB; 100].join(",")))
        }
        Load::PopThousand => (1..=SMALL_QUEUES)
            .flat_map(|queue| each(tokens.one(), &format!("/v1/queues/small{queue}/pop"), "{}"))
            .collect(),
        Load::PopMillion => each(tokens.one(), "/v1/queues/large/pop", "{}"),
        Load::Transact => {
            let calls: Vec<String> =
                (0..5).map(|n| format!(r#"{{"method":"increment","params":{{"name":"visits{n}"}}}}"#)).collect();
            each(tokens.all(), "/v1/transaction", &format!(r#"{{"calls":[{}]}}"#, calls.join(",")))
        }
    };
    Some(text(&lines))
}

/// Requests in the format of `any.lua`.
pub fn text(lines: &[(&str, String, &str, String)]) -> String {
    let mut text = String::new();
    for (verb, path, token, body) in lines {
        writeln!(text, "{verb}\t{path}\t{token}\t{body}").expect("written");
    }
    text
}

fn each<'a>(tokens: &'a [String], path: &str, body: &str) -> Vec<(&'static str, String, &'a str, String)> {
    tokens.iter().map(|token| ("POST", path.to_owned(), token.as_str(), body.to_owned())).collect()
}

/// Starts the load.
pub fn start(dir: &Path, port: u16, load: Load, connections: usize, seconds: usize) -> Child {
    let threads = connections.min(2).to_string();
    let mut wrk = Command::new("wrk");
    wrk.env("BENCH_THREADS", &threads);
    let (script, tokens) = if load == Load::Locks {
        ("locks.lua", "all.txt")
    } else if load == Load::WorkHot {
        ("jobs.lua", "one.txt")
    } else if load == Load::Work || load == Load::Cycle {
        ("jobs.lua", "all.txt")
    } else {
        ("any.lua", "")
    };
    wrk.env("BENCH_TOKENS", dir.join(tokens)).env("BENCH_REQUESTS", dir.join(format!("{load:?}.requests")));
    if load == Load::Cycle {
        wrk.env("BENCH_PUSH", "yes");
    }
    wrk.args(["--latency", "-t", &threads, "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "-s"])
        .arg(dir.join(script))
        .arg(format!("http://127.0.0.1:{port}"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("wrk")
}

/// Waits for the end of the load and reads its results.
pub fn finish(load: Load, wrk: Child) -> Sample {
    let output = wrk.wait_with_output().expect("wrk");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!printed.contains("Non-2xx") && !printed.contains("Socket errors"), "{}:\n{printed}", load.name());
    let found = |label: &str| printed.lines().find_map(|line| line.trim().strip_prefix(label));
    let after = |label: &str| found(label).expect("wrk prints it").trim().to_owned();
    Sample {
        per_second: after("Requests/sec:").parse().expect("a number"),
        p50_ms: ms(&after("50%")),
        p95_ms: found("95%").map_or(f64::NAN, |text| ms(text.trim())),
        p99_ms: ms(&after("99%")),
        cpu: Cpu::default(),
    }
}

/// A time as wrk prints it, in milliseconds.
fn ms(text: &str) -> f64 {
    let (number, factor) = match (text.strip_suffix("us"), text.strip_suffix("ms")) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text.trim_end_matches('s'), 1_000.0),
    };
    number.parse::<f64>().expect("a number") * factor
}
