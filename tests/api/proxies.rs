//! nginx, configured as its users configure it, and Java's client: no call is lost, and none happens twice.
//!
//! Each call adds another amount to a counter, so that the counter shows which calls happened.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use payerbase::app::DRAIN_TIMEOUT;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::{Caller, Nginx, TestApp};

/// Calls of each test.
const CALLS: i64 = 2_000;
const CLIENTS: usize = 8;

/// Sends all calls through `url`. Returns the amounts of those that were not answered with 200: they did not happen.
async fn call_all(caller: &Caller, url: &str, counter: &str, mut meanwhile: impl FnMut(i64)) -> Vec<i64> {
    let next = Arc::new(AtomicI64::new(0));
    let (path, token) = (format!("{url}/v1/counters/{counter}/increment"), caller.token.clone().unwrap());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, next, path, token) = (caller.client.clone(), Arc::clone(&next), path.clone(), token.clone());
            tokio::spawn(async move {
                let mut refused = Vec::new();
                loop {
                    let amount = next.fetch_add(1, Ordering::Relaxed) + 1;
                    if amount > CALLS {
                        return refused;
                    }
                    let call = client.post(&path).bearer_auth(token.expose_secret()).json(&json!({"amount": amount}));
                    let answer = call.send().await.expect("an answer");
                    if answer.status() != 200 {
                        refused.push(amount);
                    }
                    answer.bytes().await.expect("a whole answer");
                }
            })
        })
        .collect();
    while clients.iter().any(|client| !client.is_finished()) {
        meanwhile(next.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut refused = Vec::new();
    for client in clients {
        refused.extend(client.await.unwrap());
    }
    let happened = CALLS * (CALLS + 1) / 2 - refused.iter().sum::<i64>();
    assert_eq!(caller.value(counter).await, happened, "each call happened once, but not {refused:?}");
    refused
}

fn address(app: &TestApp) -> &str {
    app.url.trim_start_matches("http://")
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_with_its_default_proxying_loses_no_call() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let nginx = Nginx::start("", &format!("location / {{ proxy_pass http://{}; }}", address(&app)));
    assert!(call_all(&caller, &nginx.url, "a", |_| {}).await.is_empty());
    // Without a body, nginx sends HTTP/1.0 without a length.
    let through = Caller { url: nginx.url.clone(), ..caller };
    for path in ["/v1/counters/b/increment", "/v1/counters/b/decrement", "/v1/counters/b/reset", "/v1/queues/q/pop"] {
        through.send(reqwest::Method::POST, path, None).await.ok();
    }
    let mut zipped = through.clone();
    zipped.headers.insert("accept-encoding", "gzip".parse().unwrap());
    zipped.get("/v1/counters").await.ok();
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_with_kept_connections_loses_no_call() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let upstream = format!("upstream payerbase {{ server {}; keepalive 16; }}", address(&app));
    let kept = "proxy_http_version 1.1; proxy_set_header Connection \"\"; client_max_body_size 8m;";
    let pasted =
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";
    let nginx = Nginx::start(
        &upstream,
        &format!(
            "location / {{ proxy_pass http://payerbase; {kept} }}\n\
             location /pasted/ {{ proxy_pass http://payerbase/; {pasted} }}"
        ),
    );
    assert!(call_all(&caller, &nginx.url, "kept", |_| {}).await.is_empty());
    assert!(call_all(&caller, &format!("{}/pasted", nginx.url), "pasted", |_| {}).await.is_empty());
    assert!(!nginx.errors().contains("upstream"), "{}", nginx.errors());
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn everything_works_behind_a_path_prefix() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let nginx = Nginx::start("", &format!("location /pay/ {{ proxy_pass http://{}/; }}", address(&app)));
    let through = Caller { url: format!("{}/pay", nginx.url), ..caller.clone() };
    through.increment("a%20b", json!({})).await.ok();
    let base: url::Url = format!("{}/", through.url).parse().unwrap();
    let mut page = base.clone();
    for redirect in ["", "docs"] {
        let asked = base.join(redirect).unwrap();
        let answer = caller.client.get(asked.clone()).send().await.unwrap();
        assert!(answer.status().is_redirection(), "{asked}: {}", answer.status());
        page = asked.join(answer.headers()["location"].to_str().unwrap()).unwrap();
        assert_eq!(page, base.join("docs/").unwrap());
    }
    let text = async |place: url::Url| caller.client.get(place).send().await.unwrap().text().await.unwrap();
    let initializer = text(page.join("swagger-initializer.js").unwrap()).await;
    let document = initializer.split('"').find(|part| part.ends_with("openapi.json")).unwrap();
    let place = page.join(document).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text(place.clone()).await).unwrap();
    let server = place.join(document["servers"][0]["url"].as_str().unwrap()).unwrap();
    assert_eq!(server, base);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_reload_of_nginx_and_the_stop_of_a_server_lose_no_call() {
    for proxying in ["", "proxy_http_version 1.1; proxy_set_header Connection \"\";"] {
        let (staying, leaving) = (TestApp::spawn().await, TestApp::spawn().await);
        let caller = staying.caller().await;
        let servers = format!("server {}; server {};", address(&staying), address(&leaving));
        let keepalive = if proxying.is_empty() { "" } else { "keepalive 16;" };
        let nginx = Nginx::start(
            &format!("upstream payerbase {{ {servers} {keepalive} }}"),
            &format!("location / {{ proxy_pass http://payerbase; {proxying} }}"),
        );
        let (mut has_reloaded, mut stopped) = (false, None);
        // A client must not send on a connection that the old workers of nginx are closing: a new one for each call.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let once = Caller { client, ..caller };
        let refused = call_all(&once, &nginx.url, "a", |sent| {
            if sent > CALLS / 8 && !has_reloaded {
                nginx.reload();
                has_reloaded = true;
            }
            if sent > CALLS / 4 && stopped.is_none() {
                let stop = leaving.stopping();
                let drain = async move { stop.drain(Duration::from_millis(200), DRAIN_TIMEOUT).await };
                stopped = Some(tokio::spawn(drain));
            }
        })
        .await;
        // A connection that nginx opens in the microseconds in which the listener closes is reset.
        assert!(refused.len() <= 1, "{refused:?}: {}", nginx.errors());
        stopped.expect("the server was stopped").await.unwrap();
        assert!(
            nginx.errors().contains("Connection refused") || !has_reloaded,
            "the server was gone: {}",
            nginx.errors()
        );
    }
}

/// Runs `fixtures/Posts.java`. Prints the number of acknowledged calls and the sum of their amounts.
async fn java(caller: &Caller, counter: &str, calls: i64) -> (i64, i64) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/fixtures/Posts.java");
    let mut command = Command::new("java");
    command.arg(file).arg(format!("{}/v1/counters/{counter}/increment", caller.url));
    command.args([caller.token.as_ref().unwrap().expose_secret(), &calls.to_string()]);
    let output = tokio::task::spawn_blocking(move || command.output().expect("java is on the PATH")).await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let mut numbers = printed.split_whitespace().map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Java's client offers to upgrade to HTTP/2 in each request.
#[tokio::test]
#[ignore = "needs java"]
async fn javas_client_loses_no_call() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let (acknowledged, sum) = java(&caller, "a", CALLS).await;
    assert_eq!((acknowledged, sum), (CALLS, CALLS * (CALLS + 1) / 2));
    assert_eq!(caller.value("a").await, sum);
}

/// The client ends without an error when it cannot connect any more; every other failure is a lost call.
#[tokio::test]
#[ignore = "needs java"]
async fn javas_client_loses_no_call_when_the_server_stops() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let calling = caller.clone();
    let calling = tokio::spawn(async move { java(&calling, "a", i64::MAX).await });
    app.until(async || {
        let answer = caller.get("/v1/counters/a").await;
        answer.status == 200 && answer.ok()["value"].as_i64().unwrap() > 1_000
    })
    .await;
    app.stopping().drain(Duration::from_secs(1), DRAIN_TIMEOUT).await;
    let (acknowledged, sum) = calling.await.unwrap();
    let other = TestApp::spawn().await;
    assert!(acknowledged > 0);
    assert_eq!(Caller { url: other.url.clone(), ..caller }.value("a").await, sum);
}
