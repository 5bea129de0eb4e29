//! Metrics of the lanes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::access::{Access, Load};
use super::inbox::Inbox;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    /// `write` or `read`, `heavy_write` or `heavy_read`.
    lane: &'static str,
}

/// The metrics of one kind of lane.
#[derive(Clone)]
pub(super) struct LaneMetrics {
    batch_calls: Histogram,
    wait: Histogram,
    busy: Counter<f64, AtomicU64>,
    run: Histogram,
    commit: Histogram,
}

/// The metrics of all lanes.
pub(super) struct Metrics {
    write: LaneMetrics,
    read: LaneMetrics,
    heavy_write: LaneMetrics,
    heavy_read: LaneMetrics,
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
        let of = |lane| {
            let labels = LaneLabels { lane };
            LaneMetrics {
                batch_calls: batch_calls.get_or_create_owned(&labels),
                wait: wait.get_or_create_owned(&labels),
                busy: busy.get_or_create_owned(&labels),
                run: run.get_or_create_owned(&labels),
                commit: commit.get_or_create_owned(&labels),
            }
        };
        Self { write: of("write"), read: of("read"), heavy_write: of("heavy_write"), heavy_read: of("heavy_read") }
    }

    /// The metrics of the lanes for light or for heavy calls.
    pub fn of(&self, access: Access, load: Load) -> &LaneMetrics {
        match (access, load) {
            (Access::Write, Load::Light) => &self.write,
            (Access::Read, Load::Light) => &self.read,
            (Access::Write, Load::Heavy) => &self.heavy_write,
            (Access::Read, Load::Heavy) => &self.heavy_read,
        }
    }
}

impl LaneMetrics {
    pub fn waited(&self, time: Duration) {
        self.wait.observe(time.as_secs_f64());
    }

    pub fn occupied(&self, time: Duration) {
        self.busy.inc_by(time.as_secs_f64());
    }

    pub fn ran(&self, calls: usize, ran: Duration, round_trip: Duration) {
        self.batch_calls.observe(f64::from(u32::try_from(calls).unwrap_or(u32::MAX)));
        self.run.observe(ran.as_secs_f64());
        self.commit.observe(round_trip.saturating_sub(ran).as_secs_f64());
    }
}

/// The calls that wait for their lanes, counted when somebody asks.
pub(super) struct Inboxes {
    pub write: Vec<Arc<Inbox>>,
    pub read: Vec<Arc<Inbox>>,
}

impl std::fmt::Debug for Inboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} for writes, {} for reads", self.write.len(), self.read.len())
    }
}

impl Collector for Inboxes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let kinds = [
            ("write", &self.write, Load::Light),
            ("read", &self.read, Load::Light),
            ("heavy_write", &self.write, Load::Heavy),
            ("heavy_read", &self.read, Load::Heavy),
        ];
        let gauge = MetricType::Gauge;
        let mut lanes = encoder.encode_descriptor("lanes", "Lanes, each with one connection", None, gauge)?;
        for (kind, inboxes, _) in kinds {
            ConstGauge::new(inboxes.len()).encode(lanes.encode_family(&[("lane", kind)])?)?;
        }
        let mut queued = encoder.encode_descriptor("lane_queued", "Calls that wait for their lane", None, gauge)?;
        for (kind, inboxes, load) in kinds {
            let calls: usize = inboxes.iter().map(|inbox| inbox.len(load)).sum();
            ConstGauge::new(calls).encode(queued.encode_family(&[("lane", kind)])?)?;
        }
        Ok(())
    }
}
