//! The sweeper: does what no call brings about. Leases that ran out, jobs and clicks and idempotency records that were kept
//! for long enough, locks that nobody uses, slugs without a link, memories that have ended; and vectors that go into the graph
//! of a large space.
//!
//! One server sweeps at a time (`sweep.lead`). It walks over what there is in stretches (`find.sql`), and for every payer
//! with something due it calls methods of its own, which run in turns like everybody's: in bites, so that no caller waits
//! for long. A round gives each kind a quarter of a second, and the next one goes on where it ended. Between two rounds
//! graphs grow, with pauses that are as long as the work.

pub mod limits;
mod methods;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use uuid::Uuid;

use crate::auth::Proof;
use crate::call::{Engine, Method, Request, Tenant};
use crate::db::Database;
use crate::payer::Payer;
pub(crate) use methods::METHODS;
use methods::{GrowGraph, SweepIdempotency, SweepJobs, SweepLinks, SweepLocks, SweepMemories, SweepQueues};

/// The functions that find work.
pub(crate) const SQL: &str = include_str!("find.sql");

/// How often a server sweeps, or looks whether it may.
pub const EVERY: Duration = Duration::from_secs(5);
/// After how many rounds another server leads instead of one that is not heard of any more.
const ROUNDS_MISSED_MAX: u32 = 4;
/// How long a round goes on looking for more, for each kind of thing.
const ROUND_MAX: Duration = Duration::from_millis(250);
/// Most bites of one payer in a round, so that no payer keeps the others waiting.
const BITES_MAX: usize = 20;
/// Vectors that go into a graph in one turn, each in a millisecond or more.
const GRAPH_BITE: u64 = 16;
/// What parts the model from the dimensions in the key of a space.
const KEY_PARTS: char = '\u{1}';

/// How to sweep.
#[derive(Clone, Copy, Debug)]
pub struct SweepSettings {
    /// The time between two rounds.
    pub every: Duration,
    /// For how long single clicks are kept.
    pub clicks_kept: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Swept {
    method: &'static str,
}

struct Metrics {
    leads: Gauge,
    rounds: Counter,
    failures: Counter,
    swept: Family<Swept, Counter>,
    busy: Counter<f64, AtomicU64>,
}

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            leads: Gauge::default(),
            rounds: Counter::default(),
            failures: Counter::default(),
            swept: Family::default(),
            busy: Counter::default(),
        };
        registry.register("sweeper_leads", "Whether this server is the one that sweeps", metrics.leads.clone());
        registry.register("sweeper_rounds", "Rounds of the sweeper", metrics.rounds.clone());
        registry.register("sweeper_failures", "Rounds and calls of the sweeper that failed", metrics.failures.clone());
        registry.register("sweeper_swept", "What was swept, by method", metrics.swept.clone());
        registry.register_with_unit("sweeper_busy", "Time that rounds took", Unit::Seconds, metrics.busy.clone());
        metrics
    }
}

/// What is walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Queues,
    Jobs,
    Locks,
    Idempotency,
    Links,
    Slugs,
    Memories,
    Graphs,
}

/// A walk over one kind of thing.
struct Walk {
    kind: Kind,
    /// The payer and the key of the last one that was looked at.
    after: (String, String),
}

/// The sweeper of one server.
pub struct Sweeper {
    database: Database,
    engine: Arc<Engine>,
    settings: SweepSettings,
    metrics: Metrics,
    holder: String,
    walks: [Walk; 7],
    graphs: Walk,
    leads: bool,
}

impl Sweeper {
    /// Finds what is due in `database`, and sweeps it through `engine`.
    #[must_use]
    pub fn new(database: Database, engine: Arc<Engine>, settings: SweepSettings, registry: &mut Registry) -> Self {
        let metrics = Metrics::register(registry);
        let kinds =
            [Kind::Queues, Kind::Jobs, Kind::Locks, Kind::Idempotency, Kind::Links, Kind::Slugs, Kind::Memories];
        let walk = |kind| Walk { kind, after: Default::default() };
        let (walks, graphs) = (kinds.map(walk), walk(Kind::Graphs));
        let holder = Uuid::now_v7().to_string();
        Self { database, engine, settings, metrics, holder, walks, graphs, leads: false }
    }

    /// Sweeps for as long as it is polled.
    pub async fn run(&mut self) {
        loop {
            tokio::time::sleep(self.settings.every).await;
            let started = Instant::now();
            if let Err(error) = self.round().await {
                self.metrics.failures.inc();
                tracing::warn!(%error, "a round of the sweeper failed");
            }
            self.metrics.busy.inc_by(started.elapsed().as_secs_f64());
            if self.leads
                && let Err(error) = self.grow(started + self.settings.every).await
            {
                self.metrics.failures.inc();
                tracing::warn!(%error, "the sweeper could not look for graphs");
            }
        }
    }

    /// Lets graphs grow until then, or until there is nothing to put in.
    async fn grow(&mut self, until: Instant) -> sqlx::Result<()> {
        let stretch = self.stretch(&self.graphs).await?;
        // The next time goes on behind what is looked at now, and begins anew behind the last one.
        self.graphs.after = Default::default();
        for (payer, key, is_due) in stretch {
            if is_due && let (Ok(payer), Some((model, dimensions))) = (payer.parse(), key.split_once(KEY_PARTS)) {
                let (model, dimensions) = (model.to_owned(), dimensions.parse().unwrap_or_default());
                let grow = GrowGraph { model, dimensions, bite: GRAPH_BITE };
                self.grow_one(&self.tenant(payer), &grow, until).await;
            }
            self.graphs.after = (payer, key);
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    async fn grow_one(&self, tenant: &Tenant, grow: &GrowGraph, until: Instant) {
        while Instant::now() < until {
            let started = Instant::now();
            match tenant.call(Request::of(grow.clone())).await.map(|answer| answer.output) {
                Ok(grown) => {
                    let method = <GrowGraph as Method>::SPEC.name;
                    self.metrics.swept.get_or_create(&Swept { method }).inc_by(grown);
                    if grown < GRAPH_BITE {
                        return;
                    }
                }
                Err(problem) => {
                    self.metrics.failures.inc();
                    tracing::warn!(%problem, "a graph could not grow");
                    return;
                }
            }
            tokio::time::sleep(started.elapsed()).await;
        }
    }

    /// Lets another server lead at once.
    pub async fn resign(&self) {
        if let Err(error) = self.leads_for(Duration::ZERO).await {
            tracing::debug!(%error, "the sweeper could not resign");
        }
    }

    async fn round(&mut self) -> sqlx::Result<()> {
        // A round, and what grows after it.
        let leads = self.leads_for((self.settings.every * 2 + ROUND_MAX * 7) * ROUNDS_MISSED_MAX).await;
        self.leads = matches!(leads, Ok(true));
        self.metrics.leads.set(i64::from(self.leads));
        if !leads? {
            return Ok(());
        }
        for place in 0..self.walks.len() {
            if let Err(error) = self.walk(place).await {
                self.metrics.failures.inc();
                let kind = self.walks.get(place).map(|walk| walk.kind);
                tracing::warn!(?kind, %error, "a walk of the sweeper failed; the others go on");
            }
        }
        self.metrics.rounds.inc();
        Ok(())
    }

    async fn leads_for(&self, time: Duration) -> sqlx::Result<bool> {
        let lead = sqlx::query_scalar("select sweep.lead($1, $2)").bind(&self.holder);
        let lead = lead.bind(i32::try_from(time.as_millis()).unwrap_or(i32::MAX));
        let leads: Vec<bool> = lead.fetch_all(self.database.shared_pool()).await?;
        Ok(leads == [true])
    }

    /// Goes on with a walk, for as long as a round may take: over and over, as long as there is something to sweep.
    async fn walk(&mut self, place: usize) -> sqlx::Result<()> {
        let until = Instant::now() + ROUND_MAX;
        let mut has_swept = false;
        while let Some(walk) = self.walks.get(place)
            && Instant::now() < until
        {
            let kind = walk.kind;
            let stretch = self.stretch(walk).await?;
            let is_over = stretch.is_empty();
            let mut after = Default::default();
            for (payer, key, is_due) in stretch {
                if is_due {
                    has_swept |= match kind {
                        Kind::Queues => self.sweep(&payer, &SweepQueues {}).await,
                        Kind::Jobs => self.sweep(&payer, &SweepJobs {}).await,
                        Kind::Locks => self.sweep(&payer, &SweepLocks {}).await,
                        Kind::Idempotency => self.sweep(&payer, &SweepIdempotency {}).await,
                        Kind::Links => {
                            let (slug, keep_ms) = (key.clone(), self.keep_ms());
                            self.sweep(&payer, &SweepLinks { slug, keep_ms }).await
                        }
                        Kind::Slugs => self.free(&payer, &key).await?,
                        Kind::Memories => self.sweep(&payer, &SweepMemories {}).await,
                        // They grow between the rounds.
                        Kind::Graphs => false,
                    };
                }
                after = (payer, key);
                if Instant::now() >= until {
                    break;
                }
            }
            if let Some(walk) = self.walks.get_mut(place) {
                walk.after = after;
            }
            if is_over && !std::mem::take(&mut has_swept) {
                break;
            }
        }
        Ok(())
    }

    fn tenant(&self, payer: Payer) -> Tenant {
        Tenant::new(Proof::of_sweeper(payer), Arc::clone(&self.engine))
    }

    fn keep_ms(&self) -> i64 {
        i64::try_from(self.settings.clicks_kept.as_millis()).unwrap_or(i64::MAX)
    }

    /// The next ones of a walk: payer, key, and whether something is due.
    async fn stretch(&self, walk: &Walk) -> sqlx::Result<Vec<(String, String, bool)>> {
        let find = match walk.kind {
            Kind::Queues => "select payer, key, due from sweep.queues($1, $2, $3)",
            Kind::Jobs => "select payer, key, due from sweep.jobs($1, $2, $3)",
            Kind::Locks => "select payer, key, due from sweep.locks($1, $2, $3)",
            Kind::Idempotency => "select payer, key, due from sweep.idempotency($1, $2, $3)",
            Kind::Links => "select payer, key, due from sweep.links($1, $2, $3)",
            Kind::Slugs => "select payer, key, due from sweep.slugs($1, $2, $3)",
            Kind::Memories => "select payer, key, due from sweep.memories($1, $2, $3)",
            Kind::Graphs => "select payer, key, due from sweep.graphs($1, $2, $3)",
        };
        let (payer, key) = &walk.after;
        sqlx::query_as(find).bind(payer).bind(key).bind(self.keep_ms()).fetch_all(self.database.shared_pool()).await
    }

    /// Sweeps for one payer, bite by bite. Answers whether there was something.
    async fn sweep<M: Method<Output = u64> + Clone>(&self, payer: &str, method: &M) -> bool {
        let Ok(payer) = payer.parse() else { return false };
        let tenant = self.tenant(payer);
        for bite in 0..BITES_MAX {
            let request = Request::of(method.clone());
            match tenant.call(request).await.map(|answer| answer.output) {
                Ok(0) => return bite > 0,
                Ok(swept) => {
                    self.metrics.swept.get_or_create(&Swept { method: M::SPEC.name }).inc_by(swept);
                }
                Err(problem) => {
                    self.metrics.failures.inc();
                    tracing::warn!(method = M::SPEC.name, %problem, "the sweeper could not sweep");
                    return false;
                }
            }
        }
        true
    }

    /// Frees a slug of which no link came. Answers whether it is free.
    async fn free(&self, payer: &str, slug: &str) -> sqlx::Result<bool> {
        let free = sqlx::query_scalar("select slug.free($1, $2)").bind(slug).bind(payer);
        let freed: Vec<bool> = free.fetch_all(self.database.shared_pool()).await?;
        self.metrics.swept.get_or_create(&Swept { method: "freeSlug" }).inc_by(u64::from(freed == [true]));
        Ok(freed == [true])
    }
}
