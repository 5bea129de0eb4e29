//! HTTP routes of signing in.

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, post};
use secrecy::ExposeSecret as _;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use super::types::{Challenge, CreateChallenge, SignedIn, VerifyChallenge};
use crate::auth::{Scope, SignIn};
use crate::call::Request;
use crate::problem::Problem;
use crate::time::Time;

/// Adds the routes.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(scope::scope("/v1/auth").service(create_challenge).service(verify_challenge));
}

/// Begin to sign in with a wallet.
///
/// Returns a message for the wallet to sign. It names this server, the rights and the lifetime of the token. The server keeps
/// nothing, so a challenge that is not used costs nothing.
#[utoipa::path(operation_id = "createChallenge", tag = "account", security(()),
    request_body(content = CreateChallenge, examples(
        ("all" = (summary = "All rights, for a day", value = json!({
            "address": "0x52908400098527886e0f7030069857d2e4169ee7", "chain": "eip155:8453"}))),
        ("few" = (summary = "Two rights, for an hour", value = json!({
            "address": "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7", "chain": "stacks:1",
            "scopes": ["counters:read", "counters:write"], "lifetimeMs": 3600000}))))),
    responses((status = 200, description = "The message to sign.", body = Challenge)))]
#[post("/challenge")]
async fn create_challenge(
    sign_in: Data<SignIn>,
    request: Request<CreateChallenge>,
) -> Result<Json<Challenge>, Problem> {
    let CreateChallenge { address, chain, scopes, lifetime_ms } = request.method;
    let scopes = scopes.unwrap_or_else(|| vec![Scope::Everything]);
    let to_sign = sign_in.challenge(address, chain, scopes, lifetime_ms.millis()).await?;
    Ok(Json(Challenge { message: to_sign.message, nonce: to_sign.nonce, expires_at: Time(to_sign.expires_at) }))
}

/// Sign in with the signature of a challenge.
///
/// Returns a token of the wallet. Each challenge works once. If the answer is lost, begin again.
#[utoipa::path(operation_id = "verifyChallenge", tag = "account", security(()),
    request_body(content = VerifyChallenge, examples(
        ("signed" = (summary = "A signature of Ethereum", value = json!({"nonce": "6f0c..", "signature": "0x5f91.."}))))),
    responses((status = 201, description = "The token.", body = SignedIn)))]
#[post("/verify")]
async fn verify_challenge(sign_in: Data<SignIn>, request: Request<VerifyChallenge>) -> Result<HttpResponse, Problem> {
    let VerifyChallenge { nonce, signature } = request.method;
    let signed_in = sign_in.verify(&nonce, &signature).await?;
    let mut created = HttpResponse::Created();
    created.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Ok(created.json(SignedIn {
        token: signed_in.token.expose_secret().to_owned(),
        token_id: signed_in.id,
        payer: signed_in.payer,
        scopes: signed_in.scopes,
        expires_at: Time(signed_in.expires_at),
    }))
}
