//! Tokens: accepted ones, and the problem of each kind of invalid token.

use std::time::Duration;

use payerbase::auth::{Scope, Token};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::{Caller, TestApp};

const HOUR: Duration = Duration::from_secs(3_600);

async fn with_header(caller: &Caller, header: &str) -> crate::support::Answer {
    let request = caller.client.get(format!("{}/v1/me", caller.url)).header("authorization", header);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    crate::support::Answer { status, headers, text: response.text().await.unwrap() }
}

#[tokio::test]
async fn a_call_without_a_valid_token_is_refused() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    let good = caller.token.take().unwrap();
    caller.get("/v1/me").await.problem(401, "token-missing");
    caller.get("/v1/nothing").await.problem(401, "token-missing");

    let good = good.expose_secret();
    for malformed in ["", "Bearer", "Bearer ", "Basic dTpw", "Bearer x", "Bearer pb_live_", &good[..good.len() - 1]] {
        let problem = with_header(&caller, malformed).await.problem(401, "token-malformed");
        let is_empty = malformed.trim() == "Bearer";
        assert_eq!(problem["detail"] == "The token is empty.", is_empty, "{malformed:?}");
    }
    let (_, unknown) = Token::generate();
    with_header(&caller, &format!("Bearer {}", unknown.expose_secret())).await.problem(401, "token-invalid");
    assert_eq!(with_header(&caller, &format!("bearer {good}")).await.status, 200, "the scheme is case-insensitive");
    let in_query = app.client.get(format!("{}/v1/me?token={good}&access_token={good}", app.url)).send().await.unwrap();
    assert_eq!(in_query.status(), 401);
}

#[tokio::test]
async fn a_token_id_with_another_tokens_secret_is_refused() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let victim = app.caller().await.token.unwrap();
    let own = caller.token.as_ref().unwrap().expose_secret();
    let forged = format!("{}{}", &victim.expose_secret()[..24], &own[24..own.len() - 7]);
    let forged = format!("Bearer {forged}_{}", checksum(&forged));
    with_header(&caller, &forged).await.problem(401, "token-invalid");
}

/// The checksum of a token, so that a forged token is well formed.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes()) as usize;
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut checksum = [0_u8; 6];
    for place in checksum.iter_mut().rev() {
        *place = digits[rest % 62];
        rest /= 62;
    }
    String::from_utf8(checksum.to_vec()).unwrap()
}

#[tokio::test]
async fn only_the_hash_of_a_secret_is_stored() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let mut admin = app.database.admin().await;
    let rows: Vec<String> = sqlx::query_scalar("select t::text from auth.tokens t where payer = $1")
        .bind(caller.payer.as_str())
        .fetch_all(&mut admin)
        .await
        .unwrap();
    let secret = &caller.token.as_ref().unwrap().expose_secret()[25..68];
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].contains(secret));
}

#[tokio::test]
async fn an_expired_token_is_refused_even_if_cached() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.token = Some(app.token(&caller.payer, &[Scope::Everything], Duration::from_secs(3)).await);
    caller.get("/v1/me").await.ok();
    wait_until(async || caller.get("/v1/me").await.status == 401).await;
    caller.get("/v1/me").await.problem(401, "token-expired");
}

#[tokio::test]
async fn a_revoked_token_is_refused_soon_even_if_cached() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.get("/v1/me").await.ok();
    let mut admin = app.database.admin().await;
    let id = &caller.token.as_ref().unwrap().expose_secret()[8..24];
    let revoked: bool =
        sqlx::query_scalar("select auth.revoke_token($1)").bind(id).fetch_one(&mut admin).await.unwrap();
    assert!(revoked);
    wait_until(async || caller.get("/v1/me").await.status == 401).await;
    caller.get("/v1/me").await.problem(401, "token-revoked");
}

/// Waits up to 10 seconds. Other tests measure how long revocation and expiry take.
async fn wait_until(condition: impl AsyncFn() -> bool) {
    for _ in 0..200 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the condition did not become true in time");
}

#[tokio::test]
async fn a_token_allows_only_its_scopes() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.increment("a", json!({})).await.ok();

    caller.token = Some(app.token(&caller.payer, &[Scope::CountersRead], HOUR).await);
    caller.get("/v1/counters/a").await.ok();
    let problem = caller.increment("a", json!({})).await.problem(403, "missing-scope");
    assert_eq!(problem["scope"], "counters:write");
    caller.delete("/v1/counters/a").await.problem(403, "missing-scope");

    caller.token = Some(app.token(&caller.payer, &[Scope::CountersWrite], HOUR).await);
    caller.increment("a", json!({})).await.ok();
    caller.get("/v1/counters").await.problem(403, "missing-scope");
    assert_eq!(caller.get("/v1/me").await.ok()["scopes"], json!(["counters:write"]));
}

#[tokio::test]
async fn get_me_describes_the_caller_and_its_usage() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("a", json!({})).await.ok();
    let me = caller.get("/v1/me").await.ok();
    assert_eq!(me["payer"], caller.payer.as_str());
    assert_eq!(me["tokenId"], &caller.token.as_ref().unwrap().expose_secret()[8..24]);
    assert_eq!(
        (&me["tokenName"], &me["usage"], &me["scopes"]),
        (&json!("test"), &json!({"counters": 1, "links": 0, "locks": 0, "jobs": 0, "memories": 0}), &json!(["*"]))
    );
    assert_eq!(me["limits"]["nameBytesMax"], 256);
}

#[tokio::test]
async fn the_server_role_cannot_read_tables_or_manage_tokens() {
    let app = TestApp::spawn().await;
    let mut server = sqlx::ConnectOptions::connect(&app.database.app).await.unwrap();
    for forbidden in [
        "select * from auth.tokens",
        "select auth.create_token('x', '\\x00', '0x', '{*}', null, 1)",
        "select auth.revoke_token('x')",
        "select * from auth.list_tokens(null)",
        "select * from tenant.counters",
        "select rpc.dispatch_write('0x', 'increment', '{}')",
        "select rpc.increment('0x', '{}')",
        "set role payerbase_rpc",
        "create table public.x ()",
        "create temp table x ()",
        "select lo_from_bytea(0, 'x')",
    ] {
        let error = sqlx::Executor::execute(&mut server, forbidden).await.expect_err(forbidden);
        let code = error.as_database_error().and_then(|database| database.code()).map(|code| code.into_owned());
        assert_eq!(code.as_deref(), Some("42501"), "{forbidden}: {error}");
    }
}

#[tokio::test]
async fn cors_allows_every_origin() {
    let app = TestApp::spawn().await;
    let preflight = app
        .client
        .request(Method::OPTIONS, format!("{}/v1/counters/a/increment", app.url))
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type,idempotency-key,access-control-expose-headers",
        )
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 200);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert!(!preflight.headers().contains_key("access-control-allow-credentials"));
    let mut caller = app.caller().await;
    caller.headers.insert("origin", "https://shop.example".parse().unwrap());
    let refused = caller.get("/v1/counters/none").await;
    assert_eq!(refused.headers["access-control-allow-origin"], "*", "browsers can read problems too");
    assert!(refused.headers["access-control-expose-headers"].to_str().unwrap().contains("x-request-id"));
    caller.token = None;
    assert_eq!(caller.get("/v1/me").await.headers["access-control-allow-origin"], "*");
}
