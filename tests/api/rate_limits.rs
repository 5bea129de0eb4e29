//! Limits on the rate of requests: of addresses without a token, and of payers.

use std::time::Duration;

use ipnet::IpNet;
use payerbase::auth::{Scope, Token};
use payerbase::http::rate_limits::RateSettings;
use payerbase::rates::Rate;
use reqwest::header::HeaderValue;
use serde_json::json;

use crate::support::redis::TestRedis;
use crate::support::{Answer, Caller, TestApp, TestDatabase};

/// So slow that no request comes back during a test.
fn rate(requests: u32) -> Option<Rate> {
    let requests = requests.try_into().unwrap();
    Some(Rate::new(requests, Duration::from_hours(24), requests).unwrap())
}

/// A server behind a proxy, which is the test.
async fn app(address: Option<Rate>, payer: Option<Rate>) -> TestApp {
    TestApp::set(TestDatabase::shared().await, |settings| {
        settings.rates = RateSettings { address, payer };
        settings.origins.proxies = vec![IpNet::new([127, 0, 0, 0].into(), 8).unwrap()];
    })
}

/// The caller, as a proxy forwards its requests.
fn from(caller: &Caller, forwarded_for: &str) -> Caller {
    let mut caller = caller.clone();
    caller.headers.insert("x-forwarded-for", forwarded_for.parse().unwrap());
    caller
}

/// The caller without its token.
fn stranger(caller: &Caller) -> Caller {
    Caller { token: None, ..caller.clone() }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn requests_without_a_token_count_for_their_address() {
    let app = app(rate(5), None).await;
    let caller = app.caller().await;
    let stranger = stranger(&caller);
    for left in (0..5).rev() {
        let answer = from(&stranger, "192.0.2.1").get("/v1/counters").await;
        assert_eq!(header(&answer, "ratelimit-policy"), Some("\"address\";q=5;w=86400"));
        let limit = header(&answer, "ratelimit").unwrap();
        assert!(limit.starts_with(&format!("\"address\";r={left};t=")), "{limit}");
        answer.problem(401, "token-missing");
    }
    let exhausted = from(&stranger, "192.0.2.1");
    for path in ["/v1/counters", "/l/nothing", "/openapi.json", "/nothing"] {
        let refused = exhausted.get(path).await;
        assert!(header(&refused, "ratelimit").unwrap().starts_with("\"address\";r=0;t="), "{path}");
        let retry_after: u64 = header(&refused, "retry-after").unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&retry_after), "{path}: {retry_after}");
        assert_eq!(refused.problem(429, "rate-limited")["limit"], 5);
    }
    // Probes always answer, and so do other addresses. An address that the client names itself does not count.
    exhausted.get("/healthz").await.ok();
    from(&stranger, "192.0.2.2").get("/v1/counters").await.problem(401, "token-missing");
    from(&stranger, "192.0.2.3, 192.0.2.1").get("/v1/counters").await.problem(429, "rate-limited");
    // A client cannot hide the entry of the proxy behind one that is not ASCII. Without an entry, the proxy is counted.
    let mut hiding = from(&stranger, "192.0.2.1");
    hiding.headers.insert("x-forwarded-for", HeaderValue::from_bytes(b"\xe9, 192.0.2.1").unwrap());
    hiding.get("/v1/counters").await.problem(429, "rate-limited");
    let unreadable = from(&stranger, "unknown");
    for _request in 0..5 {
        unreadable.get("/v1/counters").await.problem(401, "token-missing");
    }
    unreadable.get("/v1/counters").await.problem(429, "rate-limited");
    for at in 0..5 {
        from(&stranger, &format!("2001:db8::{at}")).get("/v1/counters").await.problem(401, "token-missing");
    }
    from(&stranger, "2001:db8::ffff").get("/v1/counters").await.problem(429, "rate-limited");
    from(&stranger, "2001:db8:0:1::").get("/v1/counters").await.problem(401, "token-missing");
    // Without a proxy that is trusted, the header counts for nothing; this machine is not counted.
    let plain = TestApp::set(TestDatabase::shared().await, |settings| settings.rates.address = rate(1));
    let local = Caller { url: plain.url.clone(), ..stranger.clone() };
    for _request in 0..3 {
        let answer = from(&local, "192.0.2.1").get("/v1/counters").await;
        assert_eq!(header(&answer, "ratelimit"), None);
        answer.problem(401, "token-missing");
    }
}

#[tokio::test]
async fn looking_up_a_token_counts_for_its_address_and_using_a_known_one_does_not() {
    let app = app(rate(5), None).await;
    let caller = app.caller().await;
    let known = from(&caller, "192.0.2.1");
    for _call in 0..10 {
        known.get("/v1/counters").await.ok();
    }
    let unknown = || Caller { token: Some(Token::generate().1), ..known.clone() };
    for _guess in 0..4 {
        unknown().get("/v1/counters").await.problem(401, "token-invalid");
    }
    unknown().get("/v1/counters").await.problem(429, "rate-limited");
    // A client behind the same address is not locked out.
    known.get("/v1/counters").await.ok();
    let new = app.token(&caller.payer, &[Scope::Everything], Duration::from_secs(600)).await;
    let new = Caller { token: Some(new), ..known.clone() };
    new.get("/v1/counters").await.problem(429, "rate-limited");
    from(&new, "192.0.2.9").get("/v1/counters").await.ok();
    new.get("/v1/counters").await.ok();
}

#[tokio::test]
async fn signing_in_and_paying_count_as_ten() {
    let app = app(rate(25), None).await;
    let stranger = stranger(&app.caller().await);
    let from_one = from(&stranger, "192.0.2.1");
    let wish = json!({"address": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "chain": "eip155:8453"});
    from_one.post("/v1/auth/challenge", wish.clone()).await.ok();
    from_one.post("/v1/auth/verify", json!({"nonce": "00", "signature": "0x"})).await.problem(401, "sign-in-failed");
    from_one.post("/v1/auth/challenge", wish).await.problem(429, "rate-limited");
    from_one.get("/v1/counters").await.problem(401, "token-missing");
    for (name, address) in [("payment-signature", "192.0.2.2"), ("sign-in-with-x", "192.0.2.3")] {
        let mut signing = from(&stranger, address);
        signing.headers.insert(name, "e30=".parse().unwrap());
        signing.get("/v1/counters").await.problem(401, "token-missing");
        signing.get("/v1/counters").await.problem(401, "token-missing");
        signing.get("/v1/counters").await.problem(429, "rate-limited");
    }
}

/// Routes that read no token, and tokens that are none.
#[tokio::test]
async fn an_authorization_header_does_not_hide_a_request() {
    let app = app(rate(3), None).await;
    let caller = app.caller().await;
    let wish = json!({"address": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "chain": "eip155:8453"});
    let exhaust = async |address: &str, path: &str, is_post: bool, headers: &[(&'static str, &str)]| {
        let mut hiding = from(&stranger(&caller), address);
        for (name, value) in headers {
            hiding.headers.insert(*name, value.parse().unwrap());
        }
        for sent in 0..=3 {
            let answer = if is_post { hiding.post(path, wish.clone()).await } else { hiding.get(path).await };
            if answer.status == 429 {
                return sent;
            }
        }
        panic!("{path} is not counted")
    };
    let junk = ("authorization", "Bearer junk");
    assert_eq!(exhaust("192.0.2.1", "/v1/counters", false, &[junk]).await, 3);
    assert_eq!(exhaust("192.0.2.2", "/nothing", false, &[junk]).await, 3);
    assert_eq!(exhaust("192.0.2.3", "/l/nothing", false, &[junk]).await, 3);
    // A cost above the limit counts as all of it.
    assert_eq!(exhaust("192.0.2.4", "/v1/auth/challenge", true, &[junk]).await, 1);
    assert_eq!(exhaust("192.0.2.5", "/v1/%61uth/challenge", true, &[]).await, 1);
    assert_eq!(exhaust("192.0.2.6", "/v1/counters", false, &[junk, ("payment-signature", "e30=")]).await, 1);
}

#[tokio::test]
async fn requests_of_all_tokens_count_for_their_payer() {
    let app = app(None, rate(6)).await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let token = app.token(&caller.payer, &[Scope::Everything], Duration::from_secs(600)).await;
    let second = Caller { token: Some(token), ..caller.clone() };
    for value in 1..=4 {
        let answer = if value % 2 == 0 { &caller } else { &second }.increment("a", json!({})).await;
        assert_eq!(header(&answer, "ratelimit-policy"), Some("\"payer\";q=6;w=86400"));
        assert_eq!(answer.ok()["value"], value);
    }
    let rate = caller.get("/v1/me").await.ok()["rate"].clone();
    assert_eq!(rate, json!({"limit": 6, "windowMs": 86_400_000, "remaining": 1}));
    caller.increment("a", json!({})).await.ok();
    for caller in [&caller, &second] {
        let refused = caller.increment("a", json!({})).await;
        assert!(header(&refused, "retry-after").is_some() && header(&refused, "ratelimit").is_some());
        assert_eq!(refused.problem(429, "rate-limited")["limit"], 6);
    }
    other.increment("a", json!({})).await.ok();
    // The limit of addresses is not that of the payer.
    let address_only = self::app(self::rate(9), None).await;
    let unlimited = address_only.caller().await;
    assert!(from(&unlimited, "192.0.2.1").get("/v1/me").await.ok()["rate"].is_null());
    // Without a limit.
    let free = TestApp::spawn().await;
    let answer = Caller { url: free.url.clone(), ..caller.clone() }.get("/v1/me").await;
    assert_eq!(header(&answer, "ratelimit"), None);
    let me = answer.ok();
    assert_eq!((me["rate"].is_null(), me["usage"]["counters"].as_i64()), (true, Some(1)));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn servers_with_one_redis_count_together_and_go_on_without_it() {
    let mut redis = TestRedis::start().await;
    let database = TestDatabase::shared().await;
    let server = || {
        TestApp::set(database.clone(), |settings| {
            settings.rates.payer = rate(100);
            settings.redis = Some(redis.client());
        })
    };
    let (one, two) = (server(), server());
    let caller = one.caller().await;
    let elsewhere = Caller { url: two.url.clone(), ..caller.clone() };
    for _request in 0..60 {
        caller.increment("a", json!({})).await.ok();
    }
    // The other server learns of them with its first request.
    two.until(async || {
        let answer = elsewhere.get("/v1/me").await.ok();
        answer["rate"]["remaining"].as_i64().unwrap() < 40
    })
    .await;
    redis.kill();
    one.until(async || {
        one.metric("payerbase_rate_limit_redis_errors_total").await > 0 || {
            caller.increment("a", json!({})).await;
            false
        }
    })
    .await;
    let remaining = async || elsewhere.get("/v1/me").await.ok()["rate"]["remaining"].as_i64().unwrap();
    let before = remaining().await;
    assert!(remaining().await < before);
}
