//! Why a text did not become a vector.

use thiserror::Error;

use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// Why a text did not become a vector.
#[derive(Debug, Error)]
pub(crate) enum EmbedError {
    /// Too many texts are waiting, or the server is stopping.
    #[error("too many texts are waiting to be embedded")]
    Overloaded,
    /// The texts of one call have too many tokens.
    #[cfg(feature = "local-embeddings")]
    #[error("the texts have {tokens} tokens; the limit is {limit}")]
    TooLong {
        /// Number of tokens of the texts.
        tokens: usize,
        /// Maximum number of tokens of one call.
        limit: usize,
    },
    /// The model or the endpoint failed.
    #[error("{0}")]
    Failed(String),
}

impl From<EmbedError> for Problem {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Overloaded => {
                because("too many texts wait to be embedded");
                Self::new(Code::Overloaded)
            }
            #[cfg(feature = "local-embeddings")]
            EmbedError::TooLong { tokens, limit } => Self::new(Code::PayloadTooLarge)
                .member("limitTokens", limit)
                .detail(format!("The texts to embed have {tokens} tokens. One call may have at most {limit}.")),
            EmbedError::Failed(reason) => {
                because(format!("texts could not be embedded: {reason}"));
                Self::new(Code::EmbeddingFailed)
            }
        }
    }
}
