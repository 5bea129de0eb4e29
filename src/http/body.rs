//! The body of a request.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use actix_web::{HttpMessage as _, HttpRequest, web};
use futures_util::StreamExt as _;

use crate::auth::Proof;
use crate::budget::Held;
use crate::call::{Engine, Spec};
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// Time limit for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a file to arrive.
const FILE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a body that do not count in the budget.
const FREE_BYTES: usize = 16 << 10;
/// Size of the parts of a body that is arriving, in bytes.
const PART_BYTES: usize = 128 << 10;

/// A body that has arrived.
pub(super) struct Body {
    pub bytes: web::Bytes,
    /// The memory of a large body. Its values need more, but only while a thread reads it.
    pub held: Option<Held>,
}

/// The payer that sends a body.
pub(super) struct Caller {
    pub payer: Payer,
    pub engine: web::Data<Engine>,
}

impl Caller {
    pub fn of(request: &HttpRequest) -> Option<Self> {
        let payer = request.extensions().get::<Proof>()?.caller().clone();
        Some(Self { payer, engine: request.app_data::<web::Data<Engine>>()?.clone() })
    }
}

/// Reads the body: JSON, or a file. It is empty if the client sent none, or only white space or `null`: generated clients send `null` for
/// a body that was not given. It waits for room in memory before it is read.
pub(super) async fn read_body(
    request: &HttpRequest,
    mut payload: Payload,
    spec: &Spec,
    caller: Option<&Caller>,
) -> Result<Body, Problem> {
    let (headers, bytes_max) = (request.headers(), spec.body_bytes_max);
    let too_large = || {
        let detail = format!("The body may have {bytes_max} bytes at most.");
        Problem::new(Code::PayloadTooLarge).detail(detail).member("limitBytes", bytes_max)
    };
    let declared = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let mut held = None;
    // Bodies that wait for room hold nothing meanwhile, so they do not wait for each other.
    hold(&mut held, caller, declared.unwrap_or_default()).await?;
    let read = async {
        let mut body = Parts::default();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                tracing::debug!(%error, "a body broke off");
                Problem::new(Code::InvalidJson).detail("The body broke off.")
            })?;
            if body.bytes + chunk.len() > bytes_max {
                return Err(too_large());
            }
            hold(&mut held, caller, body.bytes + chunk.len()).await?;
            body.push(&chunk);
        }
        Ok(body.join())
    };
    let patience = if spec.takes_file.is_some() { FILE_TIMEOUT } else { BODY_TIMEOUT };
    let bytes = match tokio::time::timeout(patience, read).await {
        Ok(body) => body?,
        Err(_elapsed) => return Err(Problem::new(Code::RequestTimeout)),
    };
    if let Some(media_type) = spec.takes_file {
        return if is_file(headers, media_type) {
            Ok(Body { bytes, held })
        } else {
            Err(Problem::new(Code::UnsupportedMediaType)
                .detail(format!("Send `Content-Type: {media_type}`, without a content encoding.")))
        };
    }
    let bytes = without_mark(bytes);
    if is_absent(&bytes) {
        return Ok(Body { bytes: web::Bytes::new(), held: None });
    }
    if !is_json(headers) {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    Ok(Body { bytes, held })
}

/// A body as it arrives. It grows without being copied, and takes little more memory than is counted.
#[derive(Default)]
struct Parts {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
    bytes: usize,
}

impl Parts {
    fn push(&mut self, mut chunk: &[u8]) {
        self.bytes += chunk.len();
        while self.last.len() + chunk.len() > PART_BYTES {
            let (fits, rest) = chunk.split_at(PART_BYTES - self.last.len());
            self.last.extend_from_slice(fits);
            self.full.push(std::mem::take(&mut self.last));
            chunk = rest;
        }
        self.last.extend_from_slice(chunk);
    }

    fn join(mut self) -> web::Bytes {
        if self.full.is_empty() {
            return self.last.into();
        }
        self.full.push(self.last);
        self.full.concat().into()
    }
}

/// Holds memory for a body of this size, as soon as there is room.
async fn hold(held: &mut Option<Held>, caller: Option<&Caller>, bytes: usize) -> Result<(), Problem> {
    let Some(caller) = caller.filter(|_| bytes > FREE_BYTES) else { return Ok(()) };
    let held = held.get_or_insert_with(|| caller.engine.requests().hold(&caller.payer, 0));
    let more = bytes.saturating_sub(held.bytes());
    if more == 0 || held.grow_in_time(more).await { Ok(()) } else { Err(no_memory()) }
}

fn no_memory() -> Problem {
    Problem::new(Code::Overloaded).detail(
        "Nothing was changed: the requests that are on their way need too much memory. Try again, with fewer large requests at the same time.",
    )
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

/// The header in lower case; empty without one.
fn text(headers: &HeaderMap, header: HeaderName) -> String {
    headers.get(header).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase()).unwrap_or_default()
}

/// Whether the body is sent as one type, without an encoding.
fn is_plain(headers: &HeaderMap) -> bool {
    let is_sent_once = headers.get_all(CONTENT_TYPE).count() <= 1 && headers.get_all(CONTENT_ENCODING).count() <= 1;
    is_sent_once && matches!(text(headers, CONTENT_ENCODING).as_str(), "" | "identity")
}

fn is_file(headers: &HeaderMap, media_type: &str) -> bool {
    let media = text(headers, CONTENT_TYPE);
    is_plain(headers) && (media.trim() == media_type || media.trim() == "application/octet-stream")
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = text(headers, CONTENT_TYPE);
    let mut parts = media.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    // Other parameters mean nothing for JSON.
    let mut charsets =
        parts.filter_map(|parameter| parameter.split_once('=').filter(|(name, _)| name.trim() == "charset"));
    let is_utf8 =
        charsets.all(|(_, charset)| matches!(charset.trim().trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    // The second one is the media type of merge patches (RFC 7396).
    matches!(kind, "application/json" | "application/merge-patch+json") && is_utf8 && is_plain(headers)
}
