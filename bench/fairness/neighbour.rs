//! The neighbour: a payer with simple calls, on a thread of its own.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};

/// Pause between two calls of a kind.
const PAUSE: Duration = Duration::from_millis(15);
const OPERATIONS: usize = 4;

/// The neighbour.
#[derive(Clone)]
pub struct Neighbour {
    url: String,
    token: String,
    slug: String,
}

/// The latencies of its calls, by operation.
pub struct Measured([Latencies; OPERATIONS]);

#[derive(Default)]
struct Latencies {
    sorted_ms: Vec<f64>,
    refused: usize,
}

impl Neighbour {
    pub fn new(url: &str, token: &str, slug: &str) -> Self {
        Self { url: url.to_owned(), token: token.to_owned(), slug: slug.to_owned() }
    }

    /// Stores the memories that it searches.
    pub async fn prepare(&self) {
        for n in 0..200 {
            let body =
                format!(r#"{{"content":"Note {n}: the kettle on shelf {} is for tea.","embedding":null}}"#, n % 7);
            let request = Client::new().put(format!("{}/v1/memories/note{n}", self.url)).bearer_auth(&self.token);
            let request = request.header("content-type", "application/json").body(body);
            let answer = request.send().await.expect("an answer");
            assert!(answer.status().is_success(), "{}", answer.status());
        }
    }

    fn request(&self, client: &Client, operation: usize) -> RequestBuilder {
        let url = &self.url;
        let search = r#"{"query":"kettle shelf 3","mode":"text"}"#;
        match operation {
            0 => client.post(format!("{url}/v1/counters/visits/increment")).bearer_auth(&self.token),
            1 => client.get(format!("{url}/v1/counters/visits")).bearer_auth(&self.token),
            2 => client
                .post(format!("{url}/v1/memories/search"))
                .bearer_auth(&self.token)
                .header("content-type", "application/json")
                .body(search),
            _ => client.get(format!("{url}/l/{}", self.slug)),
        }
    }

    /// Calls for some time.
    pub fn measure(&self, time: Duration) -> Measured {
        let neighbour = self.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(neighbour.call(time))
        });
        thread.join().expect("measured")
    }

    async fn call(&self, time: Duration) -> Measured {
        let policy = reqwest::redirect::Policy::none();
        let client = Client::builder().redirect(policy).timeout(Duration::from_secs(10)).build().expect("a client");
        let deadline = Instant::now() + time;
        let of = async |operation: usize| {
            let mut latencies = Latencies::default();
            while Instant::now() < deadline {
                let started = Instant::now();
                let is_ok = match self.request(&client, operation).send().await {
                    Ok(answer) => {
                        let status = answer.status();
                        answer.bytes().await.is_ok() && (status.is_success() || status.is_redirection())
                    }
                    Err(_lost) => false,
                };
                latencies.refused += usize::from(!is_ok);
                latencies.sorted_ms.push(started.elapsed().as_secs_f64() * 1_000.0);
                tokio::time::sleep(PAUSE).await;
            }
            latencies.sorted_ms.sort_by(f64::total_cmp);
            latencies
        };
        let (first, second, third, fourth) = tokio::join!(of(0), of(1), of(2), of(3));
        Measured([first, second, third, fourth])
    }
}

impl Latencies {
    fn percentile(&self, percent: usize) -> f64 {
        let at = (self.sorted_ms.len() * percent / 100).min(self.sorted_ms.len().saturating_sub(1));
        self.sorted_ms.get(at).copied().unwrap_or(f64::NAN)
    }
}

impl Measured {
    pub const HEAD: &str = "increment, p50 / p99 ms | getCounter | search | redirect";

    /// Whether the neighbour was refused nothing, and its latencies are below `p99_max_ms` or three times those without a load.
    pub fn is_within(&self, alone: &Self, p99_max_ms: f64) -> bool {
        self.0.iter().zip(&alone.0).all(|(with, without)| {
            with.refused == 0 && with.percentile(99) <= p99_max_ms.max(3.0 * without.percentile(99))
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, latencies) in self.0.iter().enumerate() {
            let (p50, p99) = (latencies.percentile(50), latencies.percentile(99));
            write!(f, "{}{p50:.1} / {p99:.0}", if place == 0 { "" } else { " | " })?;
            if latencies.refused > 0 {
                write!(f, " ({} of {} refused)", latencies.refused, latencies.sorted_ms.len())?;
            }
        }
        Ok(())
    }
}
