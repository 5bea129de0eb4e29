//! Why a text did not become a vector.

use thiserror::Error;

use crate::problem::{Code, Problem};

/// Why a text did not become a vector.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// Too much waits already.
    #[error("too many texts wait to be embedded")]
    Overloaded,
    /// More than is embedded in one call.
    #[cfg(feature = "local-embeddings")]
    #[error("the texts are {tokens} tokens, and the limit is {limit}")]
    TooLong {
        /// How many tokens the texts are.
        tokens: usize,
        /// How many one call may have.
        limit: usize,
    },
    /// The model or the endpoint did not do it.
    #[error("{0}")]
    Failed(String),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Overloaded => Self::new(Code::Overloaded),
            #[cfg(feature = "local-embeddings")]
            Failure::TooLong { tokens, limit } => Self::new(Code::PayloadTooLarge)
                .member("limitTokens", limit)
                .detail(format!("The texts to embed are {tokens} tokens of the model; one call may have {limit}.")),
            Failure::Failed(reason) => {
                tracing::warn!(reason, "texts could not be embedded");
                Self::new(Code::EmbeddingFailed)
            }
        }
    }
}
