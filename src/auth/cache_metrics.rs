//! Metrics of the caches of tokens and slugs.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    cache: &'static str,
}

/// The look-ups of one cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct CacheMetrics {
    /// Look-ups, hits and misses.
    pub lookups: Counter,
    /// Look-ups that asked the database.
    pub misses: Counter,
}

/// Registers the metrics of the cache of tokens and of the cache of slugs.
pub(crate) fn register(registry: &mut Registry) -> [CacheMetrics; 2] {
    let (lookups, misses) = (Family::<Labels, Counter>::default(), Family::<Labels, Counter>::default());
    registry.register("cache_lookups", "Look-ups in a cache, hits and misses", lookups.clone());
    registry.register("cache_misses", "Look-ups in a cache that asked the database", misses.clone());
    ["tokens", "slugs"].map(|cache| CacheMetrics {
        lookups: lookups.get_or_create_owned(&Labels { cache }),
        misses: misses.get_or_create_owned(&Labels { cache }),
    })
}
