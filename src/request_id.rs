//! The id of a request: in the header `X-Request-Id` of every answer, in every problem, in the log.

use actix_web::http::header::{HeaderMap, HeaderName};
use uuid::Uuid;

/// The header that carries it, both ways.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over from the caller, in characters.
const CHARS_MAX: usize = 128;

tokio::task_local! {
    pub(crate) static CURRENT: String;
}

/// The id of the request that is being answered.
#[must_use]
pub fn current() -> Option<String> {
    CURRENT.try_with(String::clone).ok()
}

/// The caller's id, if it is harmless, or a new one.
pub(crate) fn of(headers: &HeaderMap) -> String {
    let theirs = headers.get(HEADER).and_then(|header| header.to_str().ok()).filter(|id| is_harmless(id));
    theirs.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn is_harmless(id: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    (1..=CHARS_MAX).contains(&id.len()) && id.bytes().all(harmless)
}
