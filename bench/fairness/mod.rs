//! What the neighbours of a demanding payer notice: the latency of simple calls while other payers send the most expensive
//! requests that they can, one kind after the other.

mod attacks;
mod neighbour;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::Stage;
use crate::{number, proc};
use attacks::{Attack, Kind, Sent};
use neighbour::{Measured, Neighbour};

/// The attackers are the payers from 1 to this number.
const ATTACKERS: usize = 8;
/// The number of the neighbour. Its address comes after those of the attackers.
const NEIGHBOUR: usize = 100;
/// What the neighbour may notice: the larger one of this time and three times its undisturbed one.
const P99_MAX_MS: f64 = 100.0;
/// Time after a load, in which the server finishes what it has begun, and the neighbour goes on.
const PAUSE: Duration = Duration::from_secs(4);

pub async fn run() {
    let seconds = number("BENCH_SECONDS", 5);
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let stage = Stage::set(1, &[]).await;
    // The HTTP clients need a TLS provider, even without TLS.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let url = stage.url();
    let neighbour = Neighbour::new(&url, stage.tokens.of(NEIGHBOUR), &format!("bench{NEIGHBOUR}"));
    neighbour.prepare().await;
    // Plans and caches.
    neighbour.measure(Duration::from_secs(2));
    let alone = neighbour.measure(time(seconds));
    println!("\n| load | payers x connections | done | refused | {} | peak, then, MiB | |", Measured::HEAD);
    println!("|---|---|---|---|{}---|---|", "---|".repeat(4));
    row("none", "", &Count::default(), &alone, (stage.server_peak_mib(), proc::rss_mib(stage.server())), &alone);
    let attacks = attacks::all();
    for attack in attacks.iter().filter(|attack| only.split(',').any(|word| attack.name.contains(word))) {
        for payers in [1, ATTACKERS] {
            let tokens: Vec<&str> = (1..=payers).map(|payer| stage.tokens.of(payer)).collect();
            let mut kinds = Vec::new();
            for token in &tokens {
                let id = prepare(&client, &url, token, attack).await;
                kinds.push(attack.kind.with(&id));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            proc::reset_peak(stage.server());
            let each = attack.connections.div_ceil(payers);
            let count = Arc::new(Count::default());
            let deadline = Instant::now() + time(seconds) + Duration::from_millis(500);
            let mut connections = tokio::task::JoinSet::new();
            for (payer, (token, kind)) in tokens.iter().zip(&kinds).enumerate() {
                for connection in 0..each {
                    let load = Load {
                        client: client.clone(),
                        url: url.clone(),
                        token: (*token).to_owned(),
                        count: Arc::clone(&count),
                    };
                    connections.spawn(load.run(kind.clone(), payer + connection, deadline));
                }
            }
            let measured = tokio::task::block_in_place(|| neighbour.measure(time(seconds)));
            connections.shutdown().await;
            let peak = stage.server_peak_mib();
            tokio::task::block_in_place(|| neighbour.measure(PAUSE));
            let memory = (peak, proc::rss_mib(stage.server()));
            row(attack.name, &format!("{payers} x {each}"), &count, &measured, memory, &alone);
        }
    }
    stage.clear().await;
}

fn time(seconds: usize) -> Duration {
    Duration::from_secs(u64::try_from(seconds).expect("small"))
}

fn row(name: &str, who: &str, count: &Count, measured: &Measured, memory: (f64, f64), alone: &Measured) {
    let (done, refused) = (count.done.load(Ordering::Relaxed), count.refused.load(Ordering::Relaxed));
    let verdict = if measured.is_within(alone, P99_MAX_MS) { "" } else { "missed" };
    let (peak, then) = memory;
    println!("| {name} | {who} | {done} | {refused} | {measured} | {peak:.0}, {then:.0} | {verdict} |");
}

/// Makes what the requests of an attack need. Returns the id in the last answer.
async fn prepare(client: &Client, url: &str, token: &str, attack: &Attack) -> String {
    let mut id = String::new();
    for Sent { verb, path, body } in &attack.before {
        let request = client.request(verb.clone(), format!("{url}{path}")).bearer_auth(token);
        let request = request.header("content-type", "application/json").body(body.clone());
        let answer = request.send().await.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.expect("an answer"));
        assert!(status.is_success(), "{}: {status} {text}", attack.name);
        let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        id = answer.get("id").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    }
    id
}

/// The calls of the attackers.
#[derive(Default)]
struct Count {
    done: AtomicUsize,
    refused: AtomicUsize,
}

/// One connection of an attacker.
struct Load {
    client: Client,
    url: String,
    token: String,
    count: Arc<Count>,
}

impl Load {
    async fn run(self, kind: Kind, first: usize, deadline: Instant) {
        match kind {
            Kind::Requests(requests) => self.requests(&requests, first, deadline).await,
            Kind::SlowBody { path, length } => self.slow_body(path, length).await,
            Kind::SlowReader { path } => self.slow_reader(path).await,
        }
    }

    async fn requests(&self, requests: &[Sent], first: usize, deadline: Instant) {
        for Sent { verb, path, body } in requests.iter().cycle().skip(first % requests.len()) {
            if Instant::now() > deadline {
                return;
            }
            let request = self.client.request(verb.clone(), format!("{}{path}", self.url)).bearer_auth(&self.token);
            let request = match *verb {
                Method::GET => request,
                _ => request.header("content-type", "application/json").body(body.clone()),
            };
            let answer = async { request.send().await?.error_for_status()?.bytes().await };
            match answer.await {
                Ok(_body) => self.count.done.fetch_add(1, Ordering::Relaxed),
                Err(_refused) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    self.count.refused.fetch_add(1, Ordering::Relaxed)
                }
            };
        }
    }

    async fn connect(&self) -> Option<TcpStream> {
        TcpStream::connect(self.url.trim_start_matches("http://")).await.ok()
    }

    /// Sends most of a body and waits.
    async fn slow_body(&self, path: &str, length: usize) {
        loop {
            let Some(mut stream) = self.connect().await else { return };
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n",
                self.token
            );
            let body = vec![b' '; length / 8 * 7];
            let sent = async {
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body).await
            };
            let _refused = sent.await;
            let mut answer = [0; 64];
            let _closed = stream.read(&mut answer).await;
            self.count.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks for a large answer and does not read it.
    async fn slow_reader(&self, path: &str) {
        let Some(mut stream) = self.connect().await else { return };
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n", self.token);
        let _gone = stream.write_all(head.as_bytes()).await;
        self.count.done.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    }
}
