//! SQL beside counters: short statements, cold databases, endless statements of other payers, and the first call.

use std::fs;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};

use crate::load::{Cell, Load};
use crate::stage::Stage;
use crate::{data, number, proc, wrk};

/// Payers with a database of 1 MiB.
const PAYERS: usize = 1_000;
/// Payers with a database of 16 MiB, after the others.
const LARGE_PAYERS: usize = 24;
/// Payers with endless statements, after those.
const BOMBERS: usize = 32;
/// Rows of a database of 1 MiB, and of one of 16 MiB. Each row fills a page.
const ROWS: usize = 250;
const LARGE_ROWS: usize = 4_000;
/// Connections of the short calls beside the endless statements.
const BYSTANDERS: usize = 16;

const POINT_QUERY: &str = "select length(data) from t where id = ?";
const ENDLESS: &str = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c";

pub async fn run() {
    let (seconds, rounds) = (number("BENCH_SECONDS", 3), number("BENCH_ROUNDS", 3));
    // The second server is for the first call.
    let mut stage = Stage::set(2, &[]).await;
    // The HTTP clients need a TLS provider, even without TLS.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let sql = Sql { client: Client::new(), url: stage.url() };
    println!("| what | measured | aim |\n|---|---|---|");
    first_call(&stage).await;
    fill(&mut stage, &sql).await;
    cold(&stage, &sql).await;
    lay_out(&stage);
    stage.run(Load::Query, 64, 4).await;
    short(&mut stage, seconds, rounds).await;
    bombs(&mut stage, &sql, seconds, rounds).await;
    let (server, peak) = (proc::rss_mib(stage.server()), stage.server_peak_mib());
    println!("| memory of the server, and its peak | {server:.0} MiB, {peak:.0} MiB | < 150 MiB |");
    let workers: Vec<String> =
        proc::children(stage.server()).iter().map(|pid| format!("{:.0} MiB", proc::rss_mib(*pid))).collect();
    println!("| memory of its workers | {} | |", workers.join(", "));
    stage.clear().await;
}

/// A caller.
struct Sql {
    client: Client,
    url: String,
}

impl Sql {
    /// Sends a call. Returns its status and its time in milliseconds.
    async fn send(&self, token: &str, path: &str, body: &Value) -> (u16, f64) {
        let started = Instant::now();
        let call = self.client.post(format!("{}{path}", self.url)).bearer_auth(token).json(body);
        let answer = call.send().await.expect("an answer");
        let status = answer.status().as_u16();
        answer.bytes().await.expect("an answer");
        (status, started.elapsed().as_secs_f64() * 1_000.0)
    }

    async fn done(&self, token: &str, path: &str, body: &Value) -> f64 {
        let (status, ms) = self.send(token, path, body).await;
        assert_eq!(status, 200, "{path} {body}");
        ms
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn point_query(id: usize) -> Value {
    json!({"sql": POINT_QUERY, "params": [id]})
}

/// The first call of a server starts a worker.
async fn first_call(stage: &Stage) {
    let sql = Sql { client: Client::new(), url: stage.url_of(1) };
    let token = stage.tokens.of(0);
    let increment = || sql.done(token, "/v1/counters/first/increment", &Value::Null);
    let mut alone = Vec::new();
    for _ in 0..200 {
        alone.push(increment().await);
    }
    let query = json!({"sql": "select 1"});
    let first = sql.done(token, "/v1/sql/query", &query);
    let mut beside = Vec::new();
    let crowd = async {
        loop {
            beside.push(increment().await);
        }
    };
    let ms = tokio::select! {
        ms = first => ms,
        () = crowd => f64::NAN,
    };
    println!("| first call of SQL after the start of a server | {ms:.0} ms | < 3,000 ms |");
    let (alone, beside) = (median(alone), median(beside));
    println!("| increment meanwhile, p50, beside alone | {beside:.2} ms, {alone:.2} ms | |");
}

/// Makes a database of each size, and copies it to the other payers.
async fn fill(stage: &mut Stage, sql: &Sql) {
    for (first, count, rows) in [(0, PAYERS, ROWS), (PAYERS, LARGE_PAYERS, LARGE_ROWS)] {
        let token = stage.tokens.of(first);
        let tables = "create table t (id integer primary key, data text); create table log (id integer primary key, n)";
        let migration = json!({"migrations": [{"id": "1", "sql": tables}]});
        sql.done(token, "/v1/sql/migrate", &migration).await;
        let insert = "with recursive n(i) as (select ?1 union all select i + 1 from n where i < ?2)
            insert into t select i, hex(zeroblob(1900)) from n";
        for from in (1..=rows).step_by(ROWS) {
            let insert = json!({"sql": insert, "params": [from, from + ROWS - 1]});
            sql.done(token, "/v1/sql/execute", &insert).await;
        }
        let (last, payer) = (first + count - 1, format!("'0x{first:040x}'"));
        data::run(
            &mut stage.admin,
            &format!(
                "insert into tenant.sql_databases
                   select p.payer, d.version, gen_random_uuid(), d.ancestors, d.page_count, d.updated_at
                     from public.payers p, tenant.sql_databases d
                     where d.payer = {payer} and p.place between {first} + 1 and {last};
                 insert into tenant.sql_pages
                   select p.payer, d.page_no, d.version, d.data
                     from public.payers p, tenant.sql_pages d
                     where d.payer = {payer} and p.place between {first} + 1 and {last}"
            ),
        )
        .await;
    }
    data::run(&mut stage.admin, "vacuum analyze tenant.sql_databases, tenant.sql_pages").await;
}

/// One query of each large database, whose pages are neither in the server nor in its worker.
async fn cold(stage: &Stage, sql: &Sql) {
    let mut times = Vec::new();
    for payer in PAYERS + 1..PAYERS + LARGE_PAYERS {
        times.push(sql.done(stage.tokens.of(payer), "/v1/sql/query", &point_query(3_333)).await);
    }
    println!("| point query, cold, 16 MiB, one connection, p50 | {:.1} ms | < 5 ms |", median(times));
}

/// Writes the files of requests.
fn lay_out(stage: &Stage) {
    let tokens = || (0..PAYERS).map(|payer| stage.tokens.of(payer));
    let lines = |verb: &'static str, path: &str, bodies: &[String]| {
        let of_payer = |token| bodies.iter().map(move |body| (verb, path.to_owned(), token, body.clone()));
        wrk::text(&tokens().flat_map(of_payer).collect::<Vec<_>>())
    };
    let queries: Vec<String> = (0..4).map(|n| point_query(n * 60 + 1).to_string()).collect();
    let insert = json!({"sql": "insert into log (n) values (?)", "params": [1]}).to_string();
    let files = [
        (Load::Query, lines("POST", "/v1/sql/query", &queries)),
        (Load::Insert, lines("POST", "/v1/sql/execute", &[insert])),
        (Load::GetThousand, lines("GET", "/v1/counters/visits", &[String::new()])),
        (Load::IncrementThousand, lines("POST", "/v1/counters/visits/increment", &[String::new()])),
    ];
    for (load, requests) in files {
        fs::write(stage.dir().join(format!("{load:?}.requests")), requests).expect("written");
    }
}

/// Short statements beside calls of counters, with the same payers.
async fn short(stage: &mut Stage, seconds: usize, rounds: usize) {
    for (load, of) in [(Load::Query, Load::GetThousand), (Load::Insert, Load::IncrementThousand)] {
        let (mut ours, mut other) = (Cell::new(load, 64), Cell::new(of, 64));
        for _ in 0..rounds {
            ours.samples.push(stage.run(load, 64, seconds).await);
            other.samples.push(stage.run(of, 64, seconds).await);
        }
        let (ours, other) = (ours.median(), other.median());
        let rates = format!("{:.0} and {:.0} calls/s", ours.per_second, other.per_second);
        let (name, of) = (load.name(), of.name());
        println!("| {name} / {of}: p50 ({rates}) | {:.2} | < 2 |", ours.p50_ms / other.p50_ms);
    }
}

/// Short calls of others while payers have endless statements.
async fn bombs(stage: &mut Stage, sql: &Sql, seconds: usize, rounds: usize) {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for load in [Load::Query, Load::IncrementThousand] {
            alone.push((load, stage.run(load, BYSTANDERS, seconds).await));
        }
        let mut bombers = tokio::task::JoinSet::new();
        for payer in 0..BOMBERS {
            let token = stage.tokens.of(PAYERS + LARGE_PAYERS + payer).to_owned();
            let sql = Sql { client: sql.client.clone(), url: sql.url.clone() };
            bombers.spawn(async move {
                loop {
                    let (status, _ms) = sql.send(&token, "/v1/sql/query", &json!({ "sql": ENDLESS })).await;
                    assert!([408, 422, 503].contains(&status), "{status}");
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        for load in [Load::Query, Load::IncrementThousand] {
            let sample = tokio::task::block_in_place(|| stage.go_on(load, BYSTANDERS, seconds, 1));
            beside.push((load, sample));
        }
        bombers.shutdown().await;
        // The statements that run end in their time.
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    type Measure = fn(&crate::load::Sample) -> f64;
    let rows: [(Load, &str, Measure, &str); 2] = [
        (Load::Query, "p95", |sample| sample.p95_ms, "< 5"),
        (Load::IncrementThousand, "p99", |sample| sample.p99_ms, "untouched"),
    ];
    for (load, name, measure, aim) in rows {
        let of = |samples: &[(Load, crate::load::Sample)]| {
            median(samples.iter().filter(|(of, _)| *of == load).map(|(_, sample)| measure(sample)).collect())
        };
        let (alone, beside) = (of(&alone), of(&beside));
        let what = format!("{name} of {}, beside {BOMBERS} payers with endless statements / alone", load.name());
        println!("| {what} ({beside:.2} and {alone:.2} ms) | {:.2} | {aim} |", beside / alone);
    }
}
