//! An endpoint that implements the OpenAI embeddings API: `POST {"model": .., "input": [..]}`.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use reqwest::{Client, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::embed_error::EmbedError;
use super::setting::Endpoint;
use crate::vector::Vector;

/// Maximum number of texts in one request.
const TEXTS_MAX: usize = 64;
/// Size limit of an answer, in bytes: room for 64 vectors of 4,096 numbers of 64 bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Maximum number of requests at the same time.
const REQUESTS_MAX: usize = 16;
/// Timeouts of a connection, and of a request with its answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of a call, retries included.
const PATIENCE: Duration = Duration::from_secs(15);
/// Maximum number of retries of a request.
const RETRIES_MAX: u32 = 2;
/// Maximum back-off before the first retry. It doubles for the next one.
const PAUSE_MAX: Duration = Duration::from_millis(300);

/// The endpoint.
pub(super) struct Remote {
    client: Client,
    endpoint: Endpoint,
    requests: Semaphore,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vector,
}

/// Why a request failed, and whether a retry may succeed.
struct Refused {
    reason: String,
    retry: bool,
}

impl Refused {
    fn finally(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: false }
    }
}

impl Remote {
    pub fn new(endpoint: Endpoint) -> Result<Self, reqwest::Error> {
        // The same TLS provider as for PostgreSQL. An error means that it is installed already.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            // A redirect must not take the key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("payerbase/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, endpoint, requests: Semaphore::new(REQUESTS_MAX) })
    }

    pub async fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, EmbedError> {
        let parts: Vec<Vec<&str>> = texts.iter().map(|text| split(text, self.endpoint.part_bytes_max)).collect();
        let all: Vec<&str> = parts.iter().flatten().copied().collect();
        let deadline = Instant::now() + PATIENCE;
        let mut vectors = Vec::with_capacity(all.len());
        for some in all.chunks(TEXTS_MAX) {
            vectors.extend(self.request_until(some, deadline).await?);
        }
        self.check_dimensions(&vectors)?;
        let mut vectors = vectors.into_iter();
        let of_texts = parts.into_iter().map(|parts| {
            let of_parts: Vec<(Vector, &str)> = vectors.by_ref().zip(parts).collect();
            match of_parts.as_slice() {
                [(vector, _)] => Some(vector.clone()),
                several => Vector::mean(several.iter().map(|(vector, part)| (vector.as_slice(), weight(part)))),
            }
        });
        let of_texts: Option<Vec<Vector>> = of_texts.collect();
        of_texts.ok_or_else(|| EmbedError::Failed("the vectors of a text's parts have no mean".to_owned()))
    }

    async fn request_until(&self, texts: &[&str], deadline: Instant) -> Result<Vec<Vector>, EmbedError> {
        let mut retries = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let permit = tokio::time::timeout(left, self.requests.acquire()).await;
            let Ok(Ok(_permit)) = permit else { return Err(EmbedError::Overloaded) };
            let left = deadline.saturating_duration_since(Instant::now());
            let refused = match tokio::time::timeout(left, self.request(texts)).await {
                Ok(Ok(vectors)) => return Ok(vectors),
                Ok(Err(refused)) => refused,
                Err(_elapsed) => Refused::finally("the endpoint did not answer in time"),
            };
            if !refused.retry || retries == RETRIES_MAX {
                return Err(EmbedError::Failed(refused.reason));
            }
            let jitter: f64 = rand::rng().random();
            tokio::time::sleep(PAUSE_MAX.mul_f64(jitter) * 2_u32.pow(retries)).await;
            retries += 1;
        }
    }

    async fn request(&self, texts: &[&str]) -> Result<Vec<Vector>, Refused> {
        let mut body = json!({"model": self.endpoint.model, "input": texts, "encoding_format": "float"});
        if let (Some(dimensions), Some(members)) = (self.endpoint.dimensions, body.as_object_mut()) {
            members.insert("dimensions".to_owned(), dimensions.into());
        }
        let mut request = self.client.post(self.endpoint.url.clone()).json(&body);
        if let Some(key) = &self.endpoint.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = request.send().await.map_err(|error| Refused {
            // The reason is logged, so it must not contain the URL, which may be confidential.
            reason: format!("the endpoint cannot be reached: {}", error.without_url()),
            retry: true,
        })?;
        let status = response.status();
        if !status.is_success() {
            let retry = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
            return Err(Refused { reason: format!("the endpoint answered {status}"), retry });
        }
        let body = read(response).await?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| Refused::finally(format!("the endpoint's answer is not valid: {error}")))?;
        in_order(answer, texts.len())
    }

    /// All vectors of a call must have the requested number of dimensions, or that of the first vector if none was
    /// requested. It may change between calls: vectors with other dimensions belong to another space.
    fn check_dimensions(&self, vectors: &[Vector]) -> Result<(), EmbedError> {
        let mut dimensions = vectors.iter().map(|vector| vector.as_slice().len());
        let expected = self.endpoint.dimensions.or_else(|| dimensions.clone().next());
        match dimensions.find(|dimensions| Some(*dimensions) != expected) {
            Some(other) => Err(EmbedError::Failed(format!(
                "the endpoint returned a vector of {other} dimensions, expected {}",
                expected.unwrap_or_default()
            ))),
            None => Ok(()),
        }
    }
}

/// The vectors of an answer, in the order of the texts.
fn in_order(mut answer: Answer, count: usize) -> Result<Vec<Vector>, Refused> {
    answer.data.sort_by_key(|item| item.index);
    if !answer.data.iter().map(|item| item.index).eq(0..count) {
        return Err(Refused::finally("the endpoint did not return one vector for each text"));
    }
    Ok(answer.data.into_iter().map(|item| item.embedding).collect())
}

async fn read(mut response: Response) -> Result<Vec<u8>, Refused> {
    let broke = |error: reqwest::Error| Refused {
        reason: format!("the endpoint's answer broke off: {}", error.without_url()),
        retry: true,
    };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broke)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Refused::finally("the endpoint's answer is larger than 16 MiB"));
        }
    }
    Ok(body)
}

#[expect(clippy::as_conversions, reason = "a length in bytes is far below 2^53")]
fn weight(part: &str) -> f64 {
    part.len() as f64
}

/// Splits a text into parts of at most `bytes_max` bytes, at spaces where possible.
fn split(text: &str, bytes_max: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > bytes_max {
        let (head, _) = rest.split_at(rest.floor_char_boundary(bytes_max));
        let end = head.rfind(char::is_whitespace).filter(|end| *end > 0).unwrap_or(head.len());
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    // A part with only spaces has no meaning to embed.
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_split_at_spaces_without_loss() {
        let text = "word ".repeat(5_000);
        let parts = split(&text, 6_000);
        assert!(parts.len() == 5 && parts.iter().all(|part| part.len() <= 6_000), "{}", parts.len());
        assert_eq!(parts.iter().flat_map(|part| part.split_whitespace()).count(), 5_000);
        let text = "\u{6771}".repeat(100_000);
        assert_eq!(split(&text, 6_000).concat(), text);
        assert_eq!(split("short", 6_000), ["short"]);
    }
}
