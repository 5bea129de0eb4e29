//! Requests to a facilitator.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rand::RngExt as _;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder};
use tokio::sync::Semaphore;
use url::Url;

use super::authentication::Authentication;
use super::cdp::NoToken;
use super::settled::{Answer, FacilitatorError, Settled};
use crate::endpoint::{self, BaseUrl, BodyError};
use crate::payer::Payer;
use crate::x402::{Outcome, SettleRequest, SettlementResponse, Supported, outcome, read_answer};

/// Size limit of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Maximum number of requests at the same time. A facilitator may need seconds for one, until its block.
const REQUESTS_MAX: usize = 64;
/// How long a settlement may wait until fewer run.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout of `GET /supported`.
const SUPPORTED_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time that a facilitator may ask for with `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Maximum length of a code in a text for the log.
const CODE_CHARS_MAX: usize = 100;

/// A facilitator.
#[derive(Debug)]
pub struct Settings {
    /// The URL, such as `https://x402.org/facilitator`. `/settle` and `/supported` are below it.
    pub url: BaseUrl,
    /// How this server authenticates.
    pub authentication: Authentication,
}

/// The client of a facilitator.
pub struct Facilitator {
    client: Client,
    settle: Url,
    supported: Url,
    authentication: Authentication,
    requests: Semaphore,
}

impl Facilitator {
    /// A client. It makes no request yet.
    ///
    /// # Errors
    /// The errors of the HTTP client.
    pub fn new(settings: Settings) -> Result<Self, reqwest::Error> {
        let Settings { url, authentication } = settings;
        Ok(Self {
            client: endpoint::client(SUPPORTED_TIMEOUT)?,
            settle: url.join("settle"),
            supported: url.join("supported"),
            authentication,
            requests: Semaphore::new(REQUESTS_MAX),
        })
    }

    /// Asks which payments the facilitator settles.
    ///
    /// # Errors
    /// [`FacilitatorError`]
    pub async fn supported(&self) -> Result<Supported, FacilitatorError> {
        let request = self.request(Method::GET, &self.supported);
        let request = request.map_err(|error| FacilitatorError::Unreachable(error.to_string()))?;
        let response = request.send().await;
        let response = response.map_err(|error| FacilitatorError::Unreachable(endpoint::cause(error)))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(FacilitatorError::Status(status));
        }
        let body = endpoint::read_body(response, ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| FacilitatorError::Body(error.to_string()))?;
        read_answer(&body).map_err(|_other_form| FacilitatorError::Malformed)
    }

    /// Has a payment settled. `payer` is the payer of the checked payment.
    ///
    /// The caller must wait for the result, even if its own caller has gone: without it the outcome is unknown.
    pub async fn settle(&self, request: &SettleRequest<'_>, payer: &Payer, timeout: Duration) -> Settled {
        let start = Instant::now();
        let permit = tokio::time::timeout(timeout.min(PERMIT_TIMEOUT), self.requests.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Settled::new(Answer::NotSent, "too many settlements run at the same time");
        };
        let http = match self.request(Method::POST, &self.settle) {
            Ok(http) => http.json(request).timeout(timeout.saturating_sub(start.elapsed())),
            Err(error) => return Settled::new(Answer::NotSent, error.to_string()),
        };
        let response = match http.send().await {
            Ok(response) => response,
            Err(error) => return unsent_or_missing(error),
        };
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), Utc::now());
        let body = match endpoint::read_body(response, ANSWER_BYTES_MAX).await {
            Ok(body) => body,
            // As if it had no settlement: the status says more.
            Err(BodyError::TooLarge(_)) => Vec::new(),
            Err(error @ BodyError::Broken(_)) => return Settled::new(Answer::Missing, error.to_string()),
        };
        let (outcome, reason) = understand(status, &body, &request.payment_requirements.network, payer);
        let is_limited = outcome == Outcome::Refused { status: 429 };
        Settled::new(if is_limited { Answer::Limited { retry_after } } else { Answer::Outcome(outcome) }, reason)
    }

    fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, NoToken> {
        let nonce = rand::rng().random();
        let headers = self.authentication.headers_of(method.as_str(), url, Utc::now(), nonce)?;
        Ok(self.client.request(method, url.clone()).headers(headers))
    }
}

fn unsent_or_missing(error: reqwest::Error) -> Settled {
    // Without a connection, or without a request to write, no byte of the payment has left.
    let is_unsent = error.is_connect() || error.is_builder();
    Settled::new(if is_unsent { Answer::NotSent } else { Answer::Missing }, endpoint::cause(error))
}

/// What an answer says, and the reason for the log.
pub(super) fn understand(status: u16, body: &[u8], network: &str, payer: &Payer) -> (Outcome, String) {
    let settlement: Option<SettlementResponse> = read_answer(body).ok();
    let outcome = outcome(status, body);
    let Some(settlement) = settlement else {
        return (outcome, format!("the facilitator answered {status} without a settlement"));
    };
    if matches!(outcome, Outcome::Settled { .. }) {
        if settlement.network != network {
            return (Outcome::Unknown, "the facilitator names another network".to_owned());
        }
        if settlement.payer.is_some_and(|claimed| claimed.parse().as_ref() != Ok(payer)) {
            return (Outcome::Unknown, "the facilitator names another payer".to_owned());
        }
    }
    let code = settlement.error_reason.unwrap_or_default();
    let is_code = code.len() <= CODE_CHARS_MAX && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let reason = match (settlement.success, code.as_str()) {
        (true, _) => format!("the facilitator answered {status} with a success"),
        (false, "") => format!("the facilitator answered {status} without a code"),
        (false, code) if is_code => format!("the facilitator answered {status} with the code {code}"),
        (false, _) => format!("the facilitator answered {status} with a code that can't be shown"),
    };
    (outcome, reason)
}

/// The time in `Retry-After`: a number of seconds or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let asked = if is_number {
        // A number of more than 64 bits is above the limit, too.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = DateTime::parse_from_rfc2822(value).ok()?;
        date.to_utc().signed_duration_since(now).to_std().unwrap_or_default()
    };
    Some(asked.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::*;
    use crate::endpoint::testing::{Reply, Server, closed_url};
    use crate::facilitator::CdpKey;
    use crate::x402::{PaymentPayload, Reason, Requirements, VERSION};

    const PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    const HASH: &str = "0xabababababababababababababababababababababababababababababababab";
    const TIMEOUT: Duration = Duration::from_secs(5);
    /// A text of the facilitator that must not come into a log.
    const INTERNAL: &str = "internal";

    fn requirements() -> Requirements {
        let requirements = json!({
            "scheme": "exact", "network": "eip155:84532", "amount": "1000",
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "payTo": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "maxTimeoutSeconds": 60
        });
        serde_json::from_value(requirements).unwrap()
    }

    fn success() -> Value {
        json!({"success": true, "transaction": HASH, "network": "eip155:84532", "payer": PAYER})
    }

    fn client(url: &BaseUrl, authentication: Authentication) -> Facilitator {
        Facilitator::new(Settings { url: url.clone(), authentication }).unwrap()
    }

    async fn settle(facilitator: &Facilitator, timeout: Duration) -> Settled {
        let payment = json!({"x402Version": 2, "payload": {"secret": "payment"}, "accepted": requirements()});
        let payment = PaymentPayload::from_json(payment.to_string()).unwrap();
        let request =
            SettleRequest { x402_version: VERSION, payment_payload: &payment, payment_requirements: requirements() };
        let settled = facilitator.settle(&request, &PAYER.parse().unwrap(), timeout).await;
        for hidden in ["127.0.0.1", "payment\"", INTERNAL] {
            assert!(!settled.reason.contains(hidden), "{}", settled.reason);
        }
        settled
    }

    /// What becomes of a payment if the facilitator replies so.
    async fn after(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Settled {
        let server = Server::start(move |_| reply()).await;
        settle(&client(server.url(), Authentication::None), TIMEOUT).await
    }

    async fn after_body(status: u16, body: &str) -> (Outcome, String) {
        let body = body.to_owned();
        let Settled { answer, reason } = after(move || Reply::text(status, &body)).await;
        let Answer::Outcome(outcome) = answer else { panic!("{answer:?}") };
        (outcome, reason)
    }

    #[tokio::test]
    async fn a_payment_is_settled_and_connections_are_used_again() {
        let server = Server::start(|_| Reply::text(200, &success().to_string())).await;
        let facilitator = client(server.url(), Authentication::None);
        for _ in 0..3 {
            let outcome = Outcome::Settled { transaction: HASH.to_owned(), payer: Some(PAYER.to_owned()) };
            assert_eq!(settle(&facilitator, TIMEOUT).await.answer, Answer::Outcome(outcome));
        }
        let requests = server.requests();
        assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [0; 3]);
        assert_eq!(requests[0].target, "POST /settle");
        assert_eq!(requests[0].header("content-type"), Some("application/json"));
        assert_eq!(requests[0].header("authorization"), None);
        let body: Value = serde_json::from_str(&requests[0].body).unwrap();
        assert_eq!(body["x402Version"], 2);
        assert_eq!(body["paymentPayload"]["payload"]["secret"], "payment");
        assert_eq!(body["paymentRequirements"]["amount"], "1000");
    }

    #[tokio::test]
    async fn a_success_is_of_the_network_and_the_payer() {
        for (member, value, is_settled) in [
            ("payer", json!(PAYER.to_lowercase()), true),
            ("payer", json!(null), true),
            ("payer", json!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"), false),
            ("payer", json!(&PAYER[..41]), false),
            ("payer", json!(""), false),
            ("network", json!("eip155:8453"), false),
            ("network", json!("base-sepolia"), false),
            ("network", json!(null), false),
        ] {
            let mut body = success();
            body[member] = value;
            let (outcome, reason) = after_body(200, &body.to_string()).await;
            assert_eq!(matches!(outcome, Outcome::Settled { .. }), is_settled, "{body}");
            assert!(is_settled || (outcome == Outcome::Unknown && reason.contains("another")), "{reason}");
        }
    }

    #[tokio::test]
    async fn a_body_counts_whatever_the_status() {
        let failed = |code: &str| {
            let message = INTERNAL;
            json!({"success": false, "errorReason": code, "errorMessage": message, "transaction": HASH}).to_string()
        };
        for status in [200, 402, 429, 500] {
            let (outcome, reason) = after_body(status, &failed("insufficient_funds")).await;
            assert_eq!(outcome, Outcome::Rejected(Reason::InsufficientFunds));
            assert_eq!(reason, format!("the facilitator answered {status} with the code insufficient_funds"));
            let (outcome, _) = after_body(status, &failed("settlement_pending")).await;
            assert_eq!(outcome, Outcome::Pending { transaction: HASH.to_owned() });
            let (outcome, reason) = after_body(status, &failed(&format!("{INTERNAL} error\\n"))).await;
            assert_eq!(outcome, Outcome::Unknown);
            assert!(reason.ends_with("a code that can't be shown"), "{reason}");
        }
        assert_eq!(after_body(503, &success().to_string()).await.0, Outcome::Unknown);
    }

    #[tokio::test]
    async fn an_answer_without_a_settlement_is_unknown_or_refused() {
        let success = success().to_string();
        let large = success.replacen('{', &format!("{{{}", " ".repeat(2 << 20)), 1);
        for body in ["", "<html>502 internal</html>", "{}", &success[..60], "[]", "1e999", &large] {
            assert_eq!(after_body(200, body).await.0, Outcome::Unknown, "{:.80}", body);
            assert_eq!(after_body(502, body).await.0, Outcome::Unknown);
            for status in [401, 403] {
                assert_eq!(after_body(status, body).await.0, Outcome::Refused { status });
            }
        }
        let at_limit = success.replacen('{', &format!("{{{}", " ".repeat(ANSWER_BYTES_MAX - success.len())), 1);
        assert!(matches!(after_body(200, &at_limit).await.0, Outcome::Settled { .. }));
        assert_eq!(after_body(200, &format!("{at_limit} ")).await.0, Outcome::Unknown);
        let (outcome, _) = after_body(307, "").await;
        assert_eq!(outcome, Outcome::Unknown);
    }

    #[tokio::test]
    async fn a_busy_facilitator_says_when_to_come_again() {
        for (header, seconds) in [
            ("", None),
            ("retry-after: 7\r\n", Some(7)),
            ("retry-after: 61\r\n", Some(60)),
            ("retry-after: 99999999999999999999999\r\n", Some(60)),
            ("retry-after: Tue, 31 Dec 2999 23:59:59 GMT\r\n", Some(60)),
            ("retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", Some(0)),
            ("retry-after: -1\r\n", None),
            ("retry-after: soon\r\n", None),
        ] {
            let settled = after(move || Reply::with(429, header, "<html>")).await;
            assert_eq!(settled.answer, Answer::Limited { retry_after: seconds.map(Duration::from_secs) }, "{header}");
        }
        let now = DateTime::parse_from_rfc2822("Sun, 06 Nov 1994 08:49:30 GMT").unwrap().to_utc();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap())]);
        assert_eq!(retry_after(&headers, now), Some(Duration::from_secs(7)));
    }

    #[tokio::test]
    async fn without_a_connection_the_payment_is_not_sent() {
        let closed = client(&closed_url().await, Authentication::None);
        assert_eq!(settle(&closed, TIMEOUT).await.answer, Answer::NotSent);
        // A server without TLS.
        let server = Server::start(|_| Reply::raw("HTTP/1.1 400 A\r\n\r\n")).await;
        let url = server.url().url().as_str().replace("http:", "https:").parse().unwrap();
        assert_eq!(settle(&client(&url, Authentication::None), TIMEOUT).await.answer, Answer::NotSent);
    }

    #[tokio::test]
    async fn a_payment_without_a_whole_answer_may_have_moved_money() {
        let short = Duration::from_millis(200);
        let server = Server::start(|_| Reply::Hang).await;
        let settled = settle(&client(server.url(), Authentication::None), short).await;
        assert_eq!(settled.answer, Answer::Missing);
        assert_eq!(server.requests().len(), 1);
        for broken in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 429 A\r\ncontent-length: 9\r\n\r\n{}", "SSH-2.0\r\n"] {
            let server = Server::start(move |_| Reply::raw(broken)).await;
            let settled = settle(&client(server.url(), Authentication::None), TIMEOUT).await;
            assert_eq!(settled.answer, Answer::Missing, "{broken}");
            assert_eq!(server.requests().len(), 1, "a payment is not sent again: {broken}");
        }
    }

    #[tokio::test]
    async fn settlements_are_limited_in_number() {
        let server = Server::start(|_| Reply::Hang).await;
        let facilitator = client(server.url(), Authentication::None);
        let _all = facilitator.requests.acquire_many(u32::try_from(REQUESTS_MAX).unwrap()).await.unwrap();
        assert_eq!(settle(&facilitator, Duration::from_millis(50)).await.answer, Answer::NotSent);
        assert_eq!(server.requests().len(), 0);
    }

    #[tokio::test]
    async fn the_server_authenticates() {
        let server = Server::start(|_| Reply::text(200, r#"{"kinds":[]}"#)).await;
        let headers = Authentication::headers([("X-Api-Key", &SecretString::from("hidden"))]).unwrap();
        client(server.url(), headers).supported().await.unwrap();
        let secret = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
        let key = CdpKey::new("key-1", &SecretString::from(secret)).unwrap();
        let cdp = client(server.url(), Authentication::Cdp(key));
        cdp.supported().await.unwrap();
        settle(&cdp, TIMEOUT).await;
        let requests = server.requests();
        assert_eq!(requests[0].header("x-api-key"), Some("hidden"));
        let tokens: Vec<&str> = requests[1..].iter().map(|request| request.header("authorization").unwrap()).collect();
        let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        for (token, operation) in tokens.iter().zip(["GET /supported", "POST /settle"]) {
            let claims = token.strip_prefix("Bearer ").unwrap().split('.').nth(1).unwrap();
            let claims: Value = serde_json::from_slice(&base64::Engine::decode(&base64, claims).unwrap()).unwrap();
            let (method, path) = operation.split_once(' ').unwrap();
            let host = server.url().to_string().replace("http://", "");
            assert_eq!(claims["uris"], json!([format!("{method} {host}{path}")]));
            assert!((claims["iat"].as_i64().unwrap() - Utc::now().timestamp()).abs() < 60);
        }
    }

    #[tokio::test]
    async fn a_facilitator_says_what_it_supports() {
        let supported = |status, body: &str| {
            let body = body.to_owned();
            async move {
                let server = Server::start(move |_| Reply::text(status, &body)).await;
                client(server.url(), Authentication::None).supported().await
            }
        };
        let kinds = r#"{"kinds":[{"x402Version":2,"scheme":"exact","network":"eip155:84532"}],"signers":{}}"#;
        assert!(supported(200, kinds).await.unwrap().has("eip155:84532".parse().unwrap()));
        for body in ["", "<html>", "{}", &kinds[..40], r#"{"kinds":[{"x402Version":-1}]}"#] {
            assert_eq!(supported(200, body).await, Err(FacilitatorError::Malformed), "{body}");
        }
        assert_eq!(supported(401, kinds).await, Err(FacilitatorError::Status(401)));
        assert_eq!(supported(302, kinds).await, Err(FacilitatorError::Status(302)));
        assert!(matches!(supported(200, &" ".repeat(2 << 20)).await, Err(FacilitatorError::Body(_))));
        let closed = client(&closed_url().await, Authentication::None).supported().await;
        assert!(matches!(closed, Err(FacilitatorError::Unreachable(_))));
    }
}
