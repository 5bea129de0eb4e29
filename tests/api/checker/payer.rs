//! A payer: its calls, and what its clients saw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::counters::Counters;
use super::links::Links;
use super::locks::Locks;
use super::memories::Memories;
use super::queues::Queues;
use super::servers::Addresses;
use super::sql::Sql;
use crate::support::{Answer, Caller};

/// Pause after a call that was not done.
const PAUSE: Duration = Duration::from_millis(30);
/// Share of the calls whose client hangs up.
const HANG_UPS: f64 = 0.02;

/// The codes that say that a call did not fit the state.
const EXPECTED: [&str; 9] = [
    "counter-out-of-bounds",
    "job-not-running",
    "lease-lost",
    "link-gone",
    "lock-expired",
    "lock-held",
    "lock-not-held",
    "lock-wrong-token",
    "stale-fence",
];

/// A list that several tasks extend.
pub struct History<T>(Mutex<Vec<T>>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> History<T> {
    pub fn add(&self, item: T) {
        self.0.lock().unwrap().push(item);
    }

    pub fn has_some(&self) -> bool {
        !self.0.lock().unwrap().is_empty()
    }

    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// How a call ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was done. The body of the answer.
    Done(String),
    /// It was not done, and will not be. The status and the code of the problem.
    Refused(u16, String),
    /// It was done, was not done, or will be done.
    Unknown,
}

/// A call with its times.
#[derive(Debug)]
pub struct Call {
    pub start: Instant,
    pub end: Instant,
    pub outcome: Outcome,
}

impl Call {
    /// The answer, if the call was done. `Null` if it has no body.
    pub fn done(&self) -> Option<Value> {
        match &self.outcome {
            Outcome::Done(text) if text.is_empty() => Some(Value::Null),
            Outcome::Done(text) => Some(serde_json::from_str(text).unwrap()),
            Outcome::Refused(..) | Outcome::Unknown => None,
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done(_))
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self.outcome, Outcome::Unknown)
    }
}

/// Headers of one call.
pub type Headers<'a> = &'a [(&'static str, &'a str)];

/// A payer, and what its clients saw.
pub struct Payer {
    caller: Caller,
    addresses: Arc<Addresses>,
    stop: CancellationToken,
    /// Number of calls that were done.
    pub done: AtomicU64,
    /// What no server may do.
    pub wrong: History<String>,
    pub counters: Counters,
    pub links: Links,
    pub locks: Locks,
    pub memories: Memories,
    pub queues: Queues,
    pub sql: Sql,
}

impl Payer {
    pub fn new(caller: Caller, addresses: Arc<Addresses>, stop: CancellationToken) -> Self {
        Self {
            caller,
            addresses,
            stop,
            done: AtomicU64::default(),
            wrong: History::default(),
            counters: Counters::default(),
            links: Links::default(),
            locks: Locks::default(),
            memories: Memories::default(),
            queues: Queues::default(),
            sql: Sql::default(),
        }
    }

    pub fn address(&self) -> &str {
        self.caller.payer.as_str()
    }

    pub fn has_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits, but not when the world stops.
    pub async fn pause(&self, ms: u64) {
        let _stopped = tokio::time::timeout(Duration::from_millis(ms), self.stop.cancelled()).await;
    }

    pub fn is_wrong(&self, what: String) {
        self.wrong.add(what);
    }

    /// A caller of one of the servers.
    pub async fn caller(&self, random: &mut StdRng) -> Caller {
        Caller { url: self.addresses.any(random).await, ..self.caller.clone() }
    }

    /// Sends a call to one of the servers.
    pub async fn send(
        &self,
        random: &mut StdRng,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: Headers<'_>,
    ) -> Call {
        let mut caller = self.caller(random).await;
        for (name, value) in headers {
            caller.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let hangs_up = !self.has_stopped() && random.random_bool(HANG_UPS);
        let patience = if hangs_up { random.random_range(0..20) } else { 60_000 };
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        let start = Instant::now();
        let answer = caller.try_send(method, path, body);
        let outcome = match tokio::time::timeout(Duration::from_millis(patience), answer).await {
            Ok(Ok(answer)) => outcome(&answer),
            Ok(Err(error)) if error.is_connect() => Outcome::Refused(0, "no connection".to_owned()),
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        };
        let end = Instant::now();
        match &outcome {
            Outcome::Done(_) => drop(self.done.fetch_add(1, Ordering::Relaxed)),
            Outcome::Refused(0 | 408 | 503, _) => tokio::time::sleep(PAUSE).await,
            Outcome::Refused(_, code) if EXPECTED.contains(&code.as_str()) => {}
            Outcome::Refused(404, _) if path.starts_with("/v1/memories/") => {}
            Outcome::Refused(409, code) if code == "slug-taken" => {}
            Outcome::Refused(status, code) => self.is_wrong(format!("{path} was answered {status} {code}")),
            Outcome::Unknown => {}
        }
        Call { start, end, outcome }
    }

    pub async fn get(&self, random: &mut StdRng, path: &str) -> Call {
        self.send(random, Method::GET, path, None, &[]).await
    }

    pub async fn post(&self, random: &mut StdRng, path: &str, body: &Value) -> Call {
        self.send(random, Method::POST, path, Some(body), &[]).await
    }

    /// Reads until there is an answer.
    pub async fn read(&self, random: &mut StdRng, path: &str) -> Option<Value> {
        loop {
            let call = self.get(random, path).await;
            match call.outcome {
                Outcome::Done(_) => return call.done(),
                Outcome::Refused(0 | 408 | 503, _) | Outcome::Unknown => {}
                Outcome::Refused(..) => return None,
            }
        }
    }

    /// Repeats a call under a key until it was done or refused, and after it was done now and then once more.
    pub async fn post_once(&self, random: &mut StdRng, path: &str, body: &Value) -> Call {
        let key = format!("key-{:032x}", random.random::<u128>());
        let headers = [("idempotency-key", key.as_str())];
        let mut once = Once { start: Instant::now(), done: None, refused: None, has_unknown: false };
        let mut repeats = random.random_range(0..3);
        loop {
            if random.random_bool(0.25) {
                // Both at once, perhaps on two servers.
                let mut other = StdRng::seed_from_u64(random.random());
                let (one, two) = tokio::join!(
                    self.send(random, Method::POST, path, Some(body), &headers),
                    self.send(&mut other, Method::POST, path, Some(body), &headers)
                );
                once.add(self, path, one);
                once.add(self, path, two);
            } else {
                let call = self.send(random, Method::POST, path, Some(body), &headers).await;
                once.add(self, path, call);
            }
            if once.is_over() && (repeats == 0 || !once.is_kept()) {
                return once.result();
            }
            repeats -= usize::from(once.done.is_some());
        }
    }
}

/// The calls under one key.
struct Once {
    start: Instant,
    /// Body of the answer, and when it came for the first time.
    done: Option<(Instant, String)>,
    refused: Option<(u16, String)>,
    has_unknown: bool,
}

impl Once {
    fn add(&mut self, payer: &Payer, path: &str, call: Call) {
        match (call.outcome, &mut self.done) {
            (Outcome::Done(text), Some((end, first))) if text == *first => *end = call.end.min(*end),
            (Outcome::Done(text), Some((_, first))) if is_kept(first) => {
                if is_kept(&text) {
                    payer.is_wrong(format!("{path}: {first} and {text} were answered under one key"));
                }
            }
            (Outcome::Done(text), _) => self.done = Some((call.end, text)),
            (Outcome::Refused(0 | 408 | 503, _), _) => {}
            (Outcome::Refused(status, code), _) => self.refused = Some((status, code)),
            (Outcome::Unknown, _) => self.has_unknown = true,
        }
    }

    /// Whether there is an answer, or a problem that repeats.
    fn is_over(&self) -> bool {
        self.done.is_some() || self.refused.is_some()
    }

    fn is_kept(&self) -> bool {
        self.done.as_ref().is_some_and(|(_, text)| is_kept(text))
    }

    fn result(self) -> Call {
        let Self { start, done, refused, has_unknown } = self;
        let (end, outcome) = match (done, refused) {
            (Some((end, text)), _) => (end, Outcome::Done(text)),
            // A call before the refused one may still be done.
            (None, Some((status, code))) if !has_unknown => (Instant::now(), Outcome::Refused(status, code)),
            (None, _) => (Instant::now(), Outcome::Unknown),
        };
        Call { start, end, outcome }
    }
}

/// Whether an answer is kept under its key: all but those of empty pops.
fn is_kept(text: &str) -> bool {
    !text.is_empty() && text != r#"{"jobs":[]}"#
}

fn outcome(answer: &Answer) -> Outcome {
    let status = answer.status.as_u16();
    if status < 400 {
        return Outcome::Done(answer.text.clone());
    }
    let code =
        serde_json::from_str::<Value>(&answer.text).ok().and_then(|body| Some(body["code"].as_str()?.to_owned()));
    match code {
        Some(code) if code == "outcome-unknown" => Outcome::Unknown,
        code => Outcome::Refused(status, code.unwrap_or_else(|| answer.text.clone())),
    }
}
