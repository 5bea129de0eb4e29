//! Logs and traces: an operator finds a failed call by the request id in its answer.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::dev::database_url;
use crate::faults::{kill, migrated};
use crate::support::database::temporary_cluster;
use crate::support::{Caller, TestApp, TestDatabase};

/// `payerbase serve` as an operator runs it, and the lines that it logs.
struct Serve {
    process: Child,
    url: String,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Serve {
    fn start(database: &TestDatabase, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payerbase"));
        command
            .args(["serve", "--port", "0"])
            .env("DATABASE_URL", database_url(&database.app))
            .envs(environment.iter().copied());
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || lines.for_each(|line| log.lock().unwrap().push(line.unwrap()))
        });
        let mut serve = Self { process, url: String::new(), log, reader: Some(reader) };
        let line = serve.line_with("serving");
        // `address=127.0.0.1:1` as text, `"address":"127.0.0.1:1"` as JSON.
        let address = line.split("address").nth(1).unwrap().trim_start_matches(['=', '"', ':']);
        let address = address.split([' ', '"']).next().unwrap();
        serve.url = format!("http://{address}");
        serve
    }

    /// The first line that contains a text, as soon as it is there.
    fn line_with(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(line) = self.log.lock().unwrap().iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no line with {text} in {:?}", self.log.lock().unwrap());
    }

    /// Stops the server. Returns its log.
    fn stop(mut self) -> Vec<String> {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success(), "the exit code is 0");
        self.reader.take().unwrap().join().unwrap();
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// A caller of the server that sends this request id.
async fn caller(serve: &Serve, app: &TestApp, id: &str) -> Caller {
    let mut caller = app.caller().await;
    caller.url.clone_from(&serve.url);
    caller.headers.insert("x-request-id", HeaderValue::from_str(id).unwrap());
    caller
}

#[tokio::test]
async fn a_failed_call_is_one_line_with_its_request_id_and_its_cause() {
    let database = TestDatabase::own().await;
    let app = TestApp::on(database.clone());
    let serve = Serve::start(&database, &[]);
    let caller = caller(&serve, &app, "find-me-in-the-log").await;
    database.admin().await.execute("drop function rpc.reset_counter").await.unwrap();
    let problem = caller.post("/v1/counters/secret-name/reset", json!({})).await.problem(500, "internal");
    assert_eq!(problem["instance"], "find-me-in-the-log");
    let line = serve.line_with("find-me-in-the-log");
    for part in ["ERROR", "the database refused the call", "resetCounter", "SQLSTATE 42883", "status=500", "internal"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(line.contains(caller.payer.as_str()) && !line.contains("secret-name"), "{line}");
    // The same for a slow read, and for an answer with status 503.
    database.admin().await.execute("drop function rpc.list_counters").await.unwrap();
    caller.get("/v1/counters").await.problem(500, "internal");
    serve.line_with("listCounters");
    let mut busy = caller.clone();
    busy.headers.insert("x-request-id", HeaderValue::from_static("a-busy-payer"));
    let mut admin = database.admin().await;
    let lock = "select pg_advisory_lock(tenant.payer_lock($1))";
    sqlx::query(lock).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    busy.increment("a", json!({})).await.problem(503, "payer-busy");
    let line = serve.line_with("a-busy-payer");
    assert!(line.contains("status=503") && line.contains("payer-busy") && line.contains("cause="), "{line}");
    let log = serve.stop();
    let lines = |id: &str| log.iter().filter(|line| line.contains(id)).count();
    assert_eq!((lines("find-me-in-the-log"), lines("a-busy-payer")), (2, 1), "{log:?}");
    assert!(!log.iter().any(|line| line.contains(" at line ")), "{log:?}");
}

#[tokio::test]
async fn requests_are_logged_if_the_operator_wants_them_and_never_with_secrets() {
    let database = TestDatabase::own().await;
    let app = TestApp::on(database.clone());
    let silent = Serve::start(&database, &[]);
    let serve = Serve::start(&database, &[("PAYERBASE_LOG_REQUESTS", "on"), ("PAYERBASE_LOG_FORMAT", "json")]);
    for serve in [&silent, &serve] {
        let caller = caller(serve, &app, "one-line").await;
        caller.increment("my-counter", json!({"amount": 4_711})).await.ok();
        caller.get("/v1/counters?prefix=my-prefix").await.ok();
        caller.get("/v1/counters/missing").await.problem(404, "not-found");
        caller.get("/healthz").await.ok();
        let token = caller.token.as_ref().unwrap().expose_secret().to_owned();
        assert!(!serve.log.lock().unwrap().iter().any(|line| line.contains(&token[25..68])));
    }
    serve.line_with("not-found");
    let log = serve.stop();
    let lines: Vec<Value> =
        log.iter().filter(|line| line.contains("one-line")).map(|line| line.parse().unwrap()).collect();
    assert_eq!(lines.len(), 3, "{log:?}");
    let fields = &lines[0]["fields"];
    assert_eq!(fields["route"], "/v1/counters/{name}/increment");
    assert_eq!(
        (&fields["method"], &fields["status"], &fields["id"]),
        (&json!("POST"), &json!(200), &json!("one-line"))
    );
    assert!(fields["duration_ms"].is_number() && fields["payer"].is_string() && fields.get("code").is_none());
    assert_eq!(lines[2]["fields"]["code"], "not-found");
    for secret in ["my-counter", "my-prefix", "4711", "missing", "healthz"] {
        assert!(!log.iter().any(|line| line.contains(secret)), "{secret}: {log:?}");
    }
    let log = silent.stop();
    assert!(!log.iter().any(|line| line.contains("one-line")), "{log:?}");
}

#[tokio::test]
async fn the_start_line_is_plain_and_a_stop_logs_no_error() {
    let database = TestDatabase::own().await;
    let app = TestApp::on(database.clone());
    let serve = Serve::start(&database, &[("REDIS_URL", "redis://u:hunter2@127.0.0.1:9")]);
    let line = serve.line_with("serving");
    for part in ["version=", "database=\"payerbase_app@", "redis=\"127.0.0.1:9\"", "write_lanes=", "pool_max=8"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    for part in ["Config", "Some(", "{", "hunter2"] {
        assert!(!line.contains(part), "{part}: {line}");
    }
    let caller = caller(&serve, &app, "before-the-stop").await;
    for _ in 0..4 {
        caller.increment("a", json!({})).await.ok();
        caller.get("/v1/counters").await.ok();
    }
    serve.line_with("each server has rate limits of its own");
    let log = serve.stop();
    assert!(!log.iter().any(|line| line.contains("ERROR") || line.contains("ping on idle")), "{log:?}");
    assert!(log.last().unwrap().contains("stopping"), "nothing follows the announcement of the stop: {log:?}");
}

#[tokio::test]
async fn a_database_that_is_away_is_one_warning_with_its_cause_and_one_line_when_it_is_back() {
    let mut cluster = temporary_cluster().await;
    let (admin, options) = migrated(&cluster).await;
    let database = TestDatabase { admin, app: options.password(cluster.access().app_password().expose_secret()) };
    let app = TestApp::on(database.clone());
    let serve = Serve::start(&database, &[("PAYERBASE_PUBLIC_URL", "https://pay.example")]);
    let mut caller = caller(&serve, &app, "before").await;
    caller.increment("a", json!({})).await.ok();
    kill(&mut cluster).await;
    let mut ids = Vec::new();
    for n in 0..12 {
        ids.push(format!("refused-{n}"));
        caller.headers.insert("x-request-id", HeaderValue::from_str(&ids[n]).unwrap());
        let answer = match n % 3 {
            0 => caller.increment("a", json!({})).await,
            1 => caller.get("/v1/counters/a").await,
            _ => caller.get("/readyz").await,
        };
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    cluster.launch().await.unwrap();
    serve.line_with("can be reached again");
    while caller.increment("a", json!({})).await.status != 200 {}
    let log = serve.stop();
    let warnings: Vec<&String> = log.iter().filter(|line| line.contains(" WARN ")).collect();
    let aways: Vec<&&String> = warnings.iter().filter(|line| line.contains("cannot be reached")).collect();
    assert_eq!(aways.len(), 1, "{warnings:?}");
    assert!(aways[0].contains("refused") || aways[0].contains("No such file"), "{aways:?}");
    // Writes whose outcome is unknown are warnings of their own.
    assert!(
        warnings.iter().all(|line| line.contains("cannot be reached") || line.contains("outcome-unknown")),
        "{warnings:?}"
    );
    for id in &ids {
        let lines: Vec<&String> = log.iter().filter(|line| line.contains(&format!("\"{id}\""))).collect();
        assert_eq!(lines.len(), 1, "{id}: {lines:?}");
        assert!(lines[0].contains("cause="), "{lines:?}");
    }
    assert_eq!(log.iter().filter(|line| line.contains("can be reached again")).count(), 1, "{log:?}");
    cluster.stop().await;
}

/// A fake OpenTelemetry collector, which keeps the bodies of its requests.
#[cfg(feature = "otlp")]
mod collector {
    use super::*;
    use actix_web::{App, HttpResponse, HttpServer, web};

    pub type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

    /// A receiver of OTLP over HTTP, on a port of loopback.
    pub fn start() -> (std::net::SocketAddr, Bodies) {
        let bodies = Bodies::default();
        let (started, address) = std::sync::mpsc::channel();
        std::thread::spawn({
            let bodies = Arc::clone(&bodies);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let server = HttpServer::new(move || {
                        let bodies = Arc::clone(&bodies);
                        App::new().route(
                            "/v1/traces",
                            web::post().to(move |body: web::Bytes| {
                                bodies.lock().unwrap().push(body.to_vec());
                                async { HttpResponse::Ok().content_type("application/x-protobuf").finish() }
                            }),
                        )
                    });
                    let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
                    started.send(server.addrs()[0]).unwrap();
                    server.run().await.unwrap();
                });
            }
        });
        (address.recv().unwrap(), bodies)
    }
}

#[cfg(feature = "otlp")]
#[tokio::test]
async fn exported_spans_continue_the_callers_trace() {
    let (address, bodies) = collector::start();
    let database = TestDatabase::own().await;
    let app = TestApp::on(database.clone());
    let endpoint = format!("http://{address}");
    let serve = Serve::start(&database, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let mut caller = caller(&serve, &app, "traced-request").await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    caller.headers.insert("traceparent", HeaderValue::from_static(parent));
    caller.increment("a", json!({})).await.ok();
    // The server exports the remaining spans when it stops.
    serve.stop();
    let bodies = bodies.lock().unwrap().concat();
    let contains = |bytes: &[u8]| bodies.windows(bytes.len()).any(|window| window == bytes);
    let trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    let span_id = 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes();
    assert!(contains(&trace_id) && contains(&span_id), "the spans have the caller's trace and parent span");
    for text in ["POST /v1/counters/{name}/increment", "traced-request", "payerbase"] {
        assert!(contains(text.as_bytes()), "{text}");
    }
}
