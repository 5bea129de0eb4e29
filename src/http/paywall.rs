//! The paywall: which requests cost something, what is offered for them, and the payments that come with them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use actix_web::HttpMessage as _;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method as Verb, StatusCode};
use chrono::Utc;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::bazaar::bazaar;
use super::openapi::Document;
use super::verbs::WasHead;
use crate::auth::{Proof, RequestLine, SignIn};
use crate::call::{Operation as _, Spec, Transaction};
use crate::payer::Payer;
use crate::payments::{OfferedFor, Paid, Payments, Purchase};
use crate::problem::{Code, Problem};
use crate::x402::{Asset, Requirements, SIGN_IN_WITH_X, to_header};

/// Header of an answer with the offers to pay for the request.
pub const PAYMENT_REQUIRED: HeaderName = HeaderName::from_static("payment-required");
/// Header of a request with a payment.
pub const PAYMENT_SIGNATURE: HeaderName = HeaderName::from_static("payment-signature");
/// Header of a request whose wallet signs in for it.
pub const SIGN_IN: HeaderName = HeaderName::from_static(SIGN_IN_WITH_X);
/// Header of an answer that says what became of the payment.
pub const PAYMENT_RESPONSE: HeaderName = HeaderName::from_static("payment-response");

/// The operations that cost something.
pub struct Paywall {
    payments: Arc<Payments>,
    sign_in: Arc<SignIn>,
    /// By verb and pattern of the path.
    routes: HashMap<(Verb, String), Route>,
}

/// A route that costs something.
#[derive(Clone)]
struct Route {
    spec: Spec,
    /// Extensions of the offers for each request.
    extensions: Arc<Map<String, Value>>,
}

/// A request that costs something.
pub(super) struct Toll {
    payments: Arc<Payments>,
    sign_in: Arc<SignIn>,
    offered: OfferedFor,
    verb: Verb,
    path: String,
    route: Route,
}

/// A route that costs something.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaidRoute {
    /// HTTP method.
    #[schema(example = "POST")]
    method: String,
    /// Path, with its parameters in braces.
    #[schema(example = "/v1/counters/{name}/increment")]
    path: String,
    /// Its `operationId` in the OpenAPI document.
    #[schema(example = "increment")]
    operation_id: &'static str,
    /// Its price tier: `read`, `write` or `ai`; `sum` for `transact`, which costs as much as its calls; `credit` for `topUp`, whose
    /// payment is all credit.
    #[schema(example = "write")]
    tier: &'static str,
    /// What a call takes from the credit, in each asset. Empty for `sum` and `credit`.
    prices: Vec<RoutePrice>,
    /// The least payments, the `accepts` of `PAYMENT-REQUIRED`. What a payment has above the price is credit.
    accepts: Vec<Requirements>,
}

/// What a call takes from the credit.
#[derive(Serialize, ToSchema)]
struct RoutePrice {
    /// Id of the network (CAIP-2).
    #[schema(example = "eip155:8453")]
    network: String,
    /// Address of the token, or `STX`.
    #[schema(example = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")]
    asset: String,
    /// Digits, in the smallest unit of the asset.
    #[schema(example = "200")]
    amount: String,
}

/// The routes that cost something.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaidRoutes {
    /// Version of x402.
    #[schema(example = 2)]
    x402_version: u64,
    /// The routes. Empty on a server without prices.
    items: Vec<PaidRoute>,
}

impl Paywall {
    /// A paywall before those of the operations that cost something.
    #[must_use]
    pub fn new(payments: Arc<Payments>, sign_in: Arc<SignIn>, document: &Document) -> Self {
        let json = LazyLock::new(|| serde_json::from_str::<Value>(&document.v3_1.json).unwrap_or_default());
        let route = |(verb, path, spec): &(Verb, String, Spec)| {
            let extensions = payments.offers().extensions(|| bazaar(&json, verb.as_str(), path));
            ((verb.clone(), path.clone()), Route { spec: *spec, extensions: Arc::new(extensions) })
        };
        let routes = document.operations().iter().filter(|(_, _, spec)| spec.costs()).map(route).collect();
        Self { payments, sign_in, routes }
    }

    /// What a request costs. `None`: nothing.
    pub(super) fn toll(&self, request: &ServiceRequest) -> Option<Toll> {
        if self.payments.are_off() {
            return None;
        }
        let verb = request.method().clone();
        let route = self.routes.get(&(verb.clone(), request.match_pattern()?))?.clone();
        let offered = offered_for(&route.spec, request.path());
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let (payments, sign_in) = (Arc::clone(&self.payments), Arc::clone(&self.sign_in));
        Some(Toll { payments, sign_in, offered, verb, path, route })
    }

    fn prices(&self, spec: &Spec) -> Vec<RoutePrice> {
        let prices = self.payments.offers().prices(spec.tier).filter(|_| has_tier(spec));
        let shown = |(asset, amount): (&Asset, i64)| RoutePrice {
            network: asset.network().to_string(),
            asset: asset.to_string(),
            amount: amount.to_string(),
        };
        prices.map(shown).collect()
    }

    /// All routes that cost something.
    #[must_use]
    pub fn routes(&self) -> PaidRoutes {
        let route = |((verb, path), Route { spec, .. }): (&(Verb, String), &Route)| PaidRoute {
            method: verb.to_string(),
            path: path.clone(),
            operation_id: spec.name,
            tier: tier(spec),
            prices: self.prices(spec),
            accepts: self
                .payments
                .offers()
                .required(offered_for(spec, path), path, spec.name, &[], String::new())
                .accepts,
        };
        let mut items: Vec<PaidRoute> = match self.payments.are_off() {
            true => Vec::new(),
            false => self.routes.iter().map(route).collect(),
        };
        items.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
        PaidRoutes { x402_version: crate::x402::VERSION, items }
    }
}

fn has_tier(spec: &Spec) -> bool {
    !spec.tops_up && spec.name != Transaction::SPEC.name
}

fn tier(spec: &Spec) -> &'static str {
    match spec {
        Spec { tops_up: true, .. } => "credit",
        Spec { name, .. } if *name == Transaction::SPEC.name => "sum",
        Spec { tier, .. } => tier.as_str(),
    }
}

/// What is offered. The amount of credit is the last segment of the path; the route is chosen later.
fn offered_for(spec: &Spec, path: &str) -> OfferedFor {
    match spec.tops_up {
        // An amount that is none is refused later, with the other values of the request.
        true => OfferedFor::Credit(path.rsplit('/').next().and_then(|amount| amount.parse().ok()).unwrap_or_default()),
        false => OfferedFor::Call(spec.tier),
    }
}

impl Toll {
    /// The payment that came with a request.
    pub fn payment(&self, request: &ServiceRequest) -> Result<Option<Arc<Paid>>, Problem> {
        let Some(text) = sole_header(request, &PAYMENT_SIGNATURE) else { return Ok(None) };
        let text = text.ok_or_else(|| Problem::new(Code::PaymentMalformed))?;
        self.payments
            .offers()
            .read(text, self.offered, &self.route.extensions, Utc::now())
            .map(|paid| Some(Arc::new(paid)))
    }

    /// The proof of the wallet that signed in for a request without a payment. `None`: the request has no sign-in.
    ///   admit  checks whether the wallet may send a request, before its sign-in is used
    ///
    /// # Errors
    /// `payment-required`, so that a client that cannot use its sign-in pays; those of `admit` and of the lanes.
    pub async fn sign_in(
        &self,
        request: &ServiceRequest,
        admit: impl Fn(&Payer) -> Result<(), Problem>,
    ) -> Result<Option<Proof>, Problem> {
        let Some(text) = sole_header(request, &SIGN_IN) else { return Ok(None) };
        let refused = |detail: String| Err(Problem::new(Code::PaymentRequired).detail(detail));
        let signed = match self.sign_in.verify_request(self.line(), text.unwrap_or_default()).await? {
            Ok(signed) => signed,
            Err(error) => return refused(error.to_string()),
        };
        admit(&signed.payer)?;
        match self.payments.use_sign_in(signed).await? {
            Some(proof) => Ok(Some(proof)),
            None => refused("The sign-in was used before.".to_owned()),
        }
    }

    fn line(&self) -> RequestLine<'_> {
        RequestLine { verb: self.verb.as_str(), path: &self.path, method: self.route.spec.name }
    }

    /// Adds the headers of payments to an answer.
    pub async fn add_headers<B>(&self, response: &mut ServiceResponse<B>, purchase: &Purchase) {
        let status = response.status();
        let headers = response.headers_mut();
        if let Some(settlement) = purchase.response() {
            insert(headers, PAYMENT_RESPONSE, to_header(&settlement));
        }
        if status == StatusCode::PAYMENT_REQUIRED {
            let error = "Payment required".to_owned();
            let (offers, method) = (self.payments.offers(), self.route.spec.name);
            let mut required = offers.required(self.offered, &self.path, method, purchase.short_of(), error);
            required.extensions.clone_from(&self.route.extensions);
            // A payer with credit need not pay again. `topUp` takes no credit.
            if matches!(self.offered, OfferedFor::Call(_))
                && let Ok(Some(extension)) = self.sign_in.offer(self.line()).await
            {
                required.extensions.insert(SIGN_IN_WITH_X.to_owned(), extension);
            }
            insert(headers, PAYMENT_REQUIRED, to_header(&required));
        }
    }
}

/// The value of a header that pays or signs in: `Some(None)` if it is not ASCII, or sent twice. `HEAD` does neither.
fn sole_header<'a>(request: &'a ServiceRequest, name: &HeaderName) -> Option<Option<&'a str>> {
    let mut values = request.headers().get_all(name);
    let value = values.next().filter(|_| request.extensions().get::<WasHead>().is_none())?;
    Some(value.to_str().ok().filter(|_| values.next().is_none()))
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: serde_json::Result<String>) {
    if let Some(value) = value.ok().and_then(|value| HeaderValue::from_str(&value).ok()) {
        headers.insert(name, value);
    }
}
