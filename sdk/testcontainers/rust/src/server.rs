use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// An error of the container or of a request to the server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The container did not start.
    #[error(transparent)]
    Container(#[from] testcontainers::TestcontainersError),
    /// The server did not answer.
    #[error(transparent)]
    Connection(#[from] reqwest::Error),
    /// The server refused a request: status, code and detail of its answer.
    #[error("{0}")]
    Refused(String),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A running `payerbase dev`. It needs no container.
#[derive(Debug, Clone)]
pub struct Server {
    url: String,
    http: Client,
}

impl Server {
    /// The server at a base URL such as `http://localhost:4402`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), http: Client::new() }
    }

    /// The base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A bearer token of `payer`, a wallet address.
    #[must_use]
    pub fn token(&self, payer: &str) -> String {
        format!("pb_test_{payer}")
    }

    /// A bearer token of a new random payer.
    #[must_use]
    pub fn new_token(&self) -> String {
        self.token(&random_payer())
    }

    /// Erases all data of `payer`, a wallet address.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] or [`Error::Refused`].
    pub async fn reset(&self, payer: &str) -> Result<()> {
        self.send(Method::DELETE, &format!("/dev/payers/{payer}"), |request| request).await.map(drop)
    }

    /// Moves the clock of the server forward by whole milliseconds. Returns the new time, RFC 3339 in UTC.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] or [`Error::Refused`].
    pub async fn advance_clock(&self, duration: Duration) -> Result<String> {
        let body = json!({ "advanceMs": u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) });
        let clock: Value = self.send(Method::POST, "/dev/clock", |request| request.json(&body)).await?.json().await?;
        Ok(clock.get("now").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Sets the URL that the server writes into short URLs and sign-in messages. It cannot be changed later.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] or [`Error::Refused`].
    pub async fn set_public_url(&self, url: &str) -> Result<()> {
        let body = json!({ "url": url });
        self.send(Method::PUT, "/dev/public-url", |request| request.json(&body)).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let request = self.http.request(method.clone(), format!("{}{path}", self.url)).timeout(Duration::from_secs(30));
        let response = with(request).send().await?;
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Error::Refused(format!("{method} {path}: {status} {}", detail(&response.text().await?))))
    }
}

/// A random wallet address: `0x` and 40 hexadecimal digits.
#[must_use]
pub fn random_payer() -> String {
    let digits = || format!("{:016x}", RandomState::new().build_hasher().finish());
    format!("0x{:.40}", digits() + &digits() + &digits())
}

/// Code and detail of a problem (RFC 9457), or the text itself if it is not one.
fn detail(text: &str) -> String {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let member = |name| problem.get(name).and_then(Value::as_str);
    match (member("code"), member("detail").or_else(|| member("title"))) {
        (Some(code), Some(detail)) => format!("{code}: {detail}"),
        (None, _) | (_, None) => text.to_owned(),
    }
}
