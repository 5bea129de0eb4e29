//! Metrics of the sweeper.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::methods::METHODS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Swept {
    pub method: &'static str,
}

pub(super) struct Metrics {
    pub leads: Gauge,
    pub rounds: Counter,
    pub failures: Counter,
    swept: Family<Swept, Counter>,
    pub busy: Counter<f64, AtomicU64>,
    pub unknown_payments: Gauge,
    pub oldest_unknown_payment: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            leads: Gauge::default(),
            rounds: Counter::default(),
            failures: Counter::default(),
            swept: Family::default(),
            busy: Counter::default(),
            unknown_payments: Gauge::default(),
            oldest_unknown_payment: Gauge::default(),
        };
        for entry in METHODS {
            metrics.swept(entry.spec.name, 0);
        }
        registry.register("sweeper_leads", "Whether this server is the one that sweeps", metrics.leads.clone());
        registry.register("sweeper_rounds", "Rounds of the sweeper", metrics.rounds.clone());
        registry.register("sweeper_failures", "Rounds and calls of the sweeper that failed", metrics.failures.clone());
        registry.register("sweeper_swept", "Rows that were written or deleted, by method", metrics.swept.clone());
        registry.register_with_unit("sweeper_busy", "Time that rounds took", Unit::Seconds, metrics.busy.clone());
        let about = "Payments of all payers whose outcome is not known";
        registry.register("payments_unknown", about, metrics.unknown_payments.clone());
        let about = "Age of the oldest payment whose outcome is not known";
        let oldest = metrics.oldest_unknown_payment.clone();
        registry.register_with_unit("payments_unknown", about, Unit::Seconds, oldest);
        metrics
    }

    /// Another server counts payments.
    pub fn forget_payments(&self) {
        self.unknown_payments.set(0);
        self.oldest_unknown_payment.set(0.0);
    }

    pub fn swept(&self, method: &'static str, count: u64) {
        self.swept.get_or_create(&Swept { method }).inc_by(count);
    }
}
