//! The part that needs no container, against the running `payerbase dev` of `PAYERBASE_URL`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failure ends the test")]

use std::time::Duration;

use payerbase_testcontainers::{Server, random_payer};
use reqwest::Method;
use serde_json::{Value, json};

const VISITS: &str = "/v1/counters/visits";
const INCREMENT: &str = "/v1/counters/visits/increment";

fn server() -> Server {
    let url = std::env::var("PAYERBASE_URL");
    Server::new(&url.expect("PAYERBASE_URL is not set: it must be the URL of a running `payerbase dev`"))
}

async fn call(token: &str, method: Method, path: &str, body: Value) -> Value {
    let request = reqwest::Client::new().request(method, format!("{}{path}", server().url())).bearer_auth(token);
    let request = if body.is_null() { request } else { request.json(&body) };
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_new_token_is_of_a_new_payer() {
    for token in [server().new_token(), server().new_token()] {
        assert_eq!(token.len(), "pb_test_0x".len() + 40);
        assert_eq!(call(&token, Method::POST, INCREMENT, json!({})).await["value"], 1);
    }
}

#[tokio::test]
async fn reset_erases_the_data_of_one_payer() {
    let (kept, erased) = (random_payer(), random_payer());
    for payer in [&kept, &erased] {
        call(&server().token(payer), Method::POST, INCREMENT, json!({})).await;
    }
    server().reset(&erased).await.unwrap();
    assert_eq!(call(&server().token(&erased), Method::GET, VISITS, Value::Null).await["code"], "not-found");
    assert_eq!(call(&server().token(&kept), Method::GET, VISITS, Value::Null).await["value"], 1);
}

#[tokio::test]
async fn the_clock_moves_forward() {
    let before = server().advance_clock(Duration::from_secs(1)).await.unwrap();
    let after = server().advance_clock(Duration::from_secs(86_400)).await.unwrap();
    assert!(after[..10] > before[..10], "{before} {after}");
}

#[tokio::test]
async fn short_urls_have_the_public_url() {
    server().set_public_url("http://localhost:49153").await.unwrap();
    let link =
        call(&server().new_token(), Method::POST, "/v1/links", json!({ "url": "https://shop.example/sale" })).await;
    assert!(link["shortUrl"].as_str().unwrap().starts_with("http://localhost:49153/"), "{link}");
}

#[tokio::test]
async fn an_error_says_what_the_server_says() {
    let error = server().advance_clock(Duration::MAX).await.unwrap_err().to_string();
    assert!(error.starts_with("POST /dev/clock: 422 invalid-value: /advanceMs: must be "), "{error}");
}
