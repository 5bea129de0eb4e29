//! The conditions of a call, from its headers.

use actix_web::http::header::{HeaderMap, HeaderName};

use super::parameters::{Parameters, decode};
use super::paywall::PAYMENT_SIGNATURE;
use crate::call::{Conditions, Guard, IdempotencyKey, Operation, digest_of};
use crate::name::Name;
use crate::number::Integers;
use crate::payer::{NotAnAddress, Payer};
use crate::problem::{Code, Problem};
use crate::turn::Access;

/// Header with the idempotency key of a write.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Header with the lock that a write must hold: `name; fence=12`.
pub const GUARD: HeaderName = HeaderName::from_static("payerbase-guard");

/// Header with the payer for which the caller acts.
pub const ACT_FOR: HeaderName = HeaderName::from_static("payerbase-act-for");

/// Header that asks for wide integers as strings: `number` or `string`.
pub const INTEGERS: HeaderName = HeaderName::from_static("payerbase-integers");

/// The prefix of the headers that only payerbase knows.
const OWN_PREFIX: &str = "payerbase-";

/// The headers of conditions, copied. A header with our prefix that this version does not know is refused: a call whose guard has a
/// typing error must not run without it.
pub(super) fn of_conditions(headers: &HeaderMap) -> Result<HeaderMap, Problem> {
    let mut found = HeaderMap::new();
    for (name, value) in headers {
        if [IDEMPOTENCY_KEY, GUARD, ACT_FOR, INTEGERS, PAYMENT_SIGNATURE].contains(name) {
            found.append(name.clone(), value.clone());
        } else if name.as_str().starts_with(OWN_PREFIX) {
            return Err(invalid_header(name, "this version does not know it"));
        }
    }
    Ok(found)
}

/// The conditions in the headers. The path, the query and the body identify the request of an idempotency key.
pub(super) fn conditions<M: Operation>(
    headers: &HeaderMap,
    parameters: &Parameters,
    body: Option<&[u8]>,
) -> Result<Conditions, Problem> {
    let guard_text = sole_header(headers, &GUARD)?;
    let guard = guard_text.map(parse_guard).transpose()?;
    let key_text = sole_header(headers, &IDEMPOTENCY_KEY)?;
    let act_for = sole_header(headers, &ACT_FOR)?.map(str::as_bytes);
    let of_request = || {
        let parameters = parameters.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let parts = [M::SPEC.name.as_bytes(), guard_text.unwrap_or_default().as_bytes()];
        parts.into_iter().chain(parameters).chain(body).chain(act_for)
    };
    let is_paid = headers.contains_key(PAYMENT_SIGNATURE);
    let request_sha256 = is_paid.then(|| Box::new(digest_of(of_request().chain(key_text.map(str::as_bytes)))));
    if M::SPEC.access != Access::Write {
        // A read ignores a key. A guard would promise a check that does not happen.
        return match guard {
            Some(_) => Err(invalid_header(&GUARD, "only writes can be guarded")),
            None => Ok(Conditions { request_sha256, ..Conditions::default() }),
        };
    }
    let key = key_text.map(|key| {
        let key = IdempotencyKey::parse(key, of_request()).map(Box::new);
        key.ok_or_else(|| invalid_header(&IDEMPOTENCY_KEY, "must be 8 to 128 characters of printable ASCII"))
    });
    Ok(Conditions { key: key.transpose()?, guard, request_sha256, ..Conditions::default() })
}

/// The payer for which the caller acts.
pub(super) fn act_for(headers: &HeaderMap) -> Result<Option<Payer>, Problem> {
    let payer = sole_header(headers, &ACT_FOR)?;
    let payer = payer.map(|payer| payer.trim().parse());
    payer.transpose().map_err(|no_address: NotAnAddress| invalid_header(&ACT_FOR, &no_address.to_string()))
}

/// How the answer writes wide integers.
pub(super) fn integers(headers: &HeaderMap) -> Result<Integers, Problem> {
    match sole_header(headers, &INTEGERS)? {
        None | Some("number") => Ok(Integers::Numbers),
        Some("string") => Ok(Integers::Strings),
        Some(_) => Err(invalid_header(&INTEGERS, "must be `number` or `string`")),
    }
}

fn sole_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name);
    let value = values.next().map(|value| value.to_str().map_err(|_not_ascii| invalid_header(name, "must be ASCII")));
    if values.next().is_some() {
        return Err(invalid_header(name, "must be sent once"));
    }
    value.transpose()
}

fn invalid_header(name: &HeaderName, detail: &str) -> Problem {
    Problem::new(Code::InvalidHeader).member("header", name.as_str()).detail(format!("{name}: {detail}."))
}

pub(super) fn parse_guard(text: &str) -> Result<Guard, Problem> {
    let parsed = text.rsplit_once(';').and_then(|(lock, fence)| {
        let fence = fence.trim().strip_prefix("fence=")?;
        let is_number = !fence.is_empty() && fence.bytes().all(|byte| byte.is_ascii_digit());
        let fence = is_number.then(|| fence.parse().ok())??;
        Some(Guard { lock: Name::try_from(decode(lock.trim())?).ok()?, fence })
    });
    parsed.ok_or_else(|| {
        invalid_header(&GUARD, "must be the percent-encoded name of a lock and its fence: `name; fence=12`")
    })
}
