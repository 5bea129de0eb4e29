//! HTTP endpoints that this server calls: their URLs, the client, and the bodies of their answers.

mod base_url;

use std::time::Duration;

use reqwest::{Client, Response};

pub use base_url::{BaseUrl, NotABaseUrl};

/// Timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an idle connection is kept for the next request. Many servers close theirs after 5 seconds. A request on a
/// connection that is being closed has an unknown outcome.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The body of an answer can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection broke, or the time limit passed.
    #[error("the answer broke off: {0}")]
    Broken(String),
    /// The body is larger than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// An HTTP client without redirects. `timeout` is the time limit of a request with its answer.
pub(crate) fn client(timeout: Duration) -> Result<Client, reqwest::Error> {
    // The same TLS provider as for PostgreSQL. An error means that it is installed already.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        // A redirect must not take a key or a payment to another host.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("payerbase/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Reads a body of at most `bytes_max` bytes.
pub(crate) async fn read_body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| BodyError::Broken(cause(error)))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(BodyError::TooLarge(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error as a text for the log, with its causes. The URL, which may be confidential, is left out.
pub(crate) fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::{Reply, Server};
    use super::*;

    #[tokio::test]
    async fn a_body_has_a_limit() {
        for (bytes, is_read) in [(0, true), (1_000, true), (1_001, false), (2 << 20, false)] {
            let server = Server::start(move |_| Reply::text(200, &"a".repeat(bytes))).await;
            let response =
                client(Duration::from_secs(5)).unwrap().get(server.url().url().clone()).send().await.unwrap();
            let body = read_body(response, 1_000).await;
            assert_eq!(body.is_ok_and(|body| body.len() == bytes), is_read, "{bytes}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_body() {
        let server = Server::start(|_| Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}")).await;
        let response = client(Duration::from_secs(5)).unwrap().get(server.url().url().clone()).send().await.unwrap();
        assert!(matches!(read_body(response, 1_000).await, Err(BodyError::Broken(_))));
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_and_errors_have_no_url() {
        let server = Server::start(|_| Reply::raw("HTTP/1.1 307 A\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n")).await;
        let client = client(Duration::from_secs(5)).unwrap();
        assert_eq!(client.get(server.url().url().clone()).send().await.unwrap().status(), 307);
        assert_eq!(server.requests().len(), 1);
        let url = testing::closed_url().await;
        let error = client.get(url.url().clone()).send().await.unwrap_err();
        assert!(error.is_connect());
        let cause = cause(error);
        assert!(cause.contains("refused") && !cause.contains("127.0.0.1/secret"), "{cause}");
    }
}
