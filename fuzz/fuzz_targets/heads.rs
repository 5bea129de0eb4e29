//! The heads of the requests of a connection, before actix reads them. In whatever parts the bytes arrive, actix reads the same ones,
//! reads them as they are if they pass again, and finds the requests in them that were found here.

#![no_main]

use actix_http::ServiceConfig;
use actix_http::h1::{Codec, Message};
use actix_web::web::BytesMut;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use payerbase::fuzzing::http::{head_ends, heads};
use tokio_util::codec::Decoder as _;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// Lengths of the first parts.
    lengths: [u8; 8],
    /// Bytes between `\n` that are written again and again, to reach the limits of sizes.
    repeat: u8,
    bytes: &'a [u8],
}

thread_local! {
    /// Its clock is a task, which a runtime must start.
    static CONFIG: ServiceConfig = actix_web::rt::System::new().block_on(async { ServiceConfig::default() });
}

/// Larger inputs are not read byte by byte, which takes long.
const SMALL_BYTES: usize = 2 << 10;
/// A head is refused from here on.
const HEAD_BYTES_MAX: usize = 16 << 10;

fuzz_target!(|input: Input<'_>| {
    let Input { lengths, repeat, bytes } = input;
    let mut bytes = bytes.to_vec();
    if repeat > 240 {
        let long =
            bytes.iter().rev().take(64).rev().copied().collect::<Vec<_>>().repeat(usize::from(repeat - 240) * 32);
        bytes.extend(long);
    }
    let whole = heads(&[&bytes], false);
    let mut parts = Vec::new();
    let mut rest = bytes.as_slice();
    for length in lengths {
        let (part, after) = rest.split_at(usize::from(length).min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    for is_passed in [false, true] {
        assert_eq!(heads(&parts, is_passed), whole, "in parts");
        if bytes.len() < SMALL_BYTES {
            assert_eq!(heads(&single, is_passed), whole, "byte by byte");
        }
        assert_eq!(heads(&[&bytes], is_passed), whole, "past");
    }
    if bytes.len() < HEAD_BYTES_MAX / 2 {
        assert_eq!(heads(&[&whole.0], false).0, whole.0, "the bytes for actix pass as they are");
        // What is added are spaces in lists, and the length of a body.
        let lines = bytes.split(|byte| *byte == b'\n').count();
        let most = 2 * bytes.len() + lines * "Content-Length: 0\r\n".len();
        assert!(whole.0.len() <= most);
    }
    if bytes.len() < SMALL_BYTES {
        requests(&bytes, &whole.0);
    }
});

/// A request that actix finds elsewhere could be hidden in the body of another one, behind a proxy.
fn requests(bytes: &[u8], whole: &[u8]) {
    let (read, ends) = head_ends(bytes);
    assert_eq!(read, whole);
    let mut codec = CONFIG.with(|config| Codec::new(config.clone()));
    let mut rest = BytesMut::from(read.as_slice());
    let mut found = Vec::new();
    loop {
        match codec.decode(&mut rest) {
            Ok(Some(Message::Item(_))) => found.push(read.len() - rest.len()),
            Ok(Some(Message::Chunk(_))) => {}
            // It waits for more bytes.
            Ok(None) => break assert_eq!(found, ends),
            // It ends the connection.
            Err(_) => break assert_eq!(found, ends[..found.len()]),
        }
    }
}
