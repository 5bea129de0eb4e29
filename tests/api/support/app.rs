//! A server on a free loopback port, and its callers.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use payerbase::app::{Application, DRAIN_TIMEOUT, Settings};
use payerbase::auth::{Scope, create_token};
use payerbase::call::CallSettings;
use payerbase::db::Database;
use payerbase::embeddings::Embeddings;
use payerbase::http::drain::Stop;
use payerbase::http::rate_limits::RateSettings;
use payerbase::links::visitor::Origins;
use payerbase::payer::Payer;
use payerbase::payments::PaymentSettings;
use payerbase::quotas::Quotas;
use payerbase::redis::Redis;
use payerbase::sweeper::{SweepSettings, WRITTEN_INTERVAL};
use payerbase::turn::LaneCounts;
use payerbase::waiting::POLL_INTERVAL;
use payerbase::wallet::{MAIN_NETWORKS, TEST_NETWORKS};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::TestDatabase;

/// Timeout of the client, longer than any call may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a test waits for a condition. Work of the sweeper waits until the servers of other tests, which may lead it, have
/// ended.
const CONDITION_TIMEOUT: Duration = Duration::from_secs(90);

/// The members that the OpenAPI document declares for problems.
static PROBLEM: LazyLock<Value> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(&payerbase::app::document().v3_1.json).unwrap();
    document["components"]["schemas"]["Problem"]["properties"].clone()
});

/// A server for one test.
pub struct TestApp {
    pub url: String,
    pub database: TestDatabase,
    pub client: reqwest::Client,
    /// URL of the admin port, if there is one.
    pub admin_url: Option<String>,
    server: Stop,
    ended: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

/// Shorter than in production, so that tests need not wait.
const SWEEP_INTERVAL: Duration = Duration::from_millis(200);

impl TestApp {
    /// Starts a server on the shared database.
    pub async fn spawn() -> Self {
        Self::on(TestDatabase::shared().await)
    }

    pub fn on(database: TestDatabase) -> Self {
        Self::set(database, |_unchanged| {})
    }

    /// Starts a server with a poll interval and a Redis.
    pub fn with(database: TestDatabase, poll_interval: Duration, redis: Option<Redis>) -> Self {
        Self::set(database, |settings| {
            settings.calls.poll_interval = poll_interval;
            settings.redis = redis;
        })
    }

    /// Starts a server with an embedding model.
    pub fn embedding(database: TestDatabase, embeddings: Embeddings) -> Self {
        Self::set(database, |settings| settings.calls.embeddings = Some(Arc::new(embeddings)))
    }

    /// Starts a server with changed settings.
    pub fn set(database: TestDatabase, change: impl FnOnce(&mut Settings)) -> Self {
        let (language, prices) = ("english".to_owned(), Arc::default());
        let quotas = Quotas::default();
        let sql_program = env!("CARGO_BIN_EXE_payerbase").into();
        let calls =
            CallSettings { poll_interval: POLL_INTERVAL, language, embeddings: None, prices, quotas, sql_program };
        let mut settings = Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
            workers: 2,
            lanes: LaneCounts { write: 2, read: 1 },
            calls,
            redis: None,
            public_url: None,
            networks: [MAIN_NETWORKS, TEST_NETWORKS].concat(),
            payments: PaymentSettings::default(),
            rates: RateSettings::default(),
            origins: Origins::default(),
            sweep: SweepSettings {
                interval: SWEEP_INTERVAL,
                clicks_kept: Duration::from_hours(24 * 90),
                written_interval: WRITTEN_INTERVAL,
            },
            log_requests: false,
            for_tests: None,
        };
        change(&mut settings);
        let options = database.app.clone();
        let (started, address) = std::sync::mpsc::channel();
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let application = Application::build(Database::new(options, 6), &settings).unwrap();
                started.send((application.address(), application.admin_address(), application.stop())).unwrap();
                application.run().await
            })
        });
        let (address, admin, server) = address.recv().unwrap();
        let admin_url = admin.map(|admin| format!("http://{admin}"));
        // The HTTP client needs a TLS provider, even without TLS.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build().unwrap();
        Self { url: format!("http://{address}"), database, client, admin_url, server, ended: Some(ended) }
    }

    /// Stops the server.
    pub fn stopping(&self) -> Stop {
        self.server.clone()
    }

    /// Stops the server like SIGTERM, and waits until it has ended.
    pub async fn stop(mut self) {
        let ended = self.ended.take().unwrap();
        self.server.drain(Duration::ZERO, DRAIN_TIMEOUT).await;
        tokio::task::spawn_blocking(|| ended.join().unwrap().unwrap()).await.unwrap();
    }

    /// Waits until a condition becomes true.
    pub async fn until(&self, mut condition: impl AsyncFnMut() -> bool) {
        let deadline = std::time::Instant::now() + CONDITION_TIMEOUT;
        while !condition().await {
            assert!(std::time::Instant::now() < deadline, "the condition did not become true in time");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The value of a metric without labels.
    pub async fn metric(&self, name: &str) -> u64 {
        let metrics = self.client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no metric {name} in {metrics}")).parse().unwrap()
    }

    /// A new payer with a token of scope `*`.
    pub async fn caller(&self) -> Caller {
        let payer: Payer = format!("0x{:040x}", rand::random::<u128>()).parse().unwrap();
        let token = self.token(&payer, &[Scope::Everything], Duration::from_secs(7_200)).await;
        Caller {
            url: self.url.clone(),
            client: self.client.clone(),
            payer,
            token: Some(token),
            headers: HeaderMap::new(),
        }
    }

    pub async fn token(&self, payer: &Payer, scopes: &[Scope], lifetime: Duration) -> SecretString {
        let mut admin = self.database.admin().await;
        create_token(&mut admin, payer, scopes, Some("test"), lifetime).await.unwrap().0
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.server.now();
    }
}

/// A client of the API with its token.
#[derive(Clone)]
pub struct Caller {
    pub url: String,
    pub client: reqwest::Client,
    pub payer: Payer,
    pub token: Option<SecretString>,
    pub headers: HeaderMap,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The body of a problem, checked against the rules of all problems.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status.as_u16(), body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("/problems#{code}"));
        assert_eq!(body["instance"], self.headers["x-request-id"].to_str().unwrap());
        assert!(body["title"].is_string() && body["detail"].is_string());
        assert_eq!(self.headers.contains_key("retry-after"), [429, 503].contains(&status));
        assert_eq!(self.headers.contains_key("www-authenticate"), status == 401);
        for member in body.as_object().unwrap().keys() {
            let is_declared = PROBLEM.as_object().unwrap().contains_key(member);
            assert!(is_declared, "declare the member `{member}` in ProblemBody (src/http/openapi/problem_schema.rs)");
        }
        body
    }
}

impl Caller {
    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Answer {
        self.try_send(method, path, body).await.expect("an answer")
    }

    pub async fn try_send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> reqwest::Result<Answer> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).headers(self.headers.clone());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some((media, body)) = body {
            request = request.header("content-type", media).body(body);
        }
        let response = request.send().await?;
        Ok(Answer { status: response.status(), headers: response.headers().clone(), text: response.text().await? })
    }

    pub async fn send_json(&self, method: Method, path: &str, body: Value) -> Answer {
        self.send(method, path, Some(("application/json", body.to_string().into_bytes()))).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::POST, path, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub async fn increment(&self, name: &str, body: Value) -> Answer {
        self.post(&format!("/v1/counters/{name}/increment"), body).await
    }

    /// The value of a counter.
    pub async fn value(&self, name: &str) -> i64 {
        self.get(&format!("/v1/counters/{name}")).await.ok()["value"].as_i64().unwrap()
    }
}
