//! Logs and traces.
//!
//! Each request that failed on the side of the server is one line with its id, its problem and the cause, logged at the edge
//! (`http/answer_log.rs`). Inner rooms, and lanes, only note the cause (`because`). Each request is also a span. With the cargo feature `otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT`, spans are also exported to an
//! OpenTelemetry collector, and the `traceparent` of the caller is continued.

mod current;
#[cfg(feature = "otlp")]
mod export;
mod process;

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use actix_web::http::header::HeaderMap;
use tracing::{Span, field};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

pub(crate) use current::{Current, Facts, because, called_by, current_id, refused, waited};
pub(crate) use process::process_registry;

/// Filters of libraries that would log per connection or per request, or that log what payerbase logs itself. A filter of the
/// operator for the same library replaces them.
const QUIET: &str = "actix_server=warn,actix_http=off,sqlx::postgres::notice=warn,sqlx_core::pool=warn,";

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
        let subscriber = tracing_subscriber::registry().with(EnvFilter::new(format!("{QUIET}{filter}"))).with(lines);
        std::panic::set_hook(Box::new(log_panic));
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

/// Logs a panic as one line. The panic of a request is the cause of its answer, which is logged at the edge.
pub(crate) fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let cause = format!("a panic at {place}: {message}");
    if !because(cause.clone()) {
        tracing::error!(cause, "a task panicked");
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
