//! Headers of requests that say who calls and from where: Authorization, Payerbase-Guard, X-Forwarded-For, and tokens of locks.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use actix_web::test::TestRequest;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use payerbase::call::IdempotencyKey;
use payerbase::fuzzing::auth::{token_of, token_of_nonce};
use payerbase::fuzzing::http::guard;
use payerbase::links::visitor::Origins;
use payerbase::locks::types::LockToken;
use secrecy::ExposeSecret as _;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// Values of Authorization.
    Credential(&'a [u8], Option<&'a [u8]>),
    /// A token that the server made, with this text before and behind it.
    Token {
        nonce: &'a str,
        scheme: u8,
        spaces: u8,
        place: u8,
    },
    Guard(&'a str),
    Secret(&'a str),
    Forwarded {
        is_proxy: bool,
        lines: Vec<Vec<Entry<'a>>>,
        forged: &'a [u8],
    },
}

#[derive(Arbitrary, Debug)]
enum Entry<'a> {
    Proxy(u8),
    Client([u8; 4], u16),
    Client6([u8; 16], u16),
    Mapped([u8; 4]),
    Any(&'a [u8]),
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Credential(first, second) => credential(first, second),
    Input::Token { nonce, scheme, spaces, place } => token(nonce, scheme, spaces, place),
    Input::Guard(text) => check_guard(text),
    Input::Secret(text) => secret(text),
    Input::Forwarded { is_proxy, lines, forged } => forwarded(is_proxy, &lines, forged),
});

fn headers(values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            headers.append(AUTHORIZATION, value);
        }
    }
    headers
}

fn credential(first: &[u8], second: Option<&[u8]>) {
    let headers = headers([first].into_iter().chain(second));
    let Ok(id) = token_of(&headers) else { return };
    assert_eq!(headers.get_all(AUTHORIZATION).count(), 1);
    let text = headers.get(AUTHORIZATION).unwrap().to_str().unwrap();
    let (scheme, token) = text.split_once(' ').unwrap();
    assert!(scheme.eq_ignore_ascii_case("bearer"));
    let token = token.trim();
    assert_eq!((token.len(), &token[..8]), (75, "pb_live_"));
    assert_eq!(&token[8..24], id.as_str());
}

fn token(nonce: &str, scheme: u8, spaces: u8, place: u8) {
    let (id, token) = token_of_nonce(nonce);
    assert_eq!(token_of_nonce(nonce).0, id, "a nonce makes one token");
    let token = token.expose_secret();
    let scheme = ["Bearer", "bearer", "BEARER", "bEaReR"][usize::from(scheme % 4)];
    let spaces = " ".repeat(usize::from(spaces % 4));
    let value = format!("{scheme} {spaces}{token}{spaces}");
    assert_eq!(token_of(&headers([&value])).unwrap(), id);
    assert!(token_of(&headers([&value, &value])).is_err(), "there is one");
    let mut changed = token.as_bytes().to_vec();
    let place = usize::from(place) % changed.len();
    changed[place] = if changed[place] == b'x' { b'y' } else { b'x' };
    for wrong in [
        format!("{scheme} {}", String::from_utf8(changed).unwrap()),
        format!("{scheme}{token}"),
        format!("Basic {token}"),
    ] {
        assert!(token_of(&headers([wrong])).is_err());
    }
}

fn check_guard(text: &str) {
    let Ok(found) = guard(text) else { return };
    let name = found.lock.as_str();
    assert!((1..=256).contains(&name.len()) && !name.chars().any(char::is_control));
    assert!(found.fence >= 0);
    let written: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for text in [format!("{written};fence={}", found.fence), format!(" {written} ; fence=0{}", found.fence)] {
        assert_eq!(guard(&text).unwrap(), found);
    }
    assert!(guard(&format!("{text}0000000000000000000")).is_err() || found.fence == 0);
}

fn secret(text: &str) {
    let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert_eq!(IdempotencyKey::parse(text, []).is_some(), is_printable && (8..=128).contains(&text.len()));
    let token = LockToken::try_from(text.to_owned());
    assert_eq!(token.is_ok(), is_printable && (16..=128).contains(&text.len()));
    assert!(token.is_err() || format!("{token:?}") == "Ok(LockToken(..))", "a token is not shown");
}

impl Entry<'_> {
    /// The text that a proxy writes, and the address in it.
    fn write(&self) -> (Vec<u8>, Option<IpAddr>) {
        let (text, address) = match self {
            Self::Proxy(last) => (format!("10.0.0.{last}"), IpAddr::from([10, 0, 0, *last])),
            Self::Client(address, 0) => (IpAddr::from(*address).to_string(), IpAddr::from(*address)),
            Self::Client(address, port) => (SocketAddr::from((*address, *port)).to_string(), IpAddr::from(*address)),
            Self::Client6(address, 0) => (IpAddr::from(*address).to_string(), IpAddr::from(*address)),
            Self::Client6(address, 1) => (format!(" [{}]\t", IpAddr::from(*address)), IpAddr::from(*address)),
            Self::Client6(address, port) => (SocketAddr::from((*address, *port)).to_string(), IpAddr::from(*address)),
            Self::Mapped([a, b, c, d]) => (format!("::ffff:{a}.{b}.{c}.{d}"), IpAddr::from([*a, *b, *c, *d])),
            Self::Any(bytes) => {
                // A header has no other control characters, and a comma ends an entry.
                let is_good = |byte: &&u8| **byte != b',' && (**byte >= b' ' && **byte != 127);
                return ([b"x".as_slice(), &bytes.iter().filter(is_good).copied().collect::<Vec<_>>()].concat(), None);
            }
        };
        (text.into_bytes(), Some(address.to_canonical()))
    }
}

fn forwarded(is_proxy: bool, lines: &[Vec<Entry<'_>>], forged: &[u8]) {
    const NAME: HeaderName = HeaderName::from_static("x-forwarded-for");
    let origins = Origins { proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Origins::default() };
    let peer: IpAddr = if is_proxy { [10, 9, 9, 9].into() } else { [192, 0, 2, 1].into() };
    let client = |first: Option<&[u8]>| {
        let mut request = TestRequest::default().peer_addr((peer, 1).into());
        for line in first.map(<[u8]>::to_vec).into_iter().chain(lines.iter().map(|line| {
            let entries: Vec<Vec<u8>> = line.iter().map(|entry| entry.write().0).collect();
            entries.join(b",".as_slice())
        })) {
            request = request.append_header((NAME, HeaderValue::from_bytes(&line).ok()?));
        }
        let request = request.to_http_request();
        assert_eq!(origins.is_through_proxy(&request), is_proxy);
        Some(origins.client(&request).expect("a connection has a peer"))
    };
    let Some(found) = client(None) else { return };
    // From right to left: the first address that no trusted proxy has.
    let is_trusted = |address: &IpAddr| matches!(address, IpAddr::V4(address) if address.octets()[0] == 10);
    let mut expected = peer;
    let mut is_forgeable = is_proxy;
    if is_proxy {
        // An empty line has one entry, which is no address.
        let entries = lines.iter().flat_map(|line| {
            let entries: Vec<Option<IpAddr>> = line.iter().map(|entry| entry.write().1).collect();
            if entries.is_empty() { vec![None] } else { entries }
        });
        for entry in entries.collect::<Vec<_>>().into_iter().rev() {
            let Some(address) = entry else {
                is_forgeable = false;
                break;
            };
            expected = address;
            if !is_trusted(&address) {
                is_forgeable = false;
                break;
            }
        }
    }
    assert_eq!(found, expected);
    // What a client writes before the entries of the proxies changes nothing.
    if !is_forgeable && let Some(other) = client(Some(forged)) {
        assert_eq!(other, found);
    }
}
