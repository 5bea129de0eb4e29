//! Metrics of payments.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::record::State;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// The metrics of payments.
pub(super) struct Metrics {
    steps: Family<StateLabels, Counter>,
    settlement: Histogram,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let (steps, settlement) = (Family::default(), Histogram::new(exponential_buckets(0.01, 2.0, 13)));
        let about = "Settlements of payments, and questions to their networks, by the state of the payment after it";
        registry.register("payment_steps", about, steps.clone());
        let about = "Time that facilitators took to answer a settlement";
        registry.register_with_unit("payment_settlement", about, Unit::Seconds, settlement.clone());
        let metrics = Self { steps, settlement };
        for state in State::ALL {
            metrics.steps_to(state);
        }
        metrics
    }

    /// A step after which a payment has a state.
    pub fn step(&self, state: State) {
        self.steps_to(state).inc();
    }

    fn steps_to(&self, state: State) -> Counter {
        self.steps.get_or_create_owned(&StateLabels { state: state.as_str() })
    }

    pub fn settlement(&self, took: Duration) {
        self.settlement.observe(took.as_secs_f64());
    }
}
