//! Metrics of calls.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    /// `ok`, or the code of a problem.
    outcome: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EmbeddedLabels {
    /// `ok` or `failed`.
    outcome: &'static str,
}

/// The metrics of all calls.
pub(super) struct Metrics {
    calls: Family<CallLabels, Counter>,
    embedded: Family<EmbeddedLabels, Counter>,
    embedding: Histogram,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            calls: Family::default(),
            embedded: Family::default(),
            embedding: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
        };
        for outcome in ["ok", "failed"] {
            drop(metrics.embedded.get_or_create(&EmbeddedLabels { outcome }));
        }
        registry.register("calls", "Calls by method and outcome", metrics.calls.clone());
        registry.register("embedded_texts", "Texts that became vectors, by outcome", metrics.embedded.clone());
        registry.register_with_unit(
            "embedding",
            "Time a call waited for its vectors",
            Unit::Seconds,
            metrics.embedding.clone(),
        );
        metrics
    }

    pub fn called(&self, method: &'static str, outcome: &'static str) {
        self.calls.get_or_create(&CallLabels { method, outcome }).inc();
    }

    pub fn embedded(&self, texts: usize, time: Duration, is_ok: bool) {
        let outcome = if is_ok { "ok" } else { "failed" };
        self.embedded.get_or_create(&EmbeddedLabels { outcome }).inc_by(u64::try_from(texts).unwrap_or(u64::MAX));
        self.embedding.observe(time.as_secs_f64());
    }
}
