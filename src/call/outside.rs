//! Work outside of the turn: texts become vectors, slugs are reserved. Nothing of it holds the payer's lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::metrics::Metrics;
use super::needs::{Embedded, NeededSlug, NeededVector, Needs};
use super::plan::Position;
use crate::auth::{Reservation, Reserved, Slugs};
use crate::embeddings::Embeddings;
use crate::payer::Payer;
use crate::payer_limit::PayerLimit;
use crate::problem::{Code, Problem};
use crate::slug::Slug;
use crate::telemetry::because;
use crate::vector::Vector;

/// Time limit for the vectors of a call. Then it is answered with 503; it has not begun and never runs.
pub const EMBEDDING_TIMEOUT: Duration = Duration::from_secs(60);

/// Services that provide the needs of calls.
pub(super) struct Outside {
    pub embeddings: Option<Arc<Embeddings>>,
    pub slugs: Arc<Slugs>,
    pub embedding_limit: PayerLimit,
    pub metrics: Arc<Metrics>,
}

impl Outside {
    /// Makes what the steps of a plan need. Adds the slugs that it reserves to `reserved`, also if it fails.
    pub async fn provide(
        &self,
        payer: &Payer,
        caller: &Payer,
        needs: Vec<(Position, Needs<'_>)>,
        reserved: &mut Vec<Reservation>,
    ) -> Result<(), Problem> {
        let mut vectors = Vec::new();
        let mut slugs = Vec::new();
        for (position, needs) in needs {
            vectors.extend(needs.vectors.into_iter().map(|vector| (position, vector)));
            slugs.extend(needs.slug.map(|slug| (position, slug)));
        }
        self.embed(caller, vectors).await?;
        for (position, slug) in slugs {
            let reservation = self.reserve(payer, slug).await.map_err(|problem| position.of_step(problem))?;
            reserved.extend(reservation);
        }
        Ok(())
    }

    /// Embeds all texts of a plan at once. A failure is a problem of the first step with a text.
    async fn embed(&self, payer: &Payer, needed: Vec<(Position, NeededVector<'_>)>) -> Result<(), Problem> {
        let Some((embeddings, (position, _))) = self.embeddings.as_ref().zip(needed.first()) else {
            return Ok(());
        };
        let position = *position;
        let texts: Vec<&str> = needed.iter().map(|(_, vector)| vector.text).collect();
        let started = Instant::now();
        let vectors = self.vectors(embeddings, payer, &texts).await;
        self.metrics.embedded(texts.len(), started.elapsed(), vectors.is_ok());
        let vectors = vectors.map_err(|problem| position.of_step(problem))?;
        for ((_, needed), vector) in needed.into_iter().zip(vectors) {
            (needed.put)(Embedded { vector, model: embeddings.model().clone() });
        }
        Ok(())
    }

    async fn vectors(&self, embeddings: &Embeddings, payer: &Payer, texts: &[&str]) -> Result<Vec<Vector>, Problem> {
        let permit = self.embedding_limit.admit(payer).map_err(|_too_many| {
            because("too many texts of one payer wait to be embedded");
            Problem::new(Code::Overloaded)
        })?;
        let vectors = async {
            let _running = permit.ready().await;
            embeddings.embed(payer, texts).await
        };
        match tokio::time::timeout(EMBEDDING_TIMEOUT, vectors).await {
            Ok(vectors) => vectors,
            Err(_elapsed) => {
                because("the texts did not become vectors in time");
                Err(Problem::new(Code::Overloaded).detail(
                    "Nothing was changed: the texts did not become vectors within a minute. Try again later, or with fewer and shorter texts.",
                ))
            }
        }
    }

    /// Reserves a slug, and answers the reservation if it is new. A generated slug that belongs to another payer is replaced
    /// by another one.
    async fn reserve(&self, payer: &Payer, needed: NeededSlug<'_>) -> Result<Option<Reservation>, Problem> {
        let (slug, is_generated) = match needed {
            NeededSlug::New { slug, is_generated } => (slug, is_generated),
            NeededSlug::Renewed(slug) => return self.slugs.renew(slug, payer).await.map(|()| None),
            NeededSlug::RenewedForErasure => return self.slugs.renew_for_erasure(payer).await.map(|()| None),
        };
        loop {
            match self.slugs.reserve(slug, payer).await? {
                Reserved::New(reservation) => return Ok(Some(reservation)),
                Reserved::Already => return Ok(None),
                Reserved::Taken if is_generated => *slug = Slug::generate(),
                Reserved::Taken => return Err(Problem::new(Code::SlugTaken)),
            }
        }
    }
}
