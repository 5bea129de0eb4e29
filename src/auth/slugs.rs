//! Owners of slugs. A visitor of a link has no token: the visit runs for the owner of the slug.

use std::time::Duration;

use moka::future::Cache;

use super::cache_metrics::CacheMetrics;
use super::proof::Proof;
use crate::db::{Database, POOL_SILENCE_MAX, in_time, is_exhausted};
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::slug::Slug;
use crate::telemetry::because;

/// Number of cached owners.
const CACHED_MAX: u64 = 100_000;
/// How long an owner is cached. A slug that changed its owner is detected when the link of the cached owner is not found.
const CACHED_FOR: Duration = Duration::from_secs(60);

/// The owners of slugs.
pub struct Slugs {
    database: Database,
    owners: Cache<Slug, Payer>,
    metrics: CacheMetrics,
}

impl Slugs {
    /// Looks slugs up in `database`.
    #[must_use]
    pub(crate) fn new(database: Database, metrics: CacheMetrics) -> Self {
        let owners = Cache::builder().max_capacity(CACHED_MAX).time_to_live(CACHED_FOR).build();
        Self { database, owners, metrics }
    }

    /// Reserves a slug for a payer. `false` if it belongs to another payer.
    ///
    /// # Errors
    /// `database-unavailable`.
    pub async fn reserve(&self, slug: &Slug, payer: &Payer) -> Result<bool, Problem> {
        let reserve = sqlx::query_scalar("select slug.reserve($1, $2)").bind(slug.as_str()).bind(payer.as_str());
        let reserve = async { reserve.fetch_all(&mut *self.database.shared().acquire().await?).await };
        let reserved: sqlx::Result<Vec<bool>> = in_time(POOL_SILENCE_MAX, reserve).await;
        match reserved {
            Ok(reserved) => Ok(reserved == [true]),
            Err(error) => Err(self.failed(&error).await),
        }
    }

    /// Runs a visit for the owner of a slug. The owner is cached, and looked up again if the visit finds no link.
    ///
    /// # Errors
    /// `not-found` if the slug has no owner, `database-unavailable`, and the problems of the visit.
    pub async fn visit<T>(&self, slug: &Slug, visit: impl AsyncFn(Proof) -> Result<T, Problem>) -> Result<T, Problem> {
        self.metrics.lookups.inc();
        if let Some(owner) = self.owners.get(slug).await {
            let visited = visit(Proof::of_visitor(owner)).await;
            if visited.as_ref().err().is_none_or(|problem| problem.code() != Code::NotFound) {
                return visited;
            }
            self.owners.invalidate(slug).await;
        }
        self.metrics.misses.inc();
        let owner = self.owner(slug).await?;
        let visited = visit(Proof::of_visitor(owner.clone())).await;
        if visited.is_ok() {
            self.owners.insert(slug.clone(), owner).await;
        }
        visited
    }

    async fn owner(&self, slug: &Slug) -> Result<Payer, Problem> {
        let owner = sqlx::query_scalar("select slug.owner($1)").bind(slug.as_str());
        let owner = async { owner.fetch_all(&mut *self.database.shared().acquire().await?).await };
        let owner: sqlx::Result<Vec<Option<String>>> = in_time(POOL_SILENCE_MAX, owner).await;
        let owner = match owner {
            Ok(owner) => owner.into_iter().next().flatten(),
            Err(error) => return Err(self.failed(&error).await),
        };
        owner.and_then(|owner| owner.parse().ok()).ok_or_else(|| Problem::new(Code::NotFound))
    }

    async fn failed(&self, error: &sqlx::Error) -> Problem {
        because(format!("cannot use the slugs: {}", self.database.why(error).await));
        Problem::new(if is_exhausted(error) { Code::DatabaseExhausted } else { Code::DatabaseUnavailable })
    }
}
