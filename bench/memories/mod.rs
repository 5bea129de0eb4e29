//! Searches of a million memories of a thousand payers: one payer has 100,000, one has 2,000, and the others share the
//! rest.

mod world;

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::load::{Load, Sample};
use crate::stage::Stage;
use crate::{data, number, wrk};
use world::{DIMENSIONS, Source, Vector, World, dot, nearest};

const PAYERS: usize = 1_000;
/// Number and memories of the payer with the most memories, and of the payer whose latency is measured.
const LARGE: (usize, usize) = (0, 100_000);
const MIDDLE: (usize, usize) = (1, 2_000);
/// Number of queries of each case.
const QUERIES: usize = 200;

pub async fn run() {
    let (all, seconds, rounds) =
        (number("BENCH_MEMORIES", 1_000_000), number("BENCH_SECONDS", 3), number("BENCH_ROUNDS", 3));
    let mut stage = Stage::set(1, &[]).await;
    let world = World::new();
    let kept = fill(&mut stage.admin, &world, all).await;
    grow(&mut stage.admin).await;
    recall(&stage, &world, &kept).await;
    by_words(&stage).await;
    latency(&mut stage, &world, &kept, seconds, rounds).await;
    store(&mut stage, &world, seconds, rounds);
    stage.clear().await;
}

fn payer(number: usize) -> String {
    format!("0x{number:040x}")
}

/// Number of memories of a payer.
fn size(number: usize, all: usize) -> usize {
    match number {
        0 => LARGE.1,
        1 => MIDDLE.1,
        _ => (all.saturating_sub(LARGE.1 + MIDDLE.1) / (PAYERS - 2)).max(1),
    }
}

fn source(world: &World, number: usize) -> Source<'_> {
    world.payer(number, if number == LARGE.0 { 100 } else { 20 })
}

/// The vectors of three payers, to compute the true neighbours.
struct Kept {
    large: Vec<Vector>,
    middle: Vec<Vector>,
    small: Vec<Vector>,
}

/// Inserts the memories. Returns the vectors of three payers.
async fn fill(admin: &mut PgConnection, world: &World, all: usize) -> Kept {
    let started = Instant::now();
    data::run(admin, "create unlogged table public.drawn (payer text, n bigint, embedding public.vector); set maintenance_work_mem = '1GB'").await;
    let mut copy = admin.copy_in_raw("copy public.drawn from stdin (format binary)").await.expect("copy");
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    let mut kept = [Vec::new(), Vec::new(), Vec::new()];
    let mut count = 0;
    for number in 0..PAYERS {
        let mut source = source(world, number);
        for n in 0..size(number, all) {
            let vector = source.draw();
            row(&mut bytes, &payer(number), n, &vector);
            count += 1;
            if let Some(kept) = kept.get_mut(number) {
                kept.push(vector);
            }
            if bytes.len() > 1 << 20 {
                copy.send(std::mem::take(&mut bytes)).await.expect("sent");
            }
        }
    }
    bytes.extend((-1_i16).to_be_bytes());
    copy.send(bytes).await.expect("sent");
    copy.finish().await.expect("copied");
    // Drop the indexes and create them after the insert, which is faster.
    let indexes = "select pg_get_indexdef(indexrelid), indexrelid::regclass::text from pg_index where indrelid = 'tenant.memories'::regclass";
    let indexes = sqlx::query(indexes).fetch_all(&mut *admin).await.expect("indexes");
    for index in &indexes {
        let drop = match index.get::<&str, _>(1).ends_with("pkey") {
            true => "alter table tenant.memories drop constraint memories_pkey".to_owned(),
            false => format!("drop index {}", index.get::<&str, _>(1)),
        };
        data::run(admin, &drop).await;
    }
    data::run(
        admin,
        "insert into tenant.memories (payer, id, namespace, content, metadata, tags, importance, model, dimensions, is_made, embedding, words, place, created_at, updated_at)
           select payer, 'm' || n, 'default', 'fact ' || n || ' of ' || n % 1000,
               jsonb_build_object('percent', n % 100, 'permille', n % 1000), '{}', 0.5, '', 384, false, embedding,
               to_tsvector('simple', 'fact ' || n || ' of ' || n % 1000), n + 1, now(), now()
             from public.drawn;
         insert into tenant.memory_spaces select payer, '', 384, count(*), count(*), 0 from public.drawn group by payer;
         drop table public.drawn",
    )
    .await;
    for index in &indexes {
        if !index.get::<&str, _>(1).ends_with("pkey") {
            data::run(admin, index.get(0)).await;
        }
    }
    for last in ["alter table tenant.memories add primary key (payer, id)", "vacuum analyze tenant.memories"] {
        data::run(admin, last).await;
    }
    println!("{count} memories of {PAYERS} payers, in {:.0} s", started.elapsed().as_secs_f64());
    let [large, middle, small] = kept;
    Kept { large, middle, small }
}

/// Appends a row in the format of `copy .. (format binary)`.
fn row(bytes: &mut Vec<u8>, payer: &str, n: usize, vector: &[f32]) {
    let length = |length: usize| i32::try_from(length).expect("short").to_be_bytes();
    bytes.extend(3_i16.to_be_bytes());
    bytes.extend(length(payer.len()));
    bytes.extend(payer.as_bytes());
    bytes.extend(length(8));
    bytes.extend(i64::try_from(n).expect("small").to_be_bytes());
    bytes.extend(length(4 + 4 * vector.len()));
    bytes.extend(i16::try_from(vector.len()).expect("small").to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(vector.iter().flat_map(|number| number.to_be_bytes()));
}

/// Grows the graph like the sweeper, without its pauses.
async fn grow(admin: &mut PgConnection) {
    let started = Instant::now();
    let grow = "select results[1] from rpc.turn($1, array[$1], array['growGraph'], array['{\"model\":\"\",\"dimensions\":384,\"bite\":1000}'], array[null], 9000)";
    let mut count = 0;
    loop {
        let answer: String = sqlx::query_scalar(grow).bind(payer(LARGE.0)).fetch_one(&mut *admin).await.expect("grown");
        match serde_json::from_str::<Value>(&answer).expect("JSON").get("ok").and_then(Value::as_u64) {
            Some(0) => break,
            grown => count += grown.expect("no problem"),
        }
    }
    let size = "select pg_size_pretty(sum(pg_relation_size(indexrelid))) from pg_index join pg_class on pg_class.oid = indexrelid where relname like 'memory_graph%embedding%'";
    let size: String = sqlx::query_scalar(size).fetch_one(&mut *admin).await.expect("a size");
    println!("{count} vectors into the graph in {:.0} s; its indexes: {size}", started.elapsed().as_secs_f64());
}

fn client() -> Client {
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(30)).build().expect("a client")
}

async fn found(stage: &Stage, client: &Client, number: usize, body: &Value) -> Value {
    let request =
        client.post(format!("{}/v1/memories/search", stage.url())).bearer_auth(stage.tokens.of(number)).json(body);
    request.send().await.expect("sent").error_for_status().expect("found").json().await.expect("JSON")
}

async fn search(stage: &Stage, client: &Client, number: usize, query: &[f32], more: &Value) -> (Vec<usize>, bool) {
    let mut body = json!({"embedding": query});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    let answer = found(stage, client, number, &body).await;
    let exact = answer.get("exact").and_then(Value::as_bool).expect("exact");
    let results = answer.get("results").and_then(Value::as_array).expect("results");
    let id = |result: &Value| result.get("id").and_then(Value::as_str)?.strip_prefix('m')?.parse().ok();
    (results.iter().map(|result| id(result).expect("an id")).collect(), exact)
}

/// A kind of search.
struct Case<'a> {
    what: &'static str,
    number: usize,
    vectors: &'a [Vector],
    /// Other members of the request.
    more: Value,
    /// Whether the memory with this index matches the filter.
    is_wanted: fn(usize) -> bool,
    aim: &'static str,
}

async fn recall(stage: &Stage, world: &World, kept: &Kept) {
    let client = client();
    println!(
        "\n| search of ten, 384 dimensions | exact | recall@10 | p50 ms | p95 ms | aim |\n|---|---|---|---|---|---|"
    );
    let percent = |n: usize| n % 100 == 7;
    let permille = |n: usize| n % 1_000 == 7;
    let large =
        |what, more, is_wanted| Case { what, number: LARGE.0, vectors: &kept.large, more, is_wanted, aim: ">= 0.98" };
    let cases = [
        Case { number: 2, vectors: &kept.small, aim: "1.0", ..large("900 memories", json!({}), |_| true) },
        Case { number: MIDDLE.0, vectors: &kept.middle, aim: "1.0", ..large("2,000 memories", json!({}), |_| true) },
        Case { aim: "1.0", ..large("100,000, `exact: true`", json!({"exact": true}), |_| true) },
        large("100,000", json!({}), |_| true),
        large("100,000, 1 % by equality", json!({"filter": {"percent": 7}}), percent),
        large("100,000, 0.1 % by equality", json!({"filter": {"permille": 7}}), permille),
        large("100,000, 1 % by range", json!({"filter": {"percent": {"$gt": 6, "$lt": 8}}}), percent),
        large("100,000, 0.1 % by range", json!({"filter": {"permille": {"$gt": 6, "$lt": 8}}}), permille),
        large("100,000, half by range", json!({"filter": {"percent": {"$lt": 50}}}), |n| n % 100 < 50),
    ];
    for Case { what, number, vectors, more, is_wanted, aim } in cases {
        // Skip the vectors that became memories, so that queries are new vectors.
        let mut source = source(world, number);
        (0..vectors.len()).for_each(|_| drop(source.draw()));
        let queries = if more.get("exact").is_some() { QUERIES / 4 } else { QUERIES };
        let (mut found, mut exact, mut times) = (0, 0, Vec::new());
        for _ in 0..queries {
            let query = source.draw();
            let known = nearest(vectors, &query, is_wanted);
            let started = Instant::now();
            let (ids, is_exact) = search(stage, &client, number, &query, &more).await;
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
            assert_eq!(ids.len(), 10, "{what}");
            found += ids.iter().filter(|id| known.contains(id)).count();
            exact += usize::from(is_exact);
        }
        let (p50, p95) = quantiles(times);
        let recall = ratio(found, queries * 10);
        println!("| {what} | {:.0} % | {recall:.4} | {:.2} | {:.2} | {aim} |", 100.0 * ratio(exact, queries), p50, p95);
    }
}

/// The median and the 95th percentile.
fn quantiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |q: usize| times.get(times.len() * q / 100).copied().unwrap_or(f64::NAN);
    (at(50), at(95))
}

/// Searches by words of the large payer's memories. All of them have one word, and a hundred have each of the others.
async fn by_words(stage: &Stage) {
    let client = client();
    println!("\n| search of ten by words, 100,000 memories | exact | p50 ms | p95 ms |\n|---|---|---|---|");
    for (what, query) in [
        ("a word of a hundred", "123"),
        ("four words of a hundred each", "123 456 789 321"),
        ("a word of all, three of a hundred", "fact 123 456 789"),
    ] {
        let body = json!({"query": query, "mode": "text"});
        let (mut times, mut exact) = (Vec::new(), Value::Null);
        for _ in 0..QUERIES / 4 {
            let started = Instant::now();
            exact = found(stage, &client, LARGE.0, &body).await.get("exact").cloned().unwrap_or_default();
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
        }
        let (p50, p95) = quantiles(times);
        println!("| {what} | {exact} | {p50:.2} | {p95:.2} |");
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let float = |n: usize| f64::from(u32::try_from(n).expect("small"));
    float(part) / float(whole)
}

fn literal(vector: &[f32]) -> String {
    let mut text = String::new();
    for number in vector {
        text.push(if text.is_empty() { '[' } else { ',' });
        write!(text, "{number}").expect("written");
    }
    text + "]"
}

/// Compares `searchMemories` with the bare statement, and with the method of the original Durable Object: parse every
/// vector and compare row by row.
async fn latency(stage: &mut Stage, world: &World, kept: &Kept, seconds: usize, rounds: usize) {
    let (number, memories) = MIDDLE;
    let mut source = source(world, number);
    (0..memories).for_each(|_| drop(source.draw()));
    let queries: Vec<Vector> = (0..20).map(|_| source.draw()).collect();
    let of = payer(number);
    let bare = |query: &Vector| {
        format!(
            "select id, embedding <=> '{}' as distance from tenant.memories where payer = '{of}' order by distance limit 10;\n",
            literal(query)
        )
    };
    let scripts: Vec<String> = queries.iter().map(bare).collect();
    let requests: Vec<_> = queries
        .iter()
        .map(|query| {
            ("POST", "/v1/memories/search".to_owned(), stage.tokens.of(number), json!({"embedding": query}).to_string())
        })
        .collect();
    fs::write(stage.dir().join("Search.requests"), wrk::text(&requests)).expect("written");
    original(&mut stage.admin, &kept.middle).await;
    let (mut floor, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        floor.push(stage.pgbench(&scripts, 1, seconds));
        ours.push(stage.go_on(Load::Search, 1, seconds, 1));
        theirs.push(by_hand(&mut stage.admin, &queries, seconds).await);
    }
    let median = |samples: &[Sample]| quantiles(samples.iter().map(|sample| sample.p50_ms).collect()).0;
    let (floor, ours, theirs) = (median(&floor), median(&ours), quantiles(theirs).0);
    println!("\n| a tenant of {memories}, by vector, one connection | p50 ms |\n|---|---|");
    println!(
        "| bare SQL by pgbench | {floor:.3} |\n| `searchMemories` over HTTP | {ours:.3} |\n| JSON parsed and compared row by row | {theirs:.3} |"
    );
    println!("\n| ratio | measured | aim |\n|---|---|---|");
    println!(
        "| searchMemories / bare SQL | {:.2} | <= 1.5 |\n| row by row / searchMemories | {:.1} | >= 20 |",
        ours / floor,
        theirs / ours
    );
}

/// Creates the table of the Durable Object, with vectors as JSON.
async fn original(admin: &mut PgConnection, vectors: &[Vector]) {
    data::run(admin, "create table public.original (key text primary key, content text, embedding text)").await;
    let (keys, texts): (Vec<String>, Vec<String>) =
        vectors.iter().enumerate().map(|(n, vector)| (format!("m{n}"), literal(vector))).unzip();
    let insert = "insert into public.original select key, 'fact', embedding from unnest($1::text[], $2::text[]) as t (key, embedding)";
    sqlx::query(insert).bind(keys).bind(texts).execute(&mut *admin).await.expect("inserted");
    data::run(admin, "vacuum analyze public.original").await;
}

/// Searches the table of the Durable Object row by row. Returns the median time of a search, in milliseconds.
async fn by_hand(admin: &mut PgConnection, queries: &[Vector], seconds: usize) -> f64 {
    let until = Instant::now() + Duration::from_secs(u64::try_from(seconds).expect("short"));
    let mut times = Vec::new();
    for query in queries.iter().cycle().take_while(|_| Instant::now() < until) {
        let started = Instant::now();
        let rows = sqlx::query(AssertSqlSafe("select key, content, embedding from public.original".to_owned()));
        let rows = rows.fetch_all(&mut *admin).await.expect("rows");
        let mut scored: Vec<(f32, &str)> = rows
            .iter()
            .map(|row| {
                let vector: Vec<f32> = serde_json::from_str(row.get(2)).expect("a vector");
                let cosine = dot(query, &vector) / (dot(query, query) * dot(&vector, &vector)).sqrt();
                (cosine, row.get(0))
            })
            .collect();
        scored.sort_by(|one, other| other.0.total_cmp(&one.0));
        assert_eq!(scored.iter().take(10).count(), 10);
        times.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    quantiles(times).0
}

/// Measures `storeMemory` with a vector in the request.
fn store(stage: &mut Stage, world: &World, seconds: usize, rounds: usize) {
    let requests: Vec<_> = (2..PAYERS)
        .flat_map(|number| {
            let mut source = source(world, number);
            let body = json!({"content": "Ada prefers tea, without sugar, and works from home on Fridays.", "embedding": source.draw()});
            (0..3).map(move |n| (number, n, body.to_string()))
        })
        .map(|(number, n, body)| ("PUT", format!("/v1/memories/new{n}"), stage.tokens.of(number), body))
        .collect();
    fs::write(stage.dir().join("Store.requests"), wrk::text(&requests)).expect("written");
    println!("\n| {DIMENSIONS} dimensions, 64 connections | req/s | p50 ms | p99 ms |\n|---|---|---|---|");
    let mut samples: Vec<Sample> = (0..rounds).map(|_| stage.go_on(Load::Store, 64, seconds, 1)).collect();
    samples.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    let sample = samples.get(samples.len() / 2).expect("a sample");
    println!("| {} | {:.0} | {:.2} | {:.2} |", Load::Store.name(), sample.per_second, sample.p50_ms, sample.p99_ms);
}
