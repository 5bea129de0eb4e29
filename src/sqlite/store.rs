//! Databases in PostgreSQL: their versions and pages.

use std::sync::Arc;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::cache::SharedPage;
use super::limits::{PAGE_BYTES, SQL_DATABASE_BYTES_MAX};
use super::metrics::SqlMetrics;
use super::wire::Head;
use crate::db::{Database, POOL_SILENCE_MAX, in_time};
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// Pages of all whole databases that are being read, or that calls keep: eight of the largest.
const WHOLE_PAGES_MAX: usize = 8 * SQL_DATABASE_BYTES_MAX / PAGE_BYTES;

/// A page and the version that wrote it.
pub(super) type StoredPage = (u32, i64, SharedPage);

/// All pages of a version.
pub(super) struct Whole {
    pub head: Head,
    pub pages: Vec<StoredPage>,
    /// Their part of the memory for whole databases.
    pub held: OwnedSemaphorePermit,
}

/// The way to the tables.
pub(super) struct Store {
    database: Database,
    /// Statements that run at the same time: half of the connections are left for others.
    statements: Arc<Semaphore>,
    whole_pages: Arc<Semaphore>,
    metrics: SqlMetrics,
}

impl Store {
    pub fn new(database: Database, metrics: SqlMetrics) -> Self {
        let statements = Arc::new(Semaphore::new((database.slow().connections_max() / 2).max(1)));
        Self { database, statements, whole_pages: Arc::new(Semaphore::new(WHOLE_PAGES_MAX)), metrics }
    }

    /// The newest version, and the pages that were written after another one; `None` if that is not known as one before it.
    pub async fn head(&self, payer: &Payer, since: Option<Head>) -> Result<(Head, Option<Vec<u32>>), Problem> {
        let query = sqlx::query("select version, id, page_count, changed from rpc.sql_head($1, $2)");
        let rows = self.rows(query.bind(payer.as_str().to_owned()).bind(since.map(|since| since.id))).await?;
        let Some(row) = rows.first() else { return Ok((Head::default(), None)) };
        let read = || {
            let changed: Option<Vec<i32>> = row.try_get("changed")?;
            let changed = changed.map(|numbers| numbers.into_iter().filter_map(|number| u32::try_from(number).ok()));
            Ok((head(row)?, changed.map(Iterator::collect)))
        };
        read().map_err(unavailable)
    }

    /// Some pages, as they are now. No pages if PostgreSQL does not know `head`.
    pub async fn pages(&self, payer: &Payer, head: &Head, numbers: &[u32]) -> Result<Vec<StoredPage>, Problem> {
        let numbers: Vec<i32> = numbers.iter().filter_map(|number| i32::try_from(*number).ok()).collect();
        let query = sqlx::query("select page_no, version, data from rpc.sql_pages($1, $2, $3)");
        let rows = self.rows(query.bind(payer.as_str().to_owned()).bind(head.id).bind(numbers)).await?;
        self.metrics.read_pages(rows.len());
        rows.iter().map(page).collect::<sqlx::Result<_>>().map_err(unavailable)
    }

    /// All pages, and their version, in one statement: they fit together.
    ///   known  a version of the database, which tells its size
    pub async fn whole(&self, payer: &Payer, known: &Head) -> Result<Whole, Problem> {
        let held = places(&self.whole_pages, known.page_count.max(1)).await?;
        let query = sqlx::query("select version, id, page_count, page_no, page_version, data from rpc.sql_whole($1)");
        let (rows, held) = self.rows_with(query.bind(payer.as_str().to_owned()), held).await?;
        self.metrics.read_pages(rows.len());
        let read = || {
            let head = rows.first().map(head).transpose()?.unwrap_or_default();
            let pages = rows.iter().map(|row| numbered(row, "page_version"));
            Ok((head, pages.collect::<sqlx::Result<_>>()?))
        };
        let (head, pages) = read().map_err(unavailable)?;
        Ok(Whole { head, pages, held })
    }

    /// Puts pages aside for a commit. Returns whether there was room.
    pub async fn stage(&self, payer: &Payer, stage: Uuid, pages: &[(u32, SharedPage)]) -> Result<bool, Problem> {
        let numbers: Vec<i32> = pages.iter().filter_map(|(number, _page)| i32::try_from(*number).ok()).collect();
        let data: Vec<Vec<u8>> = pages.iter().map(|(_number, page)| page.to_vec()).collect();
        let query = sqlx::query("select rpc.sql_stage($1, $2, $3, $4) is_staged");
        let rows = self.rows(query.bind(payer.as_str().to_owned()).bind(stage).bind(numbers).bind(data)).await?;
        rows.first().map_or(Ok(false), |row| row.try_get("is_staged")).map_err(unavailable)
    }

    /// The id of the newest version, and the rows of tables of primitives at that moment, each as a JSON array. `None` if they
    /// have more than [`SQL_TABLES_BYTES_MAX`] or [`SQL_TABLES_ROWS_MAX`].
    pub async fn tables(&self, payer: &Payer, names: &[&str]) -> Result<Option<(Uuid, Vec<String>)>, Problem> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let query = sqlx::query("select id, tables from rpc.sql_tables($1, $2)");
        let rows = self.rows(query.bind(payer.as_str().to_owned()).bind(names)).await?;
        let read = || {
            let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            let (id, tables): (Option<Uuid>, Option<Vec<String>>) = (row.try_get("id")?, row.try_get("tables")?);
            Ok(tables.map(|tables| (id.unwrap_or_default(), tables)))
        };
        read().map_err(unavailable)
    }

    /// Deletes pages that were put aside. Those that stay are swept.
    pub async fn unstage(&self, payer: &Payer, stage: Uuid) {
        let query = sqlx::query("select rpc.sql_unstage($1, $2)");
        if let Err(problem) = self.rows(query.bind(payer.as_str().to_owned()).bind(stage)).await {
            because(format!("pages stay aside: {problem}"));
        }
    }

    async fn rows(&self, query: Query) -> Result<Vec<PgRow>, Problem> {
        Ok(self.rows_with(query, ()).await?.0)
    }

    /// Runs a statement in a task of its own: a caller that hangs up does not break the connection.
    ///   held  its part of a limit, which is returned with the rows
    async fn rows_with<H: Send + 'static>(&self, query: Query, held: H) -> Result<(Vec<PgRow>, H), Problem> {
        let database = self.database.clone();
        let place = places(&self.statements, 1).await?;
        let task = tokio::spawn(async move {
            let _place = place;
            let rows = async { query.fetch_all(&mut *database.slow().acquire().await?).await };
            (in_time(POOL_SILENCE_MAX, rows).await, held)
        });
        match task.await {
            Ok((rows, held)) => Ok((rows.map_err(unavailable)?, held)),
            Err(_stopped) => Err(Problem::new(Code::DatabaseUnavailable)),
        }
    }
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

async fn places(of: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, Problem> {
    let places = tokio::time::timeout(POOL_SILENCE_MAX, Arc::clone(of).acquire_many_owned(count)).await;
    places.ok().and_then(Result::ok).ok_or_else(|| {
        because("too many calls read databases of SQL");
        Problem::new(Code::Overloaded)
    })
}

fn head(row: &PgRow) -> sqlx::Result<Head> {
    let page_count: i32 = row.try_get("page_count")?;
    let page_count = u32::try_from(page_count).unwrap_or_default();
    Ok(Head { version: row.try_get("version")?, id: row.try_get("id")?, page_count })
}

fn page(row: &PgRow) -> sqlx::Result<StoredPage> {
    numbered(row, "version")
}

fn numbered(row: &PgRow, version: &str) -> sqlx::Result<StoredPage> {
    let number: i32 = row.try_get("page_no")?;
    let data: &[u8] = row.try_get("data")?;
    let page = data.first_chunk::<PAGE_BYTES>().filter(|_| data.len() == PAGE_BYTES);
    let page = page.ok_or_else(|| sqlx::Error::Decode("a page has another size".into()))?;
    Ok((u32::try_from(number).unwrap_or_default(), row.try_get(version)?, Arc::new(*page)))
}

fn unavailable(error: sqlx::Error) -> Problem {
    because(format!("cannot read a database of SQL: {error}"));
    Problem::new(Code::DatabaseUnavailable)
}
