//! Who pays: tokens and slugs become proofs.
//!
//! A [`Proof`] says which payer a call runs for, and which rights the caller has. Only this room makes proofs.

mod allowance;
mod authenticator;
mod cache_metrics;
mod challenge;
mod database_key;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grants;
pub mod limits;
mod look_ups;
mod proof;
mod refusals;
mod request_sign_in;
mod scope;
mod sign_in;
mod slugs;
mod test_tokens;
mod token;
mod token_limits;
mod tokens;

pub use allowance::{Allowance, AllowanceLeft, AllowanceOf, SpendMax};
pub use authenticator::Authenticator;
pub(crate) use cache_metrics::{CacheMetrics, register as register_caches};
pub use database_key::{DatabaseKey, DatabaseKeys};
pub use grants::{Grant, Grants};
pub use limits::TokenMs;
pub use proof::Proof;
pub use refusals::{Refusals, Refused};
pub use request_sign_in::{NotSignedIn, RequestLine, SignedRequest};
pub(crate) use scope::scopes;
pub use scope::{NotAScope, Scope};
pub use sign_in::{SignIn, SignedIn, ToSign};
pub use slugs::{Reservation, Reserved, Slugs};
pub use test_tokens::TestTokens;
pub use token::{SecretHash, Token, TokenId};
pub use token_limits::TokenLimits;
pub use tokens::{TokenRights, Tokens, create_token};

/// The functions of this room.
pub(crate) const SQL: &[&str] =
    &[include_str!("allowances.sql"), include_str!("rpc.sql"), include_str!("account.sql"), include_str!("grants.sql")];
