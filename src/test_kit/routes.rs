//! HTTP routes of the test kit. They need no token: `payerbase dev` is for one developer. A web page of another machine cannot call
//! them.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{Data, Json, Path, ServiceConfig};
use actix_web::{HttpResponse, ResponseError as _, delete, get, post, put, web};
use serde::{Deserialize, Serialize};

use super::kit::{AHEAD_MS_MAX, TestKit};
use crate::call::{Engine, Operation, Request, Spec};
use crate::db::clock::Clock;
use crate::number::Bounded;
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::site::{base_url, is_of_no_foreign_page};
use crate::sweeper::erase_all;
use crate::time::Time;

/// A body of more bytes is refused.
const BODY_BYTES_MAX: usize = 4 << 10;

/// Adds the routes, if there is a kit.
pub fn configure(service: &mut ServiceConfig, kit: Option<&Data<TestKit>>) {
    let Some(kit) = kit else { return };
    service.service(
        web::scope("/dev")
            .app_data(kit.clone())
            .wrap(from_fn(refuse_foreign_pages))
            .service(get_clock)
            .service(advance_clock)
            .service(set_public_url)
            .service(erase_payer),
    );
}

/// Refuses the pages of other machines that a browser on this machine shows.
async fn refuse_foreign_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if is_of_no_foreign_page(request.headers()) {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let problem = Problem::new(Code::NotFound)
        .detail("Neither a web page of another machine nor a call to a public name of this server may call `/dev`.");
    Ok(request.into_response(problem.error_response()))
}

/// The clock of the server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownClock {
    now: Time,
    advanced_ms: u128,
}

impl From<Clock> for ShownClock {
    fn from(Clock { now, ahead }: Clock) -> Self {
        Self { now: Time(now), advanced_ms: ahead.as_millis() }
    }
}

#[get("/clock")]
async fn get_clock(kit: Data<TestKit>) -> Result<Json<ShownClock>, Problem> {
    Ok(Json(kit.clock().await?.into()))
}

/// How far the clock moves, in milliseconds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct AdvanceClock {
    advance_ms: Bounded<0, AHEAD_MS_MAX>,
}

impl Operation for AdvanceClock {
    // `read`: it takes no idempotency key.
    const SPEC: Spec = Spec::read("advanceClock").body_bytes_max(BODY_BYTES_MAX);
}

#[post("/clock")]
async fn advance_clock(kit: Data<TestKit>, request: Request<AdvanceClock>) -> Result<Json<ShownClock>, Problem> {
    Ok(Json(kit.advance(request.method.advance_ms.millis()).await?.into()))
}

/// The base URL under which tests reach the server.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct SetPublicUrl {
    url: String,
}

impl Operation for SetPublicUrl {
    // `read`: it takes no idempotency key.
    const SPEC: Spec = Spec::read("setPublicUrl").body_bytes_max(BODY_BYTES_MAX);
}

/// Erases the data of a payer. What `erasePayer` keeps stays.
#[delete("/payers/{payer}")]
async fn erase_payer(engine: Data<Engine>, payer: Path<String>) -> Result<HttpResponse, Problem> {
    let payer: Payer =
        payer.parse().map_err(|error| Problem::new(Code::InvalidValue).field("/payer", format!("{error}")))?;
    erase_all(&engine, &payer).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[put("/public-url")]
async fn set_public_url(engine: Data<Engine>, request: Request<SetPublicUrl>) -> Result<HttpResponse, Problem> {
    let refused = |why: &str| Problem::new(Code::InvalidValue).field("/url", why);
    let expected = || refused("must be a URL that begins with http:// or https://, without a query and a user");
    let url = base_url(&request.method.url).ok_or_else(expected)?;
    match engine.site().tell(url) {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        Err(told) => Err(refused(&format!("must be {told}, which the server was told before"))),
    }
}
