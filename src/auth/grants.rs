//! Look-ups of grants: the rights that a payer has given to another one.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::look_ups::{LookUps, Source};
use super::tokens::TokenRights;
use crate::db::Database;
use crate::payer::Payer;
use crate::problem::Problem;

/// How long the grants of a pair of payers are used without a look: a grant that was made or revoked is known after it.
const FRESH: Duration = Duration::from_secs(2);
/// Pairs of payers in memory.
const CACHED_MAX: u64 = 10_000;
/// Statements that look grants up at the same time.
const STATEMENTS_MAX: usize = 1;

/// Rights that a payer has given to another one.
#[derive(Debug)]
pub struct Grant {
    /// The rights.
    pub rights: TokenRights,
    /// Whether the grantee pays for its calls.
    pub grantee_pays: bool,
}

/// Looks grants up.
pub struct Grants {
    look_ups: LookUps<Arc<Grant>>,
    /// By payer and grantee, with a space between.
    known: Cache<String, Arc<[Arc<Grant>]>>,
}

impl Grants {
    /// Looks grants up in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let look_ups = LookUps::start(Source {
            database,
            pool: Database::auth,
            statement: "select * from auth.tokens_granted($1)",
            read: read_grant,
            statements_max: STATEMENTS_MAX,
        });
        Self { look_ups, known: Cache::builder().max_capacity(CACHED_MAX).time_to_live(FRESH).build() }
    }

    /// The valid grants of a payer to a grantee, the oldest first.
    ///
    /// # Errors
    /// `overloaded`, `database-unavailable`
    pub(super) async fn of(&self, payer: &Payer, grantee: &Payer) -> Result<Arc<[Arc<Grant>]>, Problem> {
        let key = format!("{payer} {grantee}");
        let look_up = async { self.look_ups.find(&key).await.map(Arc::from) };
        let grants = self.known.try_get_with_by_ref(&key, look_up).await;
        let grants: Arc<[Arc<Grant>]> = grants.map_err(|problem| Problem::clone(&problem))?;
        Ok(grants.iter().filter(|grant| grant.rights.is_valid()).cloned().collect())
    }
}

fn read_grant(row: &PgRow) -> sqlx::Result<(String, Arc<Grant>)> {
    let grant = Grant { rights: TokenRights::read(row)?, grantee_pays: row.try_get("grantee_pays")? };
    Ok((row.try_get("key")?, Arc::new(grant)))
}
