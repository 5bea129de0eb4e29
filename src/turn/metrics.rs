//! What the lanes measure.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::statement::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum LaneKind {
    Write,
    Read,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: LaneKind,
}

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

/// The metrics of one kind of lane.
#[derive(Clone)]
struct OfKind {
    batch_calls: Histogram,
    wait: Histogram,
    busy: Counter<f64, AtomicU64>,
    run: Histogram,
    commit: Histogram,
}

/// The metrics of all calls and lanes.
pub(super) struct Metrics {
    calls: Family<CallLabels, Counter>,
    embedded: Family<EmbeddedLabels, Counter>,
    embedding: Histogram,
    write: OfKind,
    read: OfKind,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let batch_calls =
            Family::<LaneLabels, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 7)));
        let seconds = || Histogram::new(exponential_buckets(0.000_05, 2.0, 16));
        let wait = Family::<LaneLabels, Histogram>::new_with_constructor(seconds);
        let run = Family::<LaneLabels, Histogram>::new_with_constructor(seconds);
        let commit = Family::<LaneLabels, Histogram>::new_with_constructor(seconds);
        let busy = Family::<LaneLabels, Counter<f64, AtomicU64>>::default();
        let calls = Family::<CallLabels, Counter>::default();
        registry.register("calls", "Calls by method and outcome", calls.clone());
        registry.register("lane_batch_calls", "Calls that shared a statement and a commit", batch_calls.clone());
        registry.register_with_unit("lane_wait", "Time a call waited for its lane", Unit::Seconds, wait.clone());
        registry.register_with_unit(
            "lane_busy",
            "Time the lanes were at work; its rate is their occupancy",
            Unit::Seconds,
            busy.clone(),
        );
        registry.register_with_unit("lane_run", "Time a batch ran inside of the database", Unit::Seconds, run.clone());
        registry.register_with_unit(
            "lane_commit",
            "Time a batch took to commit and to travel",
            Unit::Seconds,
            commit.clone(),
        );
        let embedded = Family::<EmbeddedLabels, Counter>::default();
        let embedding = Histogram::new(exponential_buckets(0.001, 2.0, 17));
        registry.register("embedded_texts", "Texts that became vectors, by outcome", embedded.clone());
        registry.register_with_unit(
            "embedding",
            "Time a call waited for its vectors",
            Unit::Seconds,
            embedding.clone(),
        );
        let of = |lane| {
            let labels = LaneLabels { lane };
            OfKind {
                batch_calls: batch_calls.get_or_create_owned(&labels),
                wait: wait.get_or_create_owned(&labels),
                busy: busy.get_or_create_owned(&labels),
                run: run.get_or_create_owned(&labels),
                commit: commit.get_or_create_owned(&labels),
            }
        };
        Self { calls, embedded, embedding, write: of(LaneKind::Write), read: of(LaneKind::Read) }
    }

    fn of(&self, kind: Kind) -> &OfKind {
        match kind {
            Kind::Write => &self.write,
            Kind::Read => &self.read,
        }
    }

    pub fn called(&self, method: &'static str, outcome: &'static str) {
        self.calls.get_or_create(&CallLabels { method, outcome }).inc();
    }

    pub fn embedded(&self, texts: usize, time: Duration, is_ok: bool) {
        let outcome = if is_ok { "ok" } else { "failed" };
        self.embedded.get_or_create(&EmbeddedLabels { outcome }).inc_by(u64::try_from(texts).unwrap_or(u64::MAX));
        self.embedding.observe(time.as_secs_f64());
    }

    pub fn waited(&self, kind: Kind, time: Duration) {
        self.of(kind).wait.observe(time.as_secs_f64());
    }

    pub fn occupied(&self, kind: Kind, time: Duration) {
        self.of(kind).busy.inc_by(time.as_secs_f64());
    }

    pub fn ran(&self, kind: Kind, calls: usize, ran: Duration, round_trip: Duration) {
        let metrics = self.of(kind);
        metrics.batch_calls.observe(f64::from(u32::try_from(calls).unwrap_or(u32::MAX)));
        metrics.run.observe(ran.as_secs_f64());
        metrics.commit.observe(round_trip.saturating_sub(ran).as_secs_f64());
    }
}
