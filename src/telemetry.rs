//! Logs and traces.
//!
//! Each request has one span with its id. The span travels with the call into its lane, so that every log line about a
//! request carries its id. With the cargo feature `otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT`, spans are also exported to an
//! OpenTelemetry collector, and the `traceparent` of the caller is continued.

use std::io::IsTerminal as _;

use actix_web::http::header::HeaderMap;
use tracing::{Span, field};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected `text` or `json`".to_owned()),
        }
    }
}

/// Logging and tracing, until this is dropped: then the remaining spans are exported.
pub struct Telemetry {
    #[cfg(feature = "otlp")]
    _exporter: Option<export::Exporter>,
}

impl Telemetry {
    /// Starts logging to standard error, and the export of spans if an endpoint is set.
    #[must_use]
    pub fn start(filter: &str, format: LogFormat) -> Self {
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        let lines = match format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(EnvFilter::new(filter)).with(lines);
        #[cfg(feature = "otlp")]
        {
            let (exporter, layer) = export::Exporter::from_env();
            // Tests have started logging already.
            drop(subscriber.with(layer).try_init());
            Self { _exporter: exporter }
        }
        #[cfg(not(feature = "otlp"))]
        {
            // Tests have started logging already.
            drop(subscriber.try_init());
            if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
                tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT: this payerbase was built without the feature `otlp`");
            }
            Self {}
        }
    }
}

/// The span of a request.
pub(crate) fn request_span(id: &str, method: &str, headers: &HeaderMap) -> Span {
    #[cfg(feature = "otlp")]
    {
        let span = tracing::info_span!(
            "request",
            id,
            method,
            route = field::Empty,
            status = field::Empty,
            otel.kind = "server",
        );
        export::continue_trace(&span, headers);
        span
    }
    #[cfg(not(feature = "otlp"))]
    {
        let _traces_are_not_exported = headers;
        tracing::info_span!("request", id, method, route = field::Empty, status = field::Empty)
    }
}

/// Completes the span of a request with its route and the status of the answer.
pub(crate) fn answered(span: &Span, method: &str, route: Option<&str>, status: u16) {
    span.record("status", status);
    if let Some(route) = route {
        span.record("route", route);
        #[cfg(feature = "otlp")]
        export::rename(span, format!("{method} {route}"));
        #[cfg(not(feature = "otlp"))]
        let _only_exported_spans_have_a_name = method;
    }
}

#[cfg(feature = "otlp")]
mod export {
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
}
