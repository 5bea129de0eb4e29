//! The paths of a stub facilitator and its chain.

use std::sync::Mutex;

use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::chain::StubChain;
use super::fault::{Fault, Faults};
use super::settle::{Answer, Settler};
use super::{rpc, stacks_api};

/// What the handlers of a facilitator share with the test.
pub struct Shared {
    pub settler: Settler,
    /// Name and value of a header without which the facilitator answers 401.
    pub header: Option<(String, String)>,
    pub faults: Mutex<Faults>,
    /// Bodies of `POST /settle`.
    pub asked: watch::Sender<Vec<String>>,
    /// Counts the requests to `POST /verify`.
    pub verified: watch::Sender<usize>,
    /// Counts the requests that followed a redirect.
    pub followed: watch::Sender<usize>,
    /// Counts the releases of hanging settlements.
    pub released: watch::Sender<usize>,
}

/// Adds the paths to an application.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/supported", web::get().to(supported))
        .route("/verify", web::post().to(verified))
        .route("/settle", web::post().to(settled))
        .route("/elsewhere/settle", web::to(followed))
        .route("/rpc", web::post().to(called))
        .route("/stacks/extended/v1/tx/{id}", web::get().to(stacks_transaction))
        .route("/stacks/extended/v1/address/{address}/nonces", web::get().to(stacks_nonces))
        .route("/stacks/v2/accounts/{address}", web::get().to(stacks_account));
}

/// 401 if the header of the caller is missing or wrong.
fn unauthorized(shared: &Shared, request: &HttpRequest) -> Option<HttpResponse> {
    let (name, value) = shared.header.as_ref()?;
    let is_known = request.headers().get(name).is_some_and(|sent| sent.as_bytes() == value.as_bytes());
    (!is_known).then(|| HttpResponse::Unauthorized().json(json!({"error": "the stub does not know this caller"})))
}

fn nonsense() -> Answer {
    Answer { status: 500, body: json!({"error": "the body is no JSON"}) }
}

async fn supported(shared: Data<Shared>, request: HttpRequest) -> HttpResponse {
    if let Some(refused) = unauthorized(&shared, &request) {
        return refused;
    }
    let kind = |network: &str| json!({"x402Version": 2, "scheme": "exact", "network": network});
    let kinds = [shared.settler.chain.network().as_str(), "stacks:1", "stacks:2147483648"].map(kind);
    HttpResponse::Ok().json(json!({"kinds": kinds, "extensions": [], "signers": {"eip155:*": [shared.settler.signer]}}))
}

async fn verified(shared: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    shared.verified.send_modify(|count| *count += 1);
    if let Some(refused) = unauthorized(&shared, &request) {
        return refused;
    }
    serde_json::from_slice(&body).map_or_else(|_error| nonsense(), |body| shared.settler.verify(&body)).respond()
}

async fn settled(shared: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    // A test may release the settlement as soon as it is counted.
    let released = shared.released.subscribe();
    let fault = shared.faults.lock().unwrap().take();
    shared.asked.send_modify(|asked| asked.push(String::from_utf8_lossy(&body).into_owned()));
    if let Some(refused) = unauthorized(&shared, &request) {
        return refused;
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return nonsense().respond() };
    let network = &body["paymentRequirements"]["network"];
    if let Some(refused) = fault.as_ref().and_then(|fault| fault.refusal(network)) {
        return refused;
    }
    // The settlement goes on when its caller leaves.
    let answer = tokio::task::spawn_local(settle_with(shared, body, fault.clone(), released)).await.unwrap();
    match fault {
        Some(fault) => fault.spoil(answer),
        None => answer.respond(),
    }
}

async fn settle_with(
    shared: Data<Shared>,
    body: Value,
    fault: Option<Fault>,
    mut released: watch::Receiver<usize>,
) -> Answer {
    match fault {
        Some(Fault::DelayBeforeSettling(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::HangBeforeSettling) => released.changed().await.unwrap(),
        _ => {}
    }
    let answer = shared.settler.settle(&body, fault.as_ref()).await;
    if matches!(fault, Some(Fault::HangAfterSettling)) {
        released.changed().await.unwrap();
    }
    answer
}

async fn followed(shared: Data<Shared>) -> HttpResponse {
    shared.followed.send_modify(|count| *count += 1);
    HttpResponse::NotFound().finish()
}

async fn called(shared: Data<Shared>, body: Bytes) -> HttpResponse {
    if shared.settler.chain.is_out() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let Ok(request) = serde_json::from_slice(&body) else {
        let error = json!({"code": -32700, "message": "parse error"});
        return HttpResponse::Ok().json(json!({"jsonrpc": "2.0", "id": null, "error": error}));
    };
    HttpResponse::Ok().json(rpc::answer(&shared.settler.chain, &request))
}

/// The answer of the API of Stacks, or 404.
fn found(shared: &Shared, find: impl FnOnce(&StubChain) -> Option<Value>, missing: &str) -> HttpResponse {
    if shared.settler.chain.is_out() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    find(&shared.settler.chain).map_or_else(
        || HttpResponse::NotFound().json(json!({"error": format!("could not find {missing}")})),
        |found| HttpResponse::Ok().json(found),
    )
}

async fn stacks_transaction(shared: Data<Shared>, id: Path<String>) -> HttpResponse {
    found(&shared, |chain| stacks_api::transaction(chain, &id), &format!("transaction by ID {id}"))
}

async fn stacks_account(shared: Data<Shared>, address: Path<String>) -> HttpResponse {
    found(&shared, |chain| stacks_api::account(chain, &address), &format!("address {address}"))
}

async fn stacks_nonces(shared: Data<Shared>, address: Path<String>) -> HttpResponse {
    found(&shared, |chain| stacks_api::nonces(chain, &address), &format!("address {address}"))
}
