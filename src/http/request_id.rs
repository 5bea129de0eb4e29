//! The id of a request. It is in the header `X-Request-Id` of every answer, in every problem and in the log.

use actix_web::http::header::{HeaderMap, HeaderName};
use uuid::Uuid;

/// Header of the request and of the answer.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Length of a caller's id, in characters. A longer id is replaced.
const CHARS_MAX: usize = 128;

/// The caller's id, or a new one if it is missing or malformed.
pub(super) fn of(headers: &HeaderMap) -> String {
    let theirs = headers.get(HEADER).and_then(|header| header.to_str().ok()).filter(|id| is_harmless(id));
    theirs.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn is_harmless(id: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    (1..=CHARS_MAX).contains(&id.len()) && id.bytes().all(harmless)
}
