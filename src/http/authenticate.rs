//! The authentication middleware. It runs before any extractor: actix polls the extractors of a handler together, so an
//! extractor could not be relied on to come first.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, ResponseError as _, web};

use super::headers;
use super::openapi::Document;
use super::paywall::{Paywall, Toll};
use super::rate_limits::RateLimits;
use crate::auth::{Authenticator, Proof};
use crate::call::{Engine, Tenant};
use crate::payer::Payer;
use crate::payments::{Paid, Purchase};
use crate::problem::{Code, Problem};
use crate::telemetry::{because, called_by};

/// Lets a request pass when its payer is proven, with the [`Proof`] in its extensions.
///
/// # Errors
/// Those of the inner service.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let toll = request.app_data::<web::Data<Paywall>>().and_then(|paywall| paywall.toll(&request));
    let paid = toll.as_ref().map_or(Ok(None), |toll| toll.payment(&request));
    let purchase = Arc::new(Purchase::with(paid.as_ref().ok().cloned().flatten()));
    let limits = request.app_data::<web::Data<RateLimits>>().cloned();
    let limits = limits.as_ref().map(|limits| limits.get_ref());
    let proof = match (prove(&request, toll.as_ref(), paid, limits).await, headers::act_for(request.headers())) {
        (Ok(caller), Ok(Some(payer))) => Box::pin(act_for(&request, &payer, caller)).await,
        // The router refuses a verb that the path does not have, whatever the header says.
        (Ok(caller), Err(_)) if lacks_verb(&request) => Ok(caller),
        (Ok(_), Err(problem)) => Err(problem),
        (proof, _) => proof,
    };
    let mut response = match proof {
        Ok(proof) => {
            called_by(proof.caller(), proof.payer());
            request.extensions_mut().insert(proof);
            if toll.is_some() {
                request.extensions_mut().insert(Arc::clone(&purchase));
            }
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)?
        }
        Err(problem) => request.into_response(problem.error_response()),
    };
    if let Some(toll) = toll {
        // Boxed, as it is rare.
        Box::pin(toll.add_headers(&mut response, &purchase)).await;
    }
    Ok(response)
}

/// The proof of the payer: a token, or a payment or a sign-in for this request.
async fn prove(
    request: &ServiceRequest,
    toll: Option<&Toll>,
    paid: Result<Option<Arc<Paid>>, Problem>,
    limits: Option<&RateLimits>,
) -> Result<Proof, Problem> {
    let paid = paid?;
    let authenticator = authenticator(request)?;
    let admit_payer = |payer: &Payer| {
        let admitted = limits.map_or(Ok(()), |limits| limits.admit_payer(request, payer));
        admitted.inspect_err(|problem| authenticator.refusals().add(payer, None, problem))
    };
    if !request.headers().contains_key(AUTHORIZATION) {
        if let Some(paid) = paid {
            return admit_payer(paid.payer()).map(|()| paid.proof());
        } else if let Some(toll) = toll {
            let signed_in = Box::pin(toll.sign_in(request, admit_payer)).await?;
            return signed_in.ok_or_else(|| Problem::new(Code::PaymentRequired));
        }
    }
    let admit = || limits.map_or(Ok(()), |limits| limits.admit_look_up(request));
    let proof = authenticator.prove(request.headers(), admit).await?;
    match paid.filter(|paid| paid.payer() != proof.payer()) {
        Some(_stranger) => {
            Err(Problem::new(Code::PaymentInvalid).detail("Nothing was paid: the token is that of another payer."))
        }
        None => admit_payer(proof.payer()).map(|()| proof),
    }
}

/// The proof of a caller who acts for another payer.
async fn act_for(request: &ServiceRequest, payer: &Payer, caller: Proof) -> Result<Proof, Problem> {
    called_by(caller.payer(), payer);
    authenticator(request)?.act_for(payer, caller).await
}

/// Whether the path exists and does not have the verb.
fn lacks_verb(request: &ServiceRequest) -> bool {
    let document = request.app_data::<web::Data<Document>>();
    let verbs = document.and_then(|document| document.allow(request.path()));
    verbs.is_some_and(|verbs| verbs.split(", ").all(|verb| verb != request.method().as_str()))
}

fn authenticator(request: &ServiceRequest) -> Result<&Authenticator, Problem> {
    let authenticator = request.app_data::<web::Data<Authenticator>>();
    authenticator.map(|authenticator| authenticator.get_ref()).ok_or_else(|| {
        because("the application has no authenticator");
        Problem::new(Code::Internal)
    })
}

/// The tenant of an authenticated request.
impl FromRequest for Tenant {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let proof = request.extensions().get::<Proof>().cloned();
        let purchase = request.extensions().get::<Arc<Purchase>>().cloned();
        let engine = request.app_data::<web::Data<Engine>>().cloned();
        ready(match (proof, engine) {
            (Some(proof), Some(engine)) => headers::integers(request.headers())
                .map(|integers| Self::new(proof, engine.into_inner()).with(purchase).writing(integers)),
            _ => {
                because("a route outside of the authenticated scope asks for a tenant");
                Err(Problem::new(Code::Internal))
            }
        })
    }
}
