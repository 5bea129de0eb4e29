//! Embeddings: turn texts into vectors. Always before the turn, never in it.
//!
//! The model is a sentence-transformers model in this process (`local:<folder>`, with the cargo feature
//! `local-embeddings`), or an endpoint that implements the OpenAI embeddings API (`https://..`). A text that is too
//! long for the model is embedded in parts. Its vector is the mean of theirs, weighted by their lengths.

#[cfg(feature = "local-embeddings")]
mod bert;
mod embed_error;
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

/// Why the configured model cannot be opened.
#[derive(Debug, Error)]
pub enum Error {
    /// The folder has no model that this program can run.
    #[error("PAYERBASE_EMBEDDINGS: cannot use the model in {folder}: {why}")]
    NoModel {
        /// The folder.
        folder: String,
        /// The reason.
        why: String,
    },
    /// The program was built without support for local models.
    #[error(
        "PAYERBASE_EMBEDDINGS, --embeddings: this payerbase was built without local models: build it with `cargo build --features local-embeddings`"
    )]
    NotBuilt,
    /// The HTTP client cannot be created.
    #[error("PAYERBASE_EMBEDDINGS: cannot create an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// An opened embedding model.
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
    /// Opens the model of the setting. `None` for [`Setting::Off`]. Reads a local model from its files, which takes a
    /// second; does not call an endpoint.
    ///
    /// # Errors
    /// When the folder has no usable model, or the program was built without local models.
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

    /// The name of the model, stored with each of its vectors. For a local model: the name of its folder and the first
    /// 8 digits of the weights' SHA-256, so that other weights in the same folder are another model.
    #[must_use]
    pub fn model(&self) -> &Name {
        &self.model
    }

    /// The vectors of texts, in the same order.
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
