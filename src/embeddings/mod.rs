//! Embeddings: texts become vectors, before the turn and never in it.
//!
//! By a model of sentence-transformers that runs in this process (`local:<folder>`, with the cargo feature
//! `local-embeddings`), or by an endpoint that speaks OpenAI's protocol (`https://..`). A text that is longer than the model
//! reads is embedded in parts, and its vector is their mean, each part weighing what it is long.

#[cfg(feature = "local-embeddings")]
mod bert;
mod failure;
#[cfg(feature = "local-embeddings")]
mod local;
#[cfg(feature = "local-embeddings")]
mod queue;
mod remote;
mod setting;

use thiserror::Error;

pub use setting::{Endpoint, Setting};

use crate::name::Name;
use crate::payer::Payer;
use crate::problem::Problem;
use crate::vector::Vector;

/// Why there can be no embeddings as they are configured.
#[derive(Debug, Error)]
pub enum Error {
    /// The folder holds no model that we can run.
    #[error("PAYERBASE_EMBEDDINGS: {folder} cannot be used as a model: {why}")]
    NoModel {
        /// The folder.
        folder: String,
        /// What is wrong with it.
        why: String,
    },
    /// The program has no code for local models.
    #[error(
        "PAYERBASE_EMBEDDINGS, --embeddings: this payerbase was built without local models; build it with `cargo build --features local-embeddings`"
    )]
    NotBuilt,
    /// No HTTP client.
    #[error("PAYERBASE_EMBEDDINGS: cannot call the endpoint: {0}")]
    Client(#[from] reqwest::Error),
}

/// What makes vectors of texts.
pub struct Embeddings {
    model: Name,
    backend: Backend,
}

enum Backend {
    #[cfg(feature = "local-embeddings")]
    Local(local::Local),
    Remote(remote::Remote),
}

impl Embeddings {
    /// Makes ready what the setting names: nothing for [`Setting::Off`]. Reads a local model, which takes a second.
    ///
    /// # Errors
    /// When the folder holds no model, or the program cannot run one.
    pub fn open(setting: &Setting) -> Result<Option<Self>, Error> {
        match setting {
            Setting::Off => Ok(None),
            #[cfg(feature = "local-embeddings")]
            Setting::Local(folder) => {
                let local = local::Local::open(folder)
                    .map_err(|why| Error::NoModel { folder: folder.display().to_string(), why })?;
                Ok(Some(Self { model: local.name().clone(), backend: Backend::Local(local) }))
            }
            #[cfg(not(feature = "local-embeddings"))]
            Setting::Local(_) => Err(Error::NotBuilt),
            Setting::Remote(endpoint) => {
                let model = endpoint.model.clone();
                Ok(Some(Self { model, backend: Backend::Remote(remote::Remote::new(endpoint.clone())?) }))
            }
        }
    }

    /// What vectors of this model are marked with. For a local one, the name of its folder and the beginning of its weights'
    /// SHA-256: other weights are another model, whatever the folder is called.
    #[must_use]
    pub fn model(&self) -> &Name {
        &self.model
    }

    /// Makes the vectors of texts, in their order.
    ///
    /// # Errors
    /// `embedding-failed`, `overloaded`, `payload-too-large`.
    pub async fn embed(&self, payer: &Payer, texts: &[&str]) -> Result<Vec<Vector>, Problem> {
        let vectors = match &self.backend {
            #[cfg(feature = "local-embeddings")]
            Backend::Local(local) => local.embed(payer, texts).await,
            Backend::Remote(remote) => {
                let _only_local_models_are_shared_out = payer;
                remote.embed(texts).await
            }
        };
        Ok(vectors?)
    }
}
