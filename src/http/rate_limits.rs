//! Rate limits: requests without a token count for the address of their client, the others for their payer.
//!
//! A token that this server does not have in memory must be looked up in the database, and anybody can make tokens up. So a
//! look-up counts for the address too, and so does a token that is malformed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, X_FORWARDED_FOR};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, ResponseError as _, web};
use prometheus_client::registry::Registry;

use super::metrics::PROBES;
use super::paywall::{PAYMENT_SIGNATURE, SIGN_IN};
use crate::links::visitor::Origins;
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::rates::{Key, Limiter, Rate, Rated, limit_field, policy_field, retry_after_field, share};
use crate::redis::Redis;

/// Header of an answer: the limit that counted the request.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Header of an answer: the number of requests that are left.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A request with a signature, or for a challenge, counts as this many: a signature is checked and something is stored.
const SIGNATURE_COST: u32 = 10;
/// The path of the API, where requests have tokens.
const API_PATH: &str = "/v1/";
/// The path of signing in.
const SIGN_IN_PATH: &str = "/v1/auth/";

/// Rates of requests. `None`: any rate.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateSettings {
    /// Rate of the requests of an address that have no token.
    pub address: Option<Rate>,
    /// Rate of the requests of a payer.
    pub payer: Option<Rate>,
}

/// The rate limits of this server.
pub struct RateLimits {
    addresses: Option<Arc<Limiter>>,
    payers: Option<Arc<Limiter>>,
    origins: Origins,
}

impl RateLimits {
    /// Limits that servers with the same Redis share.
    #[must_use]
    pub fn new(settings: RateSettings, origins: &Origins, redis: &Option<Redis>, registry: &mut Registry) -> Self {
        let limiter = |rate: Option<Rate>| rate.map(|rate| Arc::new(Limiter::new(rate)));
        let (addresses, payers) = (limiter(settings.address), limiter(settings.payer));
        share(redis.clone(), [&addresses, &payers].into_iter().flatten(), registry);
        Self { addresses, payers, origins: origins.clone() }
    }

    /// Counts a request for the address of its client. A client on this machine is a proxy that is not trusted, or an operator:
    /// it has no limit. A trusted proxy is counted itself if it does not say for whom it sends.
    fn admit_address(&self, request: &ServiceRequest, cost: u32) -> Result<(), Problem> {
        let is_limited = |address: &IpAddr| {
            let is_forwarded = request.headers().contains_key(X_FORWARDED_FOR);
            !address.is_loopback() || (is_forwarded && self.origins.is_through_proxy(request.request()))
        };
        let address = self.origins.client(request.request()).filter(is_limited);
        let Some((limiter, address)) = self.addresses.as_ref().zip(address) else { return Ok(()) };
        admit(request, limiter, &Key::of_address(address), cost)
    }

    /// Counts the look-up of a token, unless the request was counted.
    pub(super) fn admit_look_up(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let is_counted = request.extensions().contains::<Rated>();
        if is_counted { Ok(()) } else { self.admit_address(request, 1) }
    }

    /// Counts a request for its payer.
    pub(super) fn admit_payer(&self, request: &ServiceRequest, payer: &Payer) -> Result<(), Problem> {
        let Some(limiter) = &self.payers else { return Ok(()) };
        admit(request, limiter, &Key::of_payer(payer.clone()), 1)
    }
}

fn admit(request: &ServiceRequest, limiter: &Limiter, key: &Key, cost: u32) -> Result<(), Problem> {
    let decision = limiter.take(key, cost, Instant::now());
    request.extensions_mut().insert(Rated { kind: key.kind(), rate: limiter.rate(), decision });
    match decision.is_allowed {
        true => Ok(()),
        false => Err(Problem::new(Code::RateLimited).member("limit", limiter.rate().burst())),
    }
}

/// Counts a request for the address of its client, unless it is counted for the payer of its token. Adds to each answer what is left of its limit.
///
/// # Errors
/// Those of the inner service.
pub async fn limit_rates(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let is_counted = !PROBES.contains(&request.path()) && !is_for_payer(&request);
    let limits = request.app_data::<web::Data<RateLimits>>().filter(|_| is_counted).cloned();
    let admitted = limits.map_or(Ok(()), |limits| limits.admit_address(&request, cost(&request)));
    let mut response = match admitted {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(problem) => request.into_response(problem.error_response()),
    };
    let rated = response.request().extensions().get::<Rated>().copied();
    if let Some(rated) = rated {
        add_fields(response.headers_mut(), &rated);
    }
    Ok(response)
}

/// Whether a request is counted for the payer of its token. Only routes behind `authenticate` read the token.
fn is_for_payer(request: &ServiceRequest) -> bool {
    let takes_token = path(request).starts_with(API_PATH) && !path(request).starts_with(SIGN_IN_PATH);
    takes_token && !has_signature(request) && request.headers().contains_key(AUTHORIZATION)
}

fn has_signature(request: &ServiceRequest) -> bool {
    [PAYMENT_SIGNATURE, SIGN_IN].iter().any(|header| request.headers().contains_key(header))
}

/// The path as routes match it: percent-decoded.
fn path(request: &ServiceRequest) -> &str {
    request.match_info().as_str()
}

fn cost(request: &ServiceRequest) -> u32 {
    if has_signature(request) || path(request).starts_with(SIGN_IN_PATH) { SIGNATURE_COST } else { 1 }
}

fn add_fields(headers: &mut HeaderMap, rated: &Rated) {
    let Rated { kind, rate, decision } = *rated;
    let retry_after = (!decision.is_allowed).then(|| (RETRY_AFTER, retry_after_field(&decision)));
    let policy = (RATE_LIMIT_POLICY, policy_field(&[(kind.name(), rate)]));
    let limit = (RATE_LIMIT, limit_field(&[(kind.name(), decision)]));
    for (name, value) in [policy, limit].into_iter().chain(retry_after) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}
