//! The heads of the requests of a connection, changed so that actix can keep the connection.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Maximum size of a head, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Size of an ordinary head, in bytes. Larger ones count in [`LARGE_HEADS_BYTES_MAX`].
const ORDINARY_HEAD_BYTES: usize = 4 << 10;
/// Maximum size of all large heads that are arriving, in bytes.
const LARGE_HEADS_BYTES_MAX: usize = 32 << 20;
/// actix answers a head with more headers with 431.
const HEADERS_MAX: usize = 96;

/// Size of all large heads that are arriving, in bytes.
static LARGE_HEADS_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The kind of the next bytes.
enum Next {
    Head(Head),
    /// Bytes of a body, with their number.
    Body(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    /// Bytes of a chunk, with their number.
    Chunk(u64),
    /// The end of the line behind a chunk.
    ChunkEnd,
    /// The lines behind the last chunk.
    Trailer,
    /// Bytes that are passed on as they are. actix ends the connection, or a body has come whose end is not known here.
    Anything,
    /// Bytes that are dropped: the request was refused.
    Nothing,
}

/// A head, as far as it has arrived.
#[derive(Default)]
struct Head {
    has_begun: bool,
    /// HTTP/1.0 with `POST`: actix requires a length.
    needs_length: bool,
    is_http_1_1: bool,
    length: Option<u64>,
    is_chunked: bool,
    is_last: bool,
    bytes: usize,
    large: LargeHead,
}

impl Head {
    /// Counts bytes of the head. `false` if it is too large, or too many large heads are arriving.
    fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.bytes <= ORDINARY_HEAD_BYTES || self.bytes <= HEAD_BYTES_MAX && self.large.hold(self.bytes)
    }
}

/// The part of a large head in the size of all large heads. Dropping it gives the bytes back.
struct LargeHead {
    bytes: usize,
    all: &'static AtomicUsize,
}

impl Default for LargeHead {
    fn default() -> Self {
        Self { bytes: 0, all: &LARGE_HEADS_BYTES }
    }
}

impl LargeHead {
    fn hold(&mut self, bytes: usize) -> bool {
        let more = bytes - self.bytes;
        self.bytes = bytes;
        self.all.fetch_add(more, Ordering::Relaxed) + more <= LARGE_HEADS_BYTES_MAX
    }
}

impl Drop for LargeHead {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads the bytes of a client, and writes those for actix.
pub(super) struct Heads {
    next: Next,
    /// The beginning of a line.
    line: Vec<u8>,
    /// Bytes for actix.
    pub ready: Vec<u8>,
}

impl Default for Heads {
    fn default() -> Self {
        Self { next: Next::Head(Head::default()), line: Vec::new(), ready: Vec::new() }
    }
}

impl Heads {
    /// How many of the next bytes are for actix as they are. `None` if none are.
    pub fn passes(&self, count: usize) -> Option<usize> {
        match &self.next {
            Next::Body(left) | Next::Chunk(left) => Some(usize::try_from(*left).unwrap_or(usize::MAX).min(count)),
            Next::Anything => Some(count),
            Next::Head(_) | Next::ChunkSize | Next::ChunkEnd | Next::Trailer | Next::Nothing => None,
        }
    }

    /// Bytes of a body have gone to actix.
    pub fn passed(&mut self, count: usize) {
        let (Next::Body(left) | Next::Chunk(left)) = &mut self.next else { return };
        *left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        if *left == 0 {
            let is_chunk = matches!(self.next, Next::Chunk(_));
            self.next = if is_chunk { Next::ChunkEnd } else { Next::Head(Head::default()) };
        }
    }

    /// Whether a part of a head has arrived, and the rest has not.
    pub fn is_in_head(&self) -> bool {
        // A client may send empty lines behind a request, while it waits for the answer.
        let is_empty = || self.line.iter().all(u8::is_ascii_whitespace);
        matches!(&self.next, Next::Head(head) if head.has_begun || !is_empty())
    }

    pub fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match &mut self.next {
                Next::Head(_) | Next::ChunkSize | Next::ChunkEnd | Next::Trailer => self.read_line(bytes),
                Next::Body(left) | Next::Chunk(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (body, rest) = bytes.split_at(count);
                    self.ready.extend_from_slice(body);
                    self.passed(count);
                    rest
                }
                Next::Anything => {
                    self.ready.extend_from_slice(bytes);
                    &[]
                }
                Next::Nothing => &[],
            };
        }
    }

    /// Reads up to the end of a line. Returns the rest.
    fn read_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        if let Next::Head(head) = &mut self.next
            && !head.grow(part.len())
        {
            self.refuse();
            return &[];
        }
        self.line.extend_from_slice(part);
        if self.line.len() > HEAD_BYTES_MAX {
            self.refuse_chunks();
            return &[];
        }
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.pass(&line);
            self.line = line;
            self.line.clear();
        }
        rest
    }

    /// Makes actix answer a head that is too large with 431.
    fn refuse(&mut self) {
        let Next::Head(head) = std::mem::replace(&mut self.next, Next::Nothing) else { return };
        self.line = Vec::new();
        if !head.has_begun {
            self.ready.extend_from_slice(b"GET / HTTP/1.1\r\n");
        }
        self.ready.extend_from_slice(&b"x:\r\n".repeat(HEADERS_MAX + 1));
        self.ready.extend_from_slice(b"\r\n");
    }

    /// Makes actix refuse a body whose chunks are not followed here.
    fn refuse_chunks(&mut self) {
        self.line = Vec::new();
        self.ready.extend_from_slice(b"!\r\n");
        self.next = Next::Nothing;
    }

    /// Passes a line of a chunked body on.
    fn pass_chunk_line(&mut self, line: &[u8]) {
        let next = match (&self.next, line.strip_suffix(b"\r\n")) {
            (Next::ChunkSize, Some(text)) => after_chunk_size(text),
            (Next::ChunkEnd, Some(b"")) => Some(Next::ChunkSize),
            (Next::Trailer, Some(b"")) => Some(Next::Head(Head::default())),
            (Next::Trailer, Some(_)) => Some(Next::Trailer),
            _ => None,
        };
        match next {
            Some(next) => {
                self.ready.extend_from_slice(line);
                self.next = next;
            }
            None => self.refuse_chunks(),
        }
    }

    /// Passes a line of a head on.
    fn pass(&mut self, line: &[u8]) {
        let Next::Head(head) = &mut self.next else { return self.pass_chunk_line(line) };
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() && head.has_begun {
            if head.needs_length && head.length.is_none() {
                self.ready.extend_from_slice(b"Content-Length: 0\r\n");
            }
            self.ready.extend_from_slice(line);
            self.next = match head.length.unwrap_or_default() {
                _ if head.is_last || head.is_chunked && head.length.is_some() => Next::Anything,
                _ if head.is_chunked => Next::ChunkSize,
                0 => Next::Head(Head::default()),
                length => Next::Body(length),
            };
            return;
        }
        if !head.has_begun {
            // A client may send empty lines before a request.
            head.has_begun = !text.is_empty();
            head.needs_length = text.starts_with(b"POST ") && text.ends_with(b" HTTP/1.0");
            head.is_http_1_1 = text.ends_with(b" HTTP/1.1");
            head.is_last = text.starts_with(b"CONNECT ");
        } else if let Some(value) = value_of(text, b"connection").filter(|value| is_valid(value)) {
            self.ready.extend_from_slice(&without_upgrade(value));
            return;
        } else if value_of(text, b"upgrade").is_some_and(is_valid) {
            return;
        } else if let Some(value) = value_of(text, b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|digits| digits.trim().parse().ok());
            // actix refuses two lengths, and one that is no number.
            head.is_last |= length.is_none() || head.length.is_some();
            head.length = head.length.or(length);
        } else if let Some(value) = value_of(text, b"transfer-encoding") {
            head.is_last |=
                head.is_chunked || !head.is_http_1_1 || !value.trim_ascii().eq_ignore_ascii_case(b"chunked");
            head.is_chunked = true;
        }
        self.ready.extend_from_slice(line);
    }
}

/// The kind of the bytes after the line with the size of a chunk. `None` if the line has no size.
fn after_chunk_size(line: &[u8]) -> Option<Next> {
    let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next()?;
    let is_size = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().filter(|_| is_size)?;
    Some(if size == 0 { Next::Trailer } else { Next::Chunk(size) })
}

/// The value of a header, if the line has this name.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, value) = line.split_at_checked(name.len())?;
    if found.eq_ignore_ascii_case(name) { value.strip_prefix(b":") } else { None }
}

/// Whether a value of a header has only characters that actix takes.
fn is_valid(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

/// The header `Connection` without the option `upgrade`. Nothing if no other option is left.
fn without_upgrade(value: &[u8]) -> Vec<u8> {
    let options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let kept: Vec<&[u8]> =
        options.filter(|option| !option.is_empty() && !option.eq_ignore_ascii_case(b"upgrade")).collect();
    match kept.is_empty() {
        true => Vec::new(),
        false => [b"Connection: ", kept.join(&b", "[..]).as_slice(), b"\r\n"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What actix reads if the client's bytes arrive in parts of this size.
    fn passed(text: &str, part: usize) -> String {
        let mut heads = Heads::default();
        text.as_bytes().chunks(part).for_each(|bytes| heads.read(bytes));
        String::from_utf8(heads.ready).unwrap()
    }

    #[track_caller]
    fn becomes(sent: &str, read: &str) {
        for part in [1, 2, 3, 7, 1_000] {
            assert_eq!(passed(sent, part), read, "in parts of {part}");
        }
    }

    #[test]
    fn offers_to_upgrade_are_left_out_of_every_head() {
        becomes(
            "\r\nPOST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
             content-length: 21\r\n\r\nConnection: upgrade\r\nGET /b HTTP/1.1\nCONNECTION:keep-alive ,  UPGRADE\nX: upgrade\n\n",
            "\r\nPOST /a HTTP/1.1\r\nHost: x\r\nConnection: HTTP2-Settings\r\n\
             content-length: 21\r\n\r\nConnection: upgrade\r\nGET /b HTTP/1.1\nConnection: keep-alive\r\nX: upgrade\n\n",
        );
        becomes(
            "GET / HTTP/1.1\r\nConnection: upgrade\r\nConnection: close\r\nUpgrade: websocket\r\nUpgraded: no\r\n\r\n",
            "GET / HTTP/1.1\r\nConnection: close\r\nUpgraded: no\r\n\r\n",
        );
    }

    #[test]
    fn a_post_of_http_1_0_without_a_length_has_no_body() {
        let get = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        becomes(
            &format!("POST / HTTP/1.0\r\nHost: x\r\n\r\n{get}"),
            &format!("POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n{get}"),
        );
        for unchanged in [
            "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            becomes(unchanged, unchanged);
        }
    }

    /// A head that actix refuses must not become one that it accepts, and the bytes of a body must not change.
    #[test]
    fn what_actix_refuses_and_bodies_of_unknown_length_are_unchanged() {
        let after = "GET / HTTP/1.1\r\nConnection: Upgrade\r\n\r\n";
        for head in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Length: x\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Length : 3\r\nContent-Length: 1e3\r\n\r\n",
            "CONNECT x:1 HTTP/1.1\r\n\r\n",
        ] {
            let sent = format!("{head}{after}");
            let read = passed(&sent, 5);
            assert!(read.ends_with(after) && read.contains(head.trim_end()), "{read}");
        }
    }

    #[test]
    fn chunks_that_are_not_followed_are_refused() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let long = format!("1;{}\r\n", "a".repeat(HEAD_BYTES_MAX));
        for (passes, refused) in [
            ("", "+1\r\n"),
            ("", " 1\r\n"),
            ("", "1\n"),
            ("", long.as_str()),
            ("1 ;a\t\r\na", "b\r\n"),
            ("3\r\nabc", "\n"),
            ("0\r\nX: y\r\n", "\n"),
        ] {
            becomes(&format!("{head}{passes}{refused}GET / HTTP/1.1\r\n\r\n"), &format!("{head}{passes}!\r\n"));
        }
    }

    #[test]
    fn a_head_with_characters_that_actix_refuses_is_unchanged() {
        for header in ["Upgrade: a\rb", "Upgrade: a\0", "Connection: upgrade\r", "Connection: upgrade, \x7f"] {
            let head = format!("GET / HTTP/1.1\r\n{header}\r\n\r\n");
            becomes(&head, &head);
        }
    }

    #[test]
    fn a_head_that_is_too_large_becomes_one_with_too_many_headers() {
        let refused = format!("{}\r\n", "x:\r\n".repeat(HEADERS_MAX + 1));
        let long = |count| format!("GET /{} HTTP/1.1\r\n", "a".repeat(count));
        assert_eq!(passed(&long(HEAD_BYTES_MAX), 1_000), format!("GET / HTTP/1.1\r\n{refused}"));
        let begun = long(HEAD_BYTES_MAX - 100);
        let header = format!("A: {}\r\n", "a".repeat(100));
        assert_eq!(passed(&format!("{begun}{header}{header}\r\n"), 7), format!("{begun}{refused}"));
        // Each request has a limit of its own.
        let request = format!("{begun}\r\n");
        becomes(&request.repeat(3), &request.repeat(3));
    }

    #[test]
    fn chunks_are_unchanged_and_the_head_behind_them_is_read() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
                       19;a=b\r\n\r\nConnection: Upgrade\r\n\r\n\r\n3 \r\nabc\r\n0\r\nTrailer: upgrade\r\n\r\n";
        becomes(
            &format!("{chunked}GET / HTTP/1.1\r\nConnection: Upgrade\r\nX: y\r\n\r\n"),
            &format!("{chunked}GET / HTTP/1.1\r\nX: y\r\n\r\n"),
        );
    }

    #[test]
    fn large_heads_have_a_limit_in_sum() {
        static ALL: AtomicUsize = AtomicUsize::new(0);
        let new = || LargeHead { bytes: 0, all: &ALL };
        let mut head = new();
        assert!(head.hold(10) && !head.hold(LARGE_HEADS_BYTES_MAX + 10));
        assert!(!new().hold(10));
        drop(head);
        assert!(new().hold(10));
        assert_eq!(ALL.load(Ordering::Relaxed), 0);
    }
}
