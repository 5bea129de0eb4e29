//! The authentication middleware. It runs before any extractor: actix polls the extractors of a handler together, so an
//! extractor could not be relied on to come first.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, ResponseError as _, web};

use crate::auth::{Authenticator, Proof};
use crate::call::{Engine, Tenant};
use crate::problem::{Code, Problem};
use crate::telemetry::{because, paid_by};

/// Lets a request pass when its payer is proven, with the [`Proof`] in its extensions.
///
/// # Errors
/// Those of the inner service.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let authenticator = request.app_data::<web::Data<Authenticator>>().cloned();
    let proof = match authenticator {
        Some(authenticator) => authenticator.prove(request.headers()).await,
        None => {
            because("the application has no authenticator");
            Err(Problem::new(Code::Internal))
        }
    };
    match proof {
        Ok(proof) => {
            paid_by(proof.payer());
            request.extensions_mut().insert(proof);
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(problem) => Ok(request.into_response(problem.error_response())),
    }
}

/// The tenant of an authenticated request.
impl FromRequest for Tenant {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let proof = request.extensions().get::<Proof>().cloned();
        let engine = request.app_data::<web::Data<Engine>>().cloned();
        ready(match (proof, engine) {
            (Some(proof), Some(engine)) => Ok(Self::new(proof, Arc::clone(&engine.into_inner()))),
            _ => {
                because("a route outside of the authenticated scope asks for a tenant");
                Err(Problem::new(Code::Internal))
            }
        })
    }
}
