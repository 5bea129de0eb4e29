//! Everything that calls go through in this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;

use super::method::Entry;
use super::metrics::Metrics;
use super::outside::Outside;
use crate::aside::Aside;
use crate::auth::{DatabaseKeys, Refusals, Slugs};
use crate::budget::Budget;
use crate::db::Database;
use crate::embeddings::Embeddings;
use crate::pay::{Meter, Prices};
use crate::payer_limit::PayerLimit;
use crate::payments::Payments;
use crate::quotas::{FullPayers, Quotas, Written};
use crate::site::Site;
use crate::sqlite::Databases;
use crate::turn::Turns;
use crate::waiting::Waiters;

/// Bytes of memory for large requests.
const REQUESTS_BYTES_MAX: usize = 64 << 20;
/// Bytes of memory for large requests of one payer.
const REQUESTS_PAYER_SHARE: usize = 16 << 20;

/// Settings of calls.
#[derive(Clone)]
pub struct CallSettings {
    /// How often the first waiter of each line polls.
    pub poll_interval: Duration,
    /// The text search configuration for texts, in addition to `simple`.
    pub language: String,
    /// The model that makes vectors of texts.
    pub embeddings: Option<Arc<Embeddings>>,
    /// What calls cost.
    pub prices: Arc<Prices>,
    /// How much each payer may have.
    pub quotas: Quotas,
    /// This program, which is also the worker of SQL.
    pub sql_program: PathBuf,
}

/// What calls use.
pub struct Services {
    /// The way to the database.
    pub turns: Arc<Turns>,
    /// Slugs, which payers share.
    pub slugs: Arc<Slugs>,
    /// Payments of callers.
    pub payments: Arc<Payments>,
    /// The key of the database.
    pub keys: Arc<DatabaseKeys>,
    /// The database, for the meter of reads.
    pub database: Database,
}

/// Everything that calls go through in this process.
pub struct Engine {
    pub(super) turns: Arc<Turns>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) outside: Outside,
    pub(super) methods: &'static [Entry],
    pub(super) site: Site,
    pub(super) language: String,
    pub(super) metrics: Arc<Metrics>,
    pub(super) prices: Arc<Prices>,
    pub(super) meter: Meter,
    pub(super) written: Written,
    pub(super) full: FullPayers,
    pub(super) refusals: Arc<Refusals>,
    pub(super) payments: Arc<Payments>,
    pub(super) keys: Arc<DatabaseKeys>,
    pub(super) sql: Arc<Databases>,
    aside: Aside,
    requests: Arc<Budget>,
}

impl Engine {
    /// Calls of `methods` run in `turns`.
    #[must_use]
    pub fn new(
        services: Services,
        methods: &'static [Entry],
        site: Site,
        settings: CallSettings,
        registry: &mut Registry,
    ) -> Self {
        let Services { turns, slugs, payments, keys, database } = services;
        let metrics = Arc::new(Metrics::register(registry));
        let outside = Outside {
            embeddings: settings.embeddings,
            slugs,
            embedding_limit: PayerLimit::default(),
            metrics: Arc::clone(&metrics),
        };
        let (aside, requests) = (Aside::new(), Budget::new(REQUESTS_BYTES_MAX, REQUESTS_PAYER_SHARE));
        let waiters = Arc::new(Waiters::new(settings.poll_interval, registry));
        let CallSettings { language, prices, quotas, sql_program, .. } = settings;
        let sql = Arc::new(Databases::new(database.clone(), sql_program, registry));
        let meter = Meter::start(database, Arc::clone(&prices));
        Self {
            turns,
            waiters,
            outside,
            methods,
            site,
            language,
            metrics,
            prices,
            meter,
            written: Written::new(quotas),
            full: FullPayers::default(),
            refusals: Arc::default(),
            payments,
            keys,
            sql,
            aside,
            requests,
        }
    }

    /// The public address of this server.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The threads for large requests and answers.
    pub(crate) fn aside(&self) -> &Aside {
        &self.aside
    }

    /// The budget of memory for large requests.
    pub(crate) fn requests(&self) -> &Arc<Budget> {
        &self.requests
    }

    /// The payments of callers.
    pub(crate) fn payments(&self) -> &Arc<Payments> {
        &self.payments
    }

    /// What this server has written since it last noted it.
    pub(crate) fn written(&self) -> &Written {
        &self.written
    }

    /// The payers that have as much of a primitive as they may have.
    pub(crate) fn full(&self) -> &FullPayers {
        &self.full
    }

    /// The calls that this server has refused.
    pub(crate) fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// The waiting calls of this process.
    pub(crate) fn waiters(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    /// Ends all waiting, now and later: the server stops.
    pub fn end_waiting(&self) {
        self.waiters.close();
    }

    /// Refuses new calls, and takes what reads have cost. The lanes end when their inboxes are empty.
    pub async fn close(&self) {
        self.turns.close();
        self.meter.close().await;
    }
}
