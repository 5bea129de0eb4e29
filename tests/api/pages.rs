//! The pages outside of the API: health, metrics, documentation.

use serde_json::Value;

use crate::support::TestApp;

#[tokio::test]
async fn health_and_readiness_need_no_token() {
    let app = TestApp::spawn().await;
    let mut anonymous = app.caller().await;
    anonymous.token = None;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(anonymous.get(path).await.ok()["status"], "ok");
        let head = anonymous.send(reqwest::Method::HEAD, path, None).await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    }
}

#[tokio::test]
async fn the_api_reference_loads_no_external_files() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let redirect = caller.get("/docs").await;
    let page = caller.get(redirect.headers["location"].to_str().unwrap()).await;
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
    assert!(initializer.text.contains("/openapi.json"));
    assert!(!initializer.text.contains("http"), "{}", initializer.text);
}

#[tokio::test]
async fn the_type_of_a_problem_links_to_its_description() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let problem = caller.get("/v1/counters/none").await.problem(404, "not-found");
    let (page, anchor) = problem["type"].as_str().unwrap().split_once('#').unwrap();
    assert!(caller.get(page).await.text.contains(&format!("\n## {anchor}\n")));
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
    assert_eq!(served.text, payerbase::app::document().json);
}
