//! Walks: each goes over one kind of row, in stretches, and remembers its position.

use std::time::Duration;

use crate::db::{Database, POOL_SILENCE_MAX, in_time};

/// A kind of row that the sweeper walks over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sweepable {
    Queues,
    Jobs,
    Locks,
    Idempotency,
    Links,
    Slugs,
    Memories,
    Credit,
    Payments,
    Sql,
    Graphs,
    Words,
}

impl Sweepable {
    /// The name of the kind in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queues => "queues",
            Self::Jobs => "jobs",
            Self::Locks => "locks",
            Self::Idempotency => "idempotency",
            Self::Links => "links",
            Self::Slugs => "slugs",
            Self::Memories => "memories",
            Self::Credit => "credit",
            Self::Payments => "payments",
            Self::Sql => "sql",
            Self::Graphs => "graphs",
            Self::Words => "words",
        }
    }
}

/// The kinds that a round sweeps. Graphs grow and words are made again between the rounds.
pub(super) const SWEPT_IN_ROUNDS: [Sweepable; 10] = [
    Sweepable::Queues,
    Sweepable::Jobs,
    Sweepable::Locks,
    Sweepable::Idempotency,
    Sweepable::Links,
    Sweepable::Slugs,
    Sweepable::Memories,
    Sweepable::Credit,
    Sweepable::Payments,
    Sweepable::Sql,
];

/// A row of a stretch, or the last row of it.
pub(super) struct Row {
    pub payer: String,
    pub key: String,
    pub is_due: bool,
}

/// A walk over one kind.
pub(super) struct Walk {
    pub kind: Sweepable,
    /// The payer and the key of the last row.
    after: (String, String),
}

impl Walk {
    /// Starts before the first row.
    pub fn over(kind: Sweepable) -> Self {
        Self { kind, after: Default::default() }
    }

    /// The next stretch: its due rows, and at least its last row. Empty at the end.
    pub async fn stretch(&self, database: &Database, clicks_kept: Duration) -> sqlx::Result<Vec<Row>> {
        let find = match self.kind {
            Sweepable::Queues => "select payer, key, due from sweep.queues($1, $2, $3)",
            Sweepable::Jobs => "select payer, key, due from sweep.jobs($1, $2, $3)",
            Sweepable::Locks => "select payer, key, due from sweep.locks($1, $2, $3)",
            Sweepable::Idempotency => "select payer, key, due from sweep.idempotency($1, $2, $3)",
            Sweepable::Links => "select payer, key, due from sweep.links($1, $2, $3)",
            Sweepable::Slugs => "select payer, key, due from sweep.slugs($1, $2, $3)",
            Sweepable::Memories => "select payer, key, due from sweep.memories($1, $2, $3)",
            Sweepable::Credit => "select payer, key, due from sweep.credit($1, $2, $3)",
            Sweepable::Payments => "select payer, key, due from sweep.payments($1, $2, $3)",
            Sweepable::Sql => "select payer, key, due from sweep.sql($1, $2, $3)",
            Sweepable::Graphs => "select payer, key, due from sweep.graphs($1, $2, $3)",
            Sweepable::Words => "select payer, key, due from sweep.rewording($1, $2, $3)",
        };
        let (payer, key) = &self.after;
        let query = sqlx::query_as(find).bind(payer).bind(key).bind(millis(clicks_kept));
        let rows = async { query.fetch_all(&mut *database.shared().acquire().await?).await };
        let rows: Vec<(String, String, bool)> = in_time(POOL_SILENCE_MAX, rows).await?;
        Ok(rows.into_iter().map(|(payer, key, is_due)| Row { payer, key, is_due }).collect())
    }

    /// The next stretch starts after this row.
    pub fn pass(&mut self, row: Row) {
        self.after = (row.payer, row.key);
    }

    /// The next stretch starts before the first row.
    pub fn restart(&mut self) {
        self.after = Default::default();
    }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
