//! Connections: how clients and proxies use them, and how the server ends them.

use std::time::Duration;

use futures_util::future::join_all;
use payerbase::app::DRAIN_TIMEOUT;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Caller, Connection, TestApp};

/// A POST to a counter. `rest` is its other headers.
fn increment(caller: &Caller, version: &str, rest: &str, body: &str) -> String {
    let token = caller.token.as_ref().unwrap().expose_secret();
    format!(
        "POST /v1/counters/a/increment HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{rest}\r\n{body}"
    )
}

const JSON: &str = "Content-Type: application/json\r\nContent-Length: 12\r\n";

#[tokio::test]
async fn an_offer_to_upgrade_is_answered_as_if_it_were_not_there() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let offers = [
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
        "Upgrade: h2c\r\n",
    ];
    let sent = caller.clone();
    tokio::task::spawn_blocking(move || {
        let mut connection = Connection::open(&sent.url).unwrap();
        for offer in offers {
            for (rest, body) in [(JSON, r#"{"amount":1}"#), ("Content-Length: 0\r\n", ""), ("", "")] {
                let answer = connection.send(&increment(&sent, "1.1", &format!("{offer}{rest}"), body)).unwrap();
                assert_eq!(answer.status, 200, "{offer}{rest}: {answer:?}");
                assert!(!answer.head.contains("\nconnection:"), "the connection is kept: {answer:?}");
            }
        }
        let last = increment(&sent, "1.1", "Connection: Upgrade, close\r\nUpgrade: h2c\r\n", "");
        assert!(connection.send(&last).unwrap().has("connection: close"));
        assert!(connection.is_closed());
    })
    .await
    .unwrap();
    assert_eq!(caller.value("a").await, 3 * 6 + 1);
}

#[tokio::test]
async fn http_1_0_needs_no_length_and_gets_no_chunks() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let sent = caller.clone();
    tokio::task::spawn_blocking(move || {
        let mut kept = Connection::open(&sent.url).unwrap();
        for _ in 0..2 {
            let answer = kept.send(&increment(&sent, "1.0", "Connection: keep-alive\r\n", "")).unwrap();
            assert!(answer.status == 200 && answer.has("connection: keep-alive"), "{answer:?}");
        }
        for path in ["/v1/counters", "/openapi.json", "/nothing", "/docs/"] {
            let token = sent.token.as_ref().unwrap().expose_secret();
            let head = format!("Authorization: Bearer {token}\r\nAccept-Encoding: gzip\r\n");
            let mut once = Connection::open(&sent.url).unwrap();
            let answer = once.send(&format!("GET {path} HTTP/1.0\r\n{head}\r\n")).unwrap();
            assert!(!answer.head.contains("chunked") && !answer.head.contains("content-encoding"), "{answer:?}");
            assert!(!answer.body.is_empty() && once.is_closed());
        }
    })
    .await
    .unwrap();
    assert_eq!(caller.value("a").await, 2);
}

#[tokio::test]
async fn a_head_of_more_than_16_kib_is_answered_with_431() {
    let app = TestApp::spawn().await;
    let url = app.url.clone();
    tokio::task::spawn_blocking(move || {
        let status = |head: String| Connection::open(&url).unwrap().send(&head).unwrap().status;
        let header = |bytes| format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(bytes));
        assert_eq!(status(header(15 << 10)), 200);
        assert_eq!(status(header(16 << 10)), 431);
        assert_eq!(status(format!("GET /healthz?{} HTTP/1.1\r\n\r\n", "a".repeat(16 << 10))), 431);
        assert_eq!(status(format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(100))), 431);
    })
    .await
    .unwrap();
}

/// What one client met until it could not connect any more.
#[derive(Debug, Default)]
struct Met {
    acknowledged: i64,
    told_to_close: u32,
    /// Calls on a connection that had been answered before, without an answer.
    lost: u32,
    /// New connections that were reset: the kernel opened them in the moment in which the listener closed.
    reset: u32,
}

fn call_until_refused(caller: &Caller) -> Met {
    let mut met = Met::default();
    while let Ok(mut connection) = Connection::open(&caller.url) {
        let mut is_new = true;
        loop {
            match connection.send(&increment(caller, "1.1", JSON, r#"{"amount":1}"#)) {
                Some(answer) => {
                    assert_eq!(answer.status, 200, "{answer:?}");
                    met.acknowledged += 1;
                    if answer.has("connection: close") {
                        met.told_to_close += 1;
                        break;
                    }
                }
                None if is_new => {
                    met.reset += 1;
                    break;
                }
                None => {
                    met.lost += 1;
                    break;
                }
            }
            is_new = false;
        }
    }
    met
}

#[tokio::test]
async fn a_stop_is_announced_and_loses_no_call() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let clients = (0..24).map(|_| {
        let caller = caller.clone();
        tokio::task::spawn_blocking(move || call_until_refused(&caller))
    });
    let clients: Vec<_> = clients.collect();
    app.until(async || {
        let counter = caller.get("/v1/counters/a").await;
        counter.status == 200 && counter.json()["value"].as_i64() > Some(100)
    })
    .await;

    let stop = app.stopping();
    let stopped = tokio::spawn(async move { stop.drain(Duration::from_secs(1), DRAIN_TIMEOUT).await });
    app.until(async || caller.get("/readyz").await.status == 503).await;
    let ready = caller.get("/readyz").await;
    assert_eq!(ready.headers["connection"], "close");
    ready.problem(503, "server-stopping");
    assert_eq!(caller.get("/healthz").await.status, 200);
    caller.increment("b", json!({})).await.ok();
    stopped.await.unwrap();

    let met: Vec<Met> = futures_util::future::join_all(clients).await.into_iter().map(Result::unwrap).collect();
    assert!(met.iter().all(|met| met.lost == 0 && met.told_to_close > 0), "{met:?}");
    assert!(met.iter().map(|met| met.reset).sum::<u32>() <= 1, "{met:?}");
    let other = TestApp::spawn().await;
    let counted = Caller { url: other.url.clone(), ..caller }.value("a").await;
    assert_eq!(counted, met.iter().map(|met| met.acknowledged).sum::<i64>(), "{met:?}");
}

#[tokio::test]
async fn a_waiting_call_is_answered_and_told_to_close() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let mut waiting = Connection::open(&app.url).unwrap();
    let token = caller.token.as_ref().unwrap().expose_secret();
    let body = r#"{"waitMs":30000}"#;
    let head =
        format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
    waiting.write(&format!("POST /v1/queues/q/pop HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{body}")).unwrap();
    app.stop().await;
    let answer = waiting.answer().unwrap();
    assert!(answer.status == 204 && answer.has("connection: close"), "{answer:?}");
}

/// A connection that has sent no request does not delay a stop.
#[tokio::test]
async fn idle_connections_are_closed() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let (sent, url) = (caller.clone(), app.url.clone());
    let (mut used, mut unused) = tokio::task::spawn_blocking(move || {
        let mut used = Connection::open(&url).unwrap();
        used.send(&increment(&sent, "1.1", "", "")).unwrap();
        (used, Connection::open(&url).unwrap())
    })
    .await
    .unwrap();
    app.stop().await;
    assert!(used.is_closed() && unused.is_closed());
}

#[tokio::test]
async fn many_large_requests_of_one_payer_at_once_wait_for_memory() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let jobs: Vec<_> = (0..100).map(|n| json!({"payload": {"to": [n, n], "text": "x".repeat(150)}})).collect();
    let answers = join_all((0..40).map(|_| caller.post("/v1/queues/q/jobs/batch", json!({"jobs": jobs})))).await;
    for answer in answers {
        answer.ok();
    }
    assert_eq!(caller.get("/v1/queues/q").await.ok()["total"], 4_000);
}

/// A body takes memory from its head on: two of 8 MiB fill the share of a payer, and one more may exceed it.
#[tokio::test]
async fn bodies_that_do_not_arrive_use_up_only_the_share_of_their_payer() {
    let app = TestApp::spawn().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let token = caller.token.as_ref().unwrap().expose_secret();
    let length = 8 << 20;
    let head = format!(
        "POST /v1/memories/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let stalled: Vec<_> = (0..4)
        .map(|_| {
            let (url, head) = (caller.url.clone(), head.clone());
            tokio::task::spawn_blocking(move || Connection::open(&url).unwrap().send(&head).unwrap())
        })
        .collect();
    let jobs = json!({"jobs": vec![json!({"payload": "x".repeat(5_000)}); 50]});
    other.post("/v1/queues/q/jobs/batch", jobs.clone()).await.ok();
    let mut answers: Vec<_> = join_all(stalled).await.into_iter().map(Result::unwrap).collect();
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [408, 408, 408, 503]);
    assert!(answers[3].body.contains("overloaded") && answers[3].body.contains("need too much memory"), "{answers:?}");
    caller.post("/v1/queues/q/jobs/batch", jobs).await.ok();
}

/// Sends a request, and reads nothing of the answer but its begin.
async fn read_nothing(caller: &Caller, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut stream = socket.connect(caller.url.strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap();
    let token = caller.token.as_ref().unwrap().expose_secret();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(stream.peek(&mut [0]).await.unwrap(), 1);
    stream
}

/// Four answers of 4 MiB fill the share of a payer.
#[tokio::test]
async fn answers_that_are_not_read_use_up_only_the_share_of_their_payer() {
    let app = TestApp::spawn().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let job = json!({"payload": "x".repeat(250_000)});
    for caller in [&caller, &other] {
        for _ in 0..17 {
            caller.post("/v1/queues/q/jobs", job.clone()).await;
        }
        // Lists whose size is unknown run first.
        caller.get("/v1/queues/q/jobs").await.ok();
    }
    let mut unread = Vec::new();
    for _ in 0..4 {
        unread.push(read_nothing(&caller, "/v1/queues/q/jobs").await);
    }
    let refused = caller.get("/v1/queues/q/jobs").await;
    refused.problem(503, "overloaded");
    other.get("/v1/queues/q/jobs").await.ok();
    caller.increment("a", json!({})).await.ok();
    drop(unread);
    caller.get("/v1/queues/q/jobs").await.ok();
}
