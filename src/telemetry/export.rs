//! Export of spans by OTLP over HTTP.

use actix_web::http::header::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

/// Exports spans in batches, on a thread of its own.
pub(super) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// The exporter that `OTEL_EXPORTER_OTLP_ENDPOINT` and its companions describe, and the layer that feeds it.
    pub fn from_env<S>() -> (Option<Self>, Option<OpenTelemetryLayer<S, Tracer>>)
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
            return (None, None);
        }
        // An HTTPS endpoint needs a provider of cryptography.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let exporter = match SpanExporter::builder().with_http().build() {
            Ok(exporter) => exporter,
            Err(error) => {
                eprintln!("payerbase: OTEL_EXPORTER_OTLP_ENDPOINT: {error}; spans are not exported");
                return (None, None);
            }
        };
        let resource = Resource::builder().with_service_name("payerbase").build();
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("payerbase"));
        (Some(Self(provider)), Some(layer))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            eprintln!("payerbase: the last spans were not exported: {error}");
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(actix_web::http::header::HeaderName::as_str).collect()
    }
}

/// Names a span that has begun. `otel.name` would have no effect any more.
pub(super) fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Makes the span a child of the caller's span (W3C Trace Context).
pub(super) fn continue_trace(span: &Span, headers: &HeaderMap) {
    if headers.contains_key("traceparent") {
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        // Fails if spans are not exported.
        let _not_exported = span.set_parent(parent);
    }
}
