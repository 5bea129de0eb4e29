//! Metrics of HTTP requests, and the page with all metrics for Prometheus.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, web};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::problem::{Code, Problem};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Status(StatusCode);

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0.as_str(), encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    /// Pattern of the route. Not the path: callers choose it.
    route: String,
    status: Status,
}

/// Metrics of HTTP requests.
pub struct HttpMetrics {
    requests: Family<Labels, Counter>,
    duration: Histogram,
}

impl HttpMetrics {
    /// Registers the metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::<Labels, Counter>::default();
        let duration = Histogram::new(exponential_buckets(0.000_1, 2.0, 17));
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register_with_unit("http_duration", "Time from request to answer", Unit::Seconds, duration.clone());
        Self { requests, duration }
    }

    pub(super) fn answered(&self, route: Option<String>, status: StatusCode, elapsed: Duration) {
        let labels = Labels { route: route.unwrap_or_else(|| "none".to_owned()), status: Status(status) };
        self.requests.get_or_create(&labels).inc();
        self.duration.observe(elapsed.as_secs_f64());
    }
}

/// Get the metrics.
///
/// OpenMetrics text for Prometheus. It contains no payer.
#[utoipa::path(operation_id = "metrics", tag = "operations", security(()),
    responses((status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text")))]
#[get("/metrics")]
pub(crate) async fn metrics(registry: web::Data<Registry>) -> Result<HttpResponse, Problem> {
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| {
        tracing::error!(%error, "cannot write the metrics");
        Problem::new(Code::Internal)
    })?;
    Ok(HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(text))
}
