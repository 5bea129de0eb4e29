//! The pages outside of the API: health, metrics, documentation.

use reqwest::Method;
use serde_json::Value;

use crate::support::TestApp;

#[tokio::test]
async fn health_and_readiness_need_no_token() {
    let app = TestApp::spawn().await;
    let mut anonymous = app.caller().await;
    anonymous.token = None;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(anonymous.get(path).await.ok()["status"], "ok");
        let head = anonymous.send(Method::HEAD, path, None).await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    }
}

#[tokio::test]
async fn the_api_reference_loads_no_external_files() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let redirect = caller.get("/docs").await;
    assert_eq!(redirect.headers["location"], "docs/", "relative, for a proxy with a path prefix");
    assert_eq!(caller.get("/").await.headers["location"], "docs/");
    let page = caller.get("/docs/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(!page.text.contains("<script>"), "the policy forbids inline scripts");
    assert_eq!((redirect.status.as_u16(), page.status.as_u16()), (308, 200));
    let mut scripts = 0;
    for reference in page.text.split(['"', '\'']).filter(|text| text.ends_with(".js") || text.ends_with(".css")) {
        assert!(!reference.contains("//"), "{reference} is an external URL");
        let asset = caller.get(&format!("/docs/{}", reference.trim_start_matches("./"))).await;
        assert_eq!(asset.status, 200, "{reference}");
        scripts += 1;
    }
    assert!(scripts >= 3, "{}", page.text);
    let initializer = caller.get("/docs/swagger-initializer.js").await;
    assert!(initializer.text.contains("../openapi.json"));
    assert!(!initializer.text.contains("http"), "{}", initializer.text);
}

#[tokio::test]
async fn the_type_of_a_problem_links_to_its_description() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let problem = caller.get("/v1/counters/none").await.problem(404, "not-found");
    let (page, anchor) = problem["type"].as_str().unwrap().split_once('#').unwrap();
    assert!(caller.get(page).await.text.contains(&format!("\n## {anchor}\n")));
    let mut browser = caller.clone();
    browser.headers.insert("accept", "text/html,application/xhtml+xml,*/*;q=0.8".parse().unwrap());
    let page = browser.get(page).await;
    assert!(page.text.contains(&format!("<h2 id=\"{anchor}\">{anchor}</h2>")), "{page:?}");
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.headers["vary"].to_str().unwrap().split(", ").any(|vary| vary == "Accept"), "{page:?}");
}

#[tokio::test]
async fn head_is_answered_wherever_get_is() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("a", serde_json::json!({})).await.ok();
    for path in [
        "/",
        "/docs",
        "/docs/",
        "/docs/swagger-ui-bundle.js",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/problems",
        "/v1/me",
        "/v1/counters",
        "/v1/counters/a",
        "/v1/counters/none",
        "/l/some-slug/qr.svg",
        "/l/missing-slug",
        "/nothing",
    ] {
        let (get, head) = (caller.get(path).await, caller.send(Method::HEAD, path, None).await);
        assert_eq!((get.status, ""), (head.status, head.text.as_str()), "{path}");
        assert_eq!(get.headers.get("content-type"), head.headers.get("content-type"), "{path}");
    }
    let head = caller.send(Method::HEAD, "/v1/counters/a/increment", None).await;
    assert_eq!((head.status.as_u16(), &head.headers["allow"]), (405, &"POST".parse().unwrap()));
    assert_eq!(caller.value("a").await, 1);
}

#[tokio::test]
async fn options_lists_the_methods_of_a_path() {
    let app = TestApp::spawn().await;
    let mut anyone = app.caller().await;
    anyone.token = None;
    for (path, allow) in [
        ("/v1/counters/a", "GET, HEAD, DELETE, OPTIONS"),
        ("/v1/counters/a/increment", "POST, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/docs/", "GET, HEAD, OPTIONS"),
    ] {
        let answer = anyone.send(Method::OPTIONS, path, None).await;
        assert_eq!((answer.status.as_u16(), answer.headers["allow"].to_str().unwrap()), (204, allow));
    }
    anyone.send(Method::OPTIONS, "/nothing", None).await.problem(404, "not-found");
    anyone.headers.insert("origin", "https://app.example".parse().unwrap());
    anyone.headers.insert("access-control-request-method", "DELETE".parse().unwrap());
    let preflight = anyone.send(Method::OPTIONS, "/v1/counters/a", None).await;
    let methods = preflight.headers["access-control-allow-methods"].to_str().unwrap();
    assert!(preflight.status.is_success() && methods.contains("DELETE"), "{preflight:?}");
    assert!(!methods.contains("CONNECT") && !methods.contains("TRACE"), "{methods}");
}

#[tokio::test]
async fn the_document_names_the_public_url() {
    let public = |settings: &mut payerbase::app::Settings| {
        settings.public_url = Some("https://acme.example/pay/".parse().unwrap());
    };
    let app = TestApp::set(crate::support::TestDatabase::shared().await, public);
    let caller = app.caller().await;
    let document = caller.get("/openapi.json").await.json();
    assert_eq!(document["servers"], serde_json::json!([{"url": "https://acme.example/pay"}]));
    let policy = caller.get("/docs/").await.headers["content-security-policy"].clone();
    assert!(policy.to_str().unwrap().contains("connect-src 'self' https://acme.example;"), "{policy:?}");
}

#[tokio::test]
async fn metrics_count_calls_and_contain_no_payer() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for _ in 0..3 {
        caller.increment("secret-name", serde_json::json!({})).await.ok();
    }
    caller.get("/v1/counters/secret-name").await.ok();
    let metrics = caller.get("/metrics").await.text;
    let has = |line: &str| assert!(metrics.lines().any(|found| found.starts_with(line)), "{line}\n{metrics}");
    has(
        r#"payerbase_http_requests_total{method="post",route="/v1/counters/{name}/increment",status="200",code="none"} 3"#,
    );
    has(r#"payerbase_http_duration_seconds_count{method="post",route="/v1/counters/{name}/increment"} 3"#);
    has(r#"payerbase_calls_total{method="increment",outcome="ok"} 3"#);
    has(r#"payerbase_lane_batch_calls_sum{lane="write"} 3"#);
    for histogram in ["lane_wait_seconds", "lane_run_seconds", "lane_commit_seconds", "lane_batch_calls"] {
        has(&format!(r#"payerbase_{histogram}_count{{lane="write"}} "#));
    }
    has(r#"payerbase_lane_busy_seconds_total{lane="write"}"#);
    assert!(!metrics.contains("secret-name") && !metrics.contains(caller.payer.as_str()));
    assert!(metrics.ends_with("# EOF\n"));
}

#[tokio::test]
async fn answers_are_compressed_if_the_client_accepts_gzip() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.headers.insert("accept-encoding", "gzip".parse().unwrap());
    let document =
        caller.client.get(format!("{}/openapi.json", app.url)).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(document.headers()["content-encoding"], "gzip");
}

#[tokio::test]
async fn the_openapi_document_is_served_unchanged() {
    let app = TestApp::spawn().await;
    let served = app.caller().await.get("/openapi.json").await;
    let _: Value = served.json();
    assert_eq!(served.text, payerbase::app::document().v3_1.json);
}
