//! Whose link it is: the one way in for people who prove nothing. They may follow the link, at its payer's cost.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::payer::Payer;
use super::tenant::Tenant;
use crate::db::Database;
use crate::problem::{Code, Problem};
use crate::turn::{Answer, Method, Request, Turns};

/// How many owners are remembered.
const CACHED_MAX: u64 = 100_000;
/// For how long. A slug that has another payer since is found out when the link is not there.
const CACHED_FOR: Duration = Duration::from_secs(60);

/// The payers of slugs.
pub struct Slugs {
    database: Database,
    turns: Arc<Turns>,
    known: Cache<String, Payer>,
}

impl Slugs {
    /// Looked up in `database`; what visitors do runs in `turns`.
    #[must_use]
    pub fn new(database: Database, turns: Arc<Turns>) -> Self {
        let known = Cache::builder().max_capacity(CACHED_MAX).time_to_live(CACHED_FOR).build();
        Self { database, turns, known }
    }

    /// The short URL of a slug.
    #[must_use]
    pub fn short_url(&self, slug: &str) -> String {
        self.turns.site().short_url(slug)
    }

    /// Runs what a visitor of a slug may do, for its payer.
    ///
    /// # Errors
    /// `not-found` for a slug that nobody has, and what the method answers.
    pub async fn visit<M: Method + Clone>(&self, slug: &str, call: &Request<M>) -> Result<Answer<M::Output>, Problem> {
        if let Some(owner) = self.known.get(slug).await {
            let answer = self.visit_of(owner, call).await;
            if answer.as_ref().err().is_none_or(|problem| problem.code() != Code::NotFound) {
                return answer;
            }
            self.known.invalidate(slug).await;
        }
        let owner = self.owner(slug).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
        let answer = self.visit_of(owner.clone(), call).await;
        if answer.is_ok() {
            self.known.insert(slug.to_owned(), owner).await;
        }
        answer
    }

    async fn visit_of<M: Method + Clone>(&self, owner: Payer, call: &Request<M>) -> Result<Answer<M::Output>, Problem> {
        Tenant::of_nobody(owner, Arc::clone(&self.turns)).call(call.clone()).await
    }

    async fn owner(&self, slug: &str) -> Result<Option<Payer>, Problem> {
        let owner = self.database.slug_owner(slug).await.map_err(|error| {
            tracing::warn!(%error, "cannot look up a slug");
            Problem::new(Code::DatabaseUnavailable)
        })?;
        Ok(owner.and_then(|owner| owner.parse().ok()))
    }
}
