//! Pools of connections that count who waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;

/// A pool of connections.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    name: &'static str,
    inner: PgPool,
    waiting: Arc<AtomicU32>,
}

/// A task that waits for a connection.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(name: &'static str, inner: PgPool) -> Self {
        Self { name, inner, waiting: Arc::default() }
    }

    /// A connection, as soon as one is free.
    ///
    /// # Errors
    /// If none becomes free, or can be opened, in time.
    #[expect(clippy::disallowed_methods, reason = "this is the way to the pools")]
    pub async fn acquire(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        self.inner.acquire().await
    }

    /// Maximum number of connections.
    pub fn connections_max(&self) -> usize {
        usize::try_from(self.inner.options().get_max_connections()).unwrap_or(usize::MAX)
    }

    pub(super) fn inner(&self) -> &PgPool {
        &self.inner
    }
}

/// The metrics of pools, read when they are asked for.
#[derive(Debug)]
pub(super) struct PoolMetrics(pub [Pool; 4]);

impl Collector for PoolMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = MetricType::Gauge;
        let mut family =
            encoder.encode_descriptor("pool_connections", "Connections of a pool by state", None, gauge)?;
        for Pool { name, inner, .. } in &self.0 {
            let idle = u32::try_from(inner.num_idle()).unwrap_or(u32::MAX);
            for (state, count) in [("idle", idle), ("used", inner.size().saturating_sub(idle))] {
                let labels = [("pool", *name), ("state", state)];
                ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "pool_connections_max",
            "Maximum number of connections of a pool",
            None,
            gauge,
        )?;
        for Pool { name, inner, .. } in &self.0 {
            let max = inner.options().get_max_connections();
            ConstGauge::new(max).encode(family.encode_family(&[("pool", *name)])?)?;
        }
        let mut family =
            encoder.encode_descriptor("pool_waiting", "Tasks that wait for a connection of a pool", None, gauge)?;
        for Pool { name, waiting, .. } in &self.0 {
            let waiting = waiting.load(Ordering::Relaxed);
            ConstGauge::new(waiting).encode(family.encode_family(&[("pool", *name)])?)?;
        }
        Ok(())
    }
}
