//! Metrics of HTTP requests, and the page with all metrics for Prometheus.

use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, get, web};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::problem::{Code, Problem};
use crate::telemetry::{Facts, because, process_registry};

/// Routes that probes ask all the time. They are not in the latency, and their successes are not in the log.
pub(super) const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// A request that is counted. Callers choose neither label: the route is a pattern, and an unusual method is `other`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: String,
    status: u16,
    /// Code of the problem, or `none`.
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

/// Metrics of HTTP requests.
pub struct HttpMetrics {
    requests: Family<Labels, Counter>,
    duration: Family<RouteLabels, Histogram>,
}

impl HttpMetrics {
    /// Registers the metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::<Labels, Counter>::default();
        let seconds = || Histogram::new(exponential_buckets(0.000_25, 2.0, 15));
        let duration = Family::<RouteLabels, Histogram>::new_with_constructor(seconds);
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "http_duration",
            "Time from request to answer, without the time that a call waited because it asked to, and without probes",
            Unit::Seconds,
            duration.clone(),
        );
        Self { requests, duration }
    }

    pub(super) fn answered(
        &self,
        method: &Method,
        route: Option<&str>,
        status: StatusCode,
        facts: &Facts,
        elapsed: Duration,
    ) {
        let method = label(method);
        let labels = Labels {
            method,
            route: route.unwrap_or("none").to_owned(),
            status: status.as_u16(),
            code: facts.code.map_or("none", Code::slug),
        };
        self.requests.get_or_create(&labels).inc();
        if let Some(route) = route.filter(|route| !PROBES.contains(route)) {
            let elapsed = elapsed.saturating_sub(facts.waited).as_secs_f64();
            self.duration.get_or_create(&RouteLabels { method, route: route.to_owned() }).observe(elapsed);
        }
    }
}

fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "other",
    }
}

/// All metrics of the server.
pub struct AllMetrics {
    /// Those of payerbase.
    ours: Registry,
    /// Those of the process.
    process: Registry,
}

impl AllMetrics {
    /// The metrics that the rooms have registered, and those of the build and of the process.
    #[must_use]
    pub fn of(mut ours: Registry) -> Self {
        ours.register("build", "Version of payerbase", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        Self { ours, process: process_registry() }
    }

    fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.ours)?;
        encode_registry(&mut text, &self.process)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// Get the metrics.
///
/// OpenMetrics text for Prometheus. It contains no payer. A server with an admin port (`PAYERBASE_ADMIN_PORT`) has this page
/// only there.
#[utoipa::path(operation_id = "metrics", tag = "operations", security(()),
    responses((status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text")))]
#[get("/metrics")]
pub(crate) async fn metrics(metrics: web::Data<AllMetrics>) -> Result<HttpResponse, Problem> {
    let text = metrics.encode().map_err(|error| {
        because(format!("the metrics cannot be written: {error}"));
        Problem::new(Code::Internal)
    })?;
    Ok(HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(text))
}
