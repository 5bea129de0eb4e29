//! Owners of slugs. A visitor of a link has no token: the visit runs for the owner of the slug.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use moka::future::Cache;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::cache_metrics::CacheMetrics;
use super::look_ups::{LookUps, Source};
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

/// Number of slugs that calls of one payer reserved on this server, and that have no link: callers that hang up leave
/// them behind.
const UNLINKED_MAX: usize = 1_000;
/// How long they are counted: about as long as they stay reserved.
const UNLINKED_FOR: Duration = Duration::from_mins(10);

/// The result of a reservation.
pub enum Reserved {
    /// The slug was free.
    New(Reservation),
    /// The payer held the slug before.
    Already,
    /// Another payer holds the slug.
    Taken,
}

/// A slug that was free, and is reserved for a link that will be made.
pub struct Reservation {
    slug: Slug,
    payer: Payer,
    at: DateTime<Utc>,
    unlinked: Arc<AtomicUsize>,
}

impl Reservation {
    /// The slug is no longer without a link.
    pub fn keep(self) {
        self.unlinked.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The owners of slugs.
pub struct Slugs {
    database: Database,
    look_ups: LookUps<Payer>,
    owners: Cache<Slug, Payer>,
    /// Slugs without links, by payer.
    unlinked: Cache<Payer, Arc<AtomicUsize>>,
    metrics: CacheMetrics,
}

impl Slugs {
    /// Looks slugs up in `database`.
    #[must_use]
    pub(crate) fn new(database: Database, metrics: CacheMetrics) -> Self {
        let owners = Cache::builder().max_capacity(CACHED_MAX).time_to_live(CACHED_FOR).build();
        let look_ups = LookUps::start(Source {
            database: database.clone(),
            pool: Database::shared,
            statement: "select * from slug.owners($1)",
            read: owner_of,
            // The other connections are for reservations and the sweeper.
            statements_max: 1,
        });
        let unlinked = Cache::builder().max_capacity(CACHED_MAX).time_to_live(UNLINKED_FOR).build();
        Self { database, look_ups, owners, unlinked, metrics }
    }

    /// Reserves a slug for a payer.
    ///
    /// # Errors
    /// `database-unavailable`, and `overloaded` if too many slugs of the payer have no link.
    pub async fn reserve(&self, slug: &Slug, payer: &Payer) -> Result<Reserved, Problem> {
        let unlinked = self.unlinked.get_with_by_ref(payer, async { Arc::default() }).await;
        if unlinked.fetch_add(1, Ordering::Relaxed) >= UNLINKED_MAX {
            unlinked.fetch_sub(1, Ordering::Relaxed);
            because("too many slugs of the payer have no link");
            return Err(Problem::new(Code::Overloaded).detail(format!(
                "Nothing was changed: {UNLINKED_MAX} slugs that were reserved for this payer have no link. Try again in 10 minutes."
            )));
        }
        let (database, slug, payer) = (self.database.clone(), slug.clone(), payer.clone());
        let hold = async move {
            let reserved = hold(&database, slug, payer, Arc::clone(&unlinked)).await;
            if !matches!(reserved, Ok(Reserved::New(_))) {
                unlinked.fetch_sub(1, Ordering::Relaxed);
            }
            reserved
        };
        self.run(hold.boxed()).await
    }

    /// Renews the reservation of a slug, if the payer holds it.
    ///
    /// # Errors
    /// `database-unavailable`.
    pub async fn renew(&self, slug: &Slug, payer: &Payer) -> Result<(), Problem> {
        let (database, slug, payer) = (self.database.clone(), slug.clone(), payer.clone());
        let renew = async move {
            let renew = sqlx::query("select slug.renew($1, $2)").bind(slug.as_str()).bind(payer.as_str());
            let renew = async { renew.fetch_all(&mut *database.shared().acquire().await?).await };
            in_time(POOL_SILENCE_MAX, renew).await.map(drop)
        };
        self.run(renew.boxed()).await
    }

    /// Renews the reservations of the slugs of the links that the next turn of an erasure deletes.
    ///
    /// # Errors
    /// `database-unavailable`.
    pub async fn renew_for_erasure(&self, payer: &Payer) -> Result<(), Problem> {
        let (database, payer) = (self.database.clone(), payer.clone());
        let renew = async move {
            let renew = async {
                let mut connection = database.shared().acquire().await?;
                let slugs = sqlx::query_scalar("select rpc.slugs_to_erase($1)").bind(payer.as_str());
                let slugs: Vec<Vec<String>> = slugs.fetch_all(&mut *connection).await?;
                let renew = sqlx::query("select slug.renew_all($1, $2)").bind(slugs.concat()).bind(payer.as_str());
                renew.fetch_all(&mut *connection).await
            };
            in_time(POOL_SILENCE_MAX, renew).await.map(drop)
        };
        self.run(renew.boxed()).await
    }

    /// Frees a slug that was reserved for a link that was not made. If that fails, the sweeper frees it.
    pub async fn release(&self, reservation: Reservation) {
        let database = self.database.clone();
        let release = async move {
            let Reservation { slug, payer, at, .. } = &reservation;
            let release = sqlx::query("select slug.release($1, $2, $3)");
            let release = release.bind(slug.as_str()).bind(payer.as_str()).bind(at);
            let release = async { release.fetch_all(&mut *database.shared().acquire().await?).await };
            in_time(POOL_SILENCE_MAX, release).await?;
            reservation.keep();
            Ok(())
        };
        // The failure is logged.
        let _freed_later = self.run(release.boxed()).await;
    }

    /// Runs a statement in a task, so that a client that hangs up does not break its connection. The statement is boxed: it takes
    /// kilobytes, which every call would carry, and few calls reserve a slug.
    async fn run<T: Send + 'static>(&self, statement: BoxFuture<'static, sqlx::Result<T>>) -> Result<T, Problem> {
        let result = tokio::spawn(statement).await.map_err(|_panicked| Problem::new(Code::Internal))?;
        match result {
            Ok(result) => Ok(result),
            Err(error) => Err(self.failed(&error).await),
        }
    }

    /// Runs a visit for the owner of a slug. The owner is cached, and looked up again if the visit finds no link.
    ///
    /// # Errors
    /// `not-found` if the slug has no owner, `database-unavailable`, `overloaded`, and the problems of the visit.
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
        self.look_ups.find(slug.as_str()).await?.into_iter().next().ok_or_else(|| Problem::new(Code::NotFound))
    }

    async fn failed(&self, error: &sqlx::Error) -> Problem {
        because(format!("cannot use the slugs: {}", self.database.why(error).await));
        Problem::new(if is_exhausted(error) { Code::DatabaseExhausted } else { Code::DatabaseUnavailable })
    }
}

async fn hold(database: &Database, slug: Slug, payer: Payer, unlinked: Arc<AtomicUsize>) -> sqlx::Result<Reserved> {
    let hold = sqlx::query("select * from slug.hold($1, $2)").bind(slug.as_str()).bind(payer.as_str());
    let hold = async { hold.fetch_all(&mut *database.shared().acquire().await?).await };
    let rows = in_time(POOL_SILENCE_MAX, hold).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let (held, is_new): (bool, bool) = (row.try_get("held")?, row.try_get("is_new")?);
    Ok(match (held, is_new) {
        (true, true) => Reserved::New(Reservation { slug, payer, at: row.try_get("reserved_at")?, unlinked }),
        (true, false) => Reserved::Already,
        (false, _) => Reserved::Taken,
    })
}

fn owner_of(row: &PgRow) -> sqlx::Result<(String, Payer)> {
    let payer: String = row.try_get("payer")?;
    let payer = payer.parse().map_err(|error: crate::payer::NotAnAddress| sqlx::Error::Decode(error.into()))?;
    Ok((row.try_get("slug")?, payer))
}
