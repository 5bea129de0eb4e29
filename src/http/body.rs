//! The body of a request.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use actix_web::{HttpRequest, web};
use futures_util::StreamExt as _;

use crate::problem::{Code, Problem};

/// Time limit for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a JSON body of at most `bytes_max`. It is empty if the client sent none, or only white space or `null`: generated
/// clients send `null` for a body that was not given.
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
    let body = without_mark(body);
    if is_absent(&body) {
        return Ok(web::Bytes::new());
    }
    if !is_json(headers) {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    Ok(body)
}

/// The body without a byte order mark, which parsers may ignore (RFC 8259, 8.1).
fn without_mark(body: web::Bytes) -> web::Bytes {
    match body.strip_prefix(b"\xef\xbb\xbf") {
        Some(text) => body.slice_ref(text),
        None => body,
    }
}

fn is_absent(body: &[u8]) -> bool {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let from = body.iter().position(|byte| !is_space(byte)).unwrap_or(body.len());
    let to = body.iter().rposition(|byte| !is_space(byte)).map_or(from, |last| last + 1);
    matches!(body.get(from..to), Some(b"" | b"null"))
}

fn is_json(headers: &HeaderMap) -> bool {
    if headers.get_all(CONTENT_TYPE).count() > 1 || headers.get_all(CONTENT_ENCODING).count() > 1 {
        return false;
    }
    let text = |header| headers.get(header).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let media = text(CONTENT_TYPE).unwrap_or_default();
    let mut parts = media.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    // Other parameters mean nothing for JSON.
    let mut charsets =
        parts.filter_map(|parameter| parameter.split_once('=').filter(|(name, _)| name.trim() == "charset"));
    let is_utf8 =
        charsets.all(|(_, charset)| matches!(charset.trim().trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    let is_plain = text(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    // The second one is the media type of merge patches (RFC 7396).
    matches!(kind, "application/json" | "application/merge-patch+json") && is_utf8 && is_plain
}
