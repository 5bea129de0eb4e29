//! Logs and traces: an operator finds a failed call by the request id in its answer.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use serde_json::json;
use sqlx::{ConnectOptions as _, Executor as _};

use crate::support::{Caller, TestApp, TestDatabase};

/// `payerbase serve` as an operator runs it, and the lines that it logs.
struct Serve {
    process: Child,
    url: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Serve {
    fn start(database: &TestDatabase, environment: &[(&str, &str)]) -> Self {
        let mut url = database.app.to_url_lossy();
        // The parameters of the query are specific to sqlx.
        url.set_query(None);
        let socket = database.app.get_socket().map(|socket| socket.display().to_string());
        let host = socket.as_deref().unwrap_or("127.0.0.1").replace('/', "%2F");
        let url = format!(
            "postgres://{}:{}@{host}:{}/{}",
            url.username(),
            url.password().unwrap_or_default(),
            database.app.get_port(),
            url.path().trim_start_matches('/')
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_payerbase"));
        command.args(["serve", "--port", "0"]).env("DATABASE_URL", url).envs(environment.iter().copied());
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || lines.for_each(|line| log.lock().unwrap().push(line.unwrap()))
        });
        let mut serve = Self { process, url: String::new(), log };
        let line = serve.line_with("address=");
        let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap();
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

    fn stop(mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success(), "the exit code is 0");
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
async fn a_failed_call_is_logged_with_its_request_id() {
    let database = TestDatabase::own().await;
    let app = TestApp::on(database.clone());
    let serve = Serve::start(&database, &[]);
    let caller = caller(&serve, &app, "find-me-in-the-log").await;
    database.admin().await.execute("drop function rpc.reset_counter").await.unwrap();
    let problem = caller.post("/v1/counters/a/reset", json!({})).await.problem(500, "internal");
    assert_eq!(problem["instance"], "find-me-in-the-log");
    let line = serve.line_with("find-me-in-the-log");
    assert!(line.contains("the database refused a call") && line.contains("resetCounter"), "{line}");
    // The same for a read.
    database.admin().await.execute("drop function rpc.list_counters").await.unwrap();
    caller.get("/v1/counters").await.problem(500, "internal");
    let line = serve.line_with("listCounters");
    assert!(line.contains("find-me-in-the-log"), "{line}");
    serve.stop();
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
