//! The secret of a new token.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::types::CreatedToken;
use crate::auth::{Token, TokenId};

/// A new token. Only the hash of its secret goes to the database.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Secret {
    id: String,
    sha256: String,
    /// The token of the caller.
    by: String,
    #[serde(skip)]
    text: SecretString,
}

impl Secret {
    pub(super) fn generate(by: &TokenId) -> Self {
        let (token, text) = Token::generate();
        let id = token.id.as_str().to_owned();
        Self { id, sha256: hex::encode(token.secret.as_bytes()), by: by.as_str().to_owned(), text }
    }

    pub(super) fn show_in(&self, token: &mut CreatedToken) {
        self.text.expose_secret().clone_into(&mut token.token);
    }
}
