//! Metrics, the pages and files that use them, and the admin port.

use std::collections::BTreeSet;
use std::path::Path;

use payerbase::redis::Redis;
use serde_json::{Value, json};

use crate::support::{TestApp, TestDatabase};

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The families of a page of metrics.
fn families(page: &str) -> BTreeSet<String> {
    page.lines().filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned())).collect()
}

/// The families of `docs/METRICS.md`: the first cells of its tables.
fn documented() -> BTreeSet<String> {
    let page = file("docs/METRICS.md");
    page.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned())).collect()
}

/// A server that has everything that has metrics.
async fn exported() -> String {
    let database = TestDatabase::own().await;
    let app = TestApp::set(database, |settings| settings.redis = Some(Redis::at("redis://127.0.0.1:9").unwrap()));
    let caller = app.caller().await;
    caller.increment("a", json!({})).await.ok();
    caller.get("/metrics").await.text
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_exists() {
    let exported = families(&exported().await);
    let documented = documented();
    let missing: Vec<_> = exported.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&exported).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in docs/METRICS.md: {missing:?}; not exported: {gone:?}");
}

/// The names of metrics in a text, without the endings of counters and histograms.
fn used(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names =
        text.split(|c: char| !word(c)).filter(|name| name.starts_with("payerbase_") || name.starts_with("process_"));
    let family = |name: &str| {
        let endings = ["_bucket", "_count", "_sum", "_total", "_info"];
        endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_owned()
    };
    names.map(family).collect()
}

#[test]
fn the_alert_rules_and_the_dashboard_use_metrics_that_exist() {
    let documented = documented();
    let rules = file("deploy/prometheus/alerts.yml");
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/payerbase.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(panels.len() >= 12 && expressions.len() >= 12);
    for text in [rules, expressions.join("\n")] {
        let used = used(&text);
        assert!(used.len() >= 8, "{used:?}");
        let unknown: Vec<_> = used.difference(&documented).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

#[test]
#[ignore = "needs promtool"]
fn prometheus_accepts_the_alert_rules() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/alerts.yml");
    let checked = std::process::Command::new("promtool").args(["check", "rules"]).arg(rules).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test]
async fn the_admin_port_has_the_metrics_and_the_api_has_them_no_more() {
    let database = TestDatabase::shared().await;
    let app = TestApp::set(database, |settings| settings.admin = Some(([127, 0, 0, 1], 0).into()));
    let caller = app.caller().await;
    caller.get("/metrics").await.problem(404, "not-found");
    let document = caller.get("/openapi.json").await.json();
    assert!(document["paths"].get("/metrics").is_none() && document["paths"].get("/healthz").is_some());
    for path in ["/healthz", "/readyz"] {
        caller.get(path).await.ok();
    }
    let mut operator = caller.clone();
    operator.url = app.admin_url.clone().unwrap();
    let metrics = operator.get("/metrics").await;
    assert_eq!(metrics.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(metrics.text.contains("payerbase_http_requests_total{method=\"get\",route=\"/healthz\",status=\"200\""));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(operator.get(path).await.ok()["status"], "ok");
    }
    for path in ["/v1/me", "/", "/docs/", "/openapi.json"] {
        operator.get(path).await.problem(404, "not-found");
    }
    app.stop().await;
}

/// The value of a line of a page of metrics that begins like this.
fn value(page: &str, line: &str) -> f64 {
    let found = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {line} in {page}")).parse().unwrap()
}

#[tokio::test]
async fn requests_are_counted_by_method_route_status_and_code_and_waiting_is_no_latency() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    caller.increment("a", json!({})).await.ok();
    caller.get("/v1/counters/a").await.ok();
    caller.get("/v1/counters/b").await.problem(404, "not-found");
    caller.delete("/v1/counters/a").await.ok();
    caller.get("/nowhere").await.problem(404, "not-found");
    let wait_ms = 5_000;
    assert_eq!(caller.post("/v1/queues/q/pop", json!({"waitMs": wait_ms})).await.status, 204);
    caller.get("/healthz").await.ok();
    let page = caller.get("/metrics").await.text;
    for (labels, count) in [
        (r#"method="get",route="/v1/counters/{name}",status="200",code="none""#, 1.0),
        (r#"method="get",route="/v1/counters/{name}",status="404",code="not-found""#, 1.0),
        (r#"method="delete",route="/v1/counters/{name}",status="204",code="none""#, 1.0),
        (r#"method="get",route="none",status="404",code="not-found""#, 1.0),
        (r#"method="get",route="/healthz",status="200",code="none""#, 1.0),
    ] {
        assert_eq!(value(&page, &format!("payerbase_http_requests_total{{{labels}}}")), count);
    }
    let pop = r#"{method="post",route="/v1/queues/{queue}/pop"}"#;
    assert_eq!(value(&page, &format!("payerbase_http_duration_seconds_count{pop}")), 1.0);
    // The rest of a request takes milliseconds.
    assert!(value(&page, &format!("payerbase_http_duration_seconds_sum{pop}")) < f64::from(wait_ms) / 1_000.0);
    assert!(!page.contains(r#"payerbase_http_duration_seconds_count{method="get",route="/healthz"}"#));
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        for value in line.split("=\"").skip(1) {
            assert!(
                value == "+Inf" || !value.starts_with(char::is_uppercase),
                "label values begin in lower case: {line}"
            );
        }
    }
}

#[tokio::test]
async fn jobs_of_all_payers_are_counted_by_the_server_that_sweeps() {
    let app = TestApp::on(TestDatabase::own().await);
    let (one, two) = (app.caller().await, app.caller().await);
    for caller in [&one, &two] {
        for queue in ["mails", "bills"] {
            caller.post(&format!("/v1/queues/{queue}/jobs"), json!({"payload": 1, "maxAttempts": 1})).await.ok();
            let delayed = json!({"payload": 1, "delayMs": 600_000});
            caller.post(&format!("/v1/queues/{queue}/jobs"), delayed).await.ok();
        }
    }
    let job = one.post("/v1/queues/bills/pop", json!({})).await.ok();
    let (id, lease) = (job["id"].as_str().unwrap(), job["lease"].as_str().unwrap());
    let failed = one.post(&format!("/v1/jobs/{id}/fail"), json!({"lease": lease, "error": "no"})).await.ok();
    assert_eq!(failed["status"], "dead");
    two.post("/v1/queues/bills/pop", json!({})).await.ok();
    app.until(async || {
        let page = one.get("/metrics").await.text;
        let jobs = |state: &str| value(&page, &format!("payerbase_jobs{{state=\"{state}\"}}"));
        let counted = ["pending", "delayed", "running", "dead"].map(jobs);
        counted == [2.0, 4.0, 1.0, 1.0]
            && value(&page, "payerbase_queues") == 4.0
            && value(&page, "payerbase_job_oldest_pending_seconds") > 0.0
    })
    .await;
}

#[tokio::test]
async fn the_database_its_connections_and_the_process_have_metrics() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    caller.increment("a", json!({})).await.ok();
    caller.increment("a", json!({})).await.ok();
    caller.get("/v1/counters").await.ok();
    let page = caller.get("/metrics").await.text;
    assert_eq!(value(&page, "payerbase_database_up"), 1.0);
    assert_eq!(value(&page, "payerbase_pool_connections_max{pool=\"slow\"}"), 6.0);
    let connections = |state| value(&page, &format!("payerbase_pool_connections{{pool=\"slow\",state=\"{state}\"}}"));
    assert!(connections("idle") + connections("used") >= 1.0);
    assert_eq!(value(&page, "payerbase_pool_waiting{pool=\"auth\"}"), 0.0);
    assert_eq!(value(&page, "payerbase_lanes{lane=\"write\"}"), 2.0);
    assert_eq!(value(&page, "payerbase_lane_queued{lane=\"read\"}"), 0.0);
    assert_eq!(value(&page, "payerbase_cache_lookups_total{cache=\"tokens\"}"), 3.0);
    assert!(value(&page, "payerbase_cache_misses_total{cache=\"tokens\"}") >= 1.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(value(&page, &format!("payerbase_build_info{{version=\"{version}\"}}")), 1.0);
    for process in ["process_start_time_seconds", "process_open_fds", "process_max_fds"] {
        assert!(value(&page, process) > 0.0, "{process}");
    }
    #[cfg(target_os = "linux")]
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
}

/// The files for systemd and Kubernetes use settings and paths that exist.
#[test]
fn the_files_of_deployments_use_settings_and_ports_that_exist() {
    for path in ["deploy/systemd/payerbase.service", "deploy/kubernetes/payerbase.yaml", "docker-compose.yml"] {
        let text = file(path);
        let names =
            text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).filter(|name| name.starts_with("PAYERBASE_"));
        let known = |name: &&str| payerbase::config::VARIABLES.iter().any(|(known, _)| known == name);
        let unknown: Vec<&str> = names.filter(|name| !known(name)).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_accepts_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("payerbase.service");
    let program = env!("CARGO_BIN_EXE_payerbase");
    std::fs::write(&unit, file("deploy/systemd/payerbase.service").replace("/usr/local/bin/payerbase", program))
        .unwrap();
    let checked = std::process::Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
}
