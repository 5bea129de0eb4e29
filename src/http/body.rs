//! The body of a request.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use actix_web::{HttpRequest, web};
use futures_util::StreamExt as _;

use crate::problem::{Code, Problem};

/// Time limit for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a JSON body of at most `bytes_max`. It may be empty.
pub(super) async fn read_body(
    request: &HttpRequest,
    mut payload: Payload,
    bytes_max: usize,
) -> Result<web::Bytes, Problem> {
    let headers = request.headers();
    let too_large = || Problem::new(Code::PayloadTooLarge).member("limitBytes", bytes_max);
    let declared = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let read = async {
        let mut body = web::BytesMut::with_capacity(declared.unwrap_or_default());
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                tracing::debug!(%error, "a body broke off");
                Problem::new(Code::InvalidJson).detail("The body broke off.")
            })?;
            if body.len() + chunk.len() > bytes_max {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    let body = match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(body) => body?,
        Err(_elapsed) => return Err(Problem::new(Code::RequestTimeout)),
    };
    if !body.is_empty() && !is_json(headers) {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    Ok(body)
}

fn is_json(headers: &HeaderMap) -> bool {
    if headers.get_all(CONTENT_TYPE).count() > 1 || headers.get_all(CONTENT_ENCODING).count() > 1 {
        return false;
    }
    let text = |header| headers.get(header).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let media = text(CONTENT_TYPE).unwrap_or_default();
    let (kind, parameters) = media.split_once(';').unwrap_or((&media, ""));
    let is_utf8 = parameters.trim().strip_prefix("charset=").is_none_or(|charset| charset.trim_matches('"') == "utf-8");
    let is_plain = text(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    // The second one is the media type of merge patches (RFC 7396).
    matches!(kind.trim(), "application/json" | "application/merge-patch+json") && is_utf8 && is_plain
}
