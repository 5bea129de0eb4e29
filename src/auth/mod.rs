//! Who pays. Runs as middleware, before any part of a request is read: actix polls the extractors of a handler
//! together, so an extractor could not be relied on to come first.

mod payer;
mod scope;
mod slugs;
mod tenant;
mod token;
mod tokens;

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, ResponseError as _, web};
use secrecy::SecretString;

pub use payer::{NotAnAddress, Payer};
pub use scope::{NotAScope, Scope};
pub use slugs::Slugs;
pub(crate) use tenant::Sweep;
pub use tenant::Tenant;
pub use token::{SecretHash, Token, TokenId};
pub use tokens::{Grant, Tokens, create_token};

use crate::problem::{Code, Problem};
use crate::turn::Turns;

/// Everything it takes to find out who pays.
pub struct Authenticator {
    tokens: Arc<Tokens>,
    turns: Arc<Turns>,
}

/// What a request offers as proof. A second way to say who pays is a second variant.
enum Credential {
    Bearer(Token),
}

impl Credential {
    fn of(request: &ServiceRequest) -> Result<Self, Problem> {
        let mut headers = request.headers().get_all(AUTHORIZATION);
        let Some(header) = headers.next() else {
            return Err(Problem::new(Code::TokenMissing));
        };
        let malformed = || Problem::new(Code::TokenMalformed);
        let text = header.to_str().map_err(|_not_ascii| malformed())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") || headers.next().is_some() {
            return Err(malformed());
        }
        Token::parse(&SecretString::from(token.trim())).map(Self::Bearer).ok_or_else(malformed)
    }
}

impl Authenticator {
    /// Proves callers by `tokens`; what they call runs in `turns`.
    #[must_use]
    pub fn new(tokens: Arc<Tokens>, turns: Arc<Turns>) -> Self {
        Self { tokens, turns }
    }

    async fn tenant(&self, request: &ServiceRequest) -> Result<Tenant, Problem> {
        let grant = match Credential::of(request)? {
            Credential::Bearer(token) => self.tokens.verify(&token).await?,
        };
        Ok(Tenant::new(grant, Arc::clone(&self.turns)))
    }
}

/// Middleware: lets a request pass as soon as it is known who pays, with the [`Tenant`] in its extensions. Else it
/// answers with a problem of status 401, or `database-unavailable`.
///
/// # Errors
/// Those of what it wraps.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let authenticator = request.app_data::<web::Data<Authenticator>>().cloned();
    let tenant = match authenticator {
        Some(authenticator) => authenticator.tenant(&request).await,
        None => {
            tracing::error!("the application has no authenticator");
            Err(Problem::new(Code::Internal))
        }
    };
    match tenant {
        Ok(tenant) => {
            request.extensions_mut().insert(tenant);
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(problem) => Ok(request.into_response(problem.error_response())),
    }
}
