//! From a request to a method: path, query and body are the members of one value, parsed once.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method as Verb;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use percent_encoding::percent_decode_str;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

use crate::call::{Conditions, Guard, IdempotencyKey, Operation, Request};
use crate::name::Name;
use crate::parse::refusal;
use crate::problem::{Code, Problem, pointer};
use crate::turn::Access;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a write run once, whatever is sent again.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The lock that a write must hold: `name; fence=12`.
pub const GUARD: HeaderName = HeaderName::from_static("payerbase-guard");

type Parameters = Vec<(Cow<'static, str>, String)>;

/// The method that a request calls. Path parameters, and the query of a request without a body, are members of its value
/// exactly like the members of the body.
impl<M: Operation> FromRequest for Request<M> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let takes_body = !matches!(*request.method(), Verb::GET | Verb::DELETE);
        let path = path_parameters(request);
        let (request, payload) = (request.clone(), payload.take());
        async move {
            let mut parameters = path?;
            let path_count = parameters.len();
            parameters.extend(query_parameters(request.query_string())?);
            let body = match takes_body {
                true if parameters.len() > path_count => {
                    return Err(Problem::new(Code::InvalidQuery).detail("This operation takes no query parameters."));
                }
                true => Some(read_body(&request, payload, M::SPEC.body_bytes_max).await?),
                false => None,
            };
            let conditions = conditions::<M>(request.headers(), &parameters, body.as_deref())?;
            let method = parse(&parameters, body.as_deref()).map_err(|mut problem| {
                let in_path = parameters.iter().take(path_count).map(|(name, _)| name.as_ref());
                without_path(&mut problem, &in_path.collect::<Vec<_>>());
                problem
            })?;
            Ok(Self { method, conditions })
        }
        .boxed_local()
    }
}

/// What the headers put around a call.
fn conditions<M: Operation>(
    headers: &HeaderMap,
    parameters: &Parameters,
    body: Option<&[u8]>,
) -> Result<Conditions, Problem> {
    let guard_text = sole_header(headers, &GUARD)?;
    let guard = guard_text.map(parse_guard).transpose()?;
    if M::SPEC.access != Access::Write {
        // A key changes nothing about a read. A guard would promise something.
        return match guard {
            Some(_) => Err(invalid_header(&GUARD, "only writes can be guarded")),
            None => Ok(Conditions::default()),
        };
    }
    let key = sole_header(headers, &IDEMPOTENCY_KEY)?.map(|key| {
        let parameters = parameters.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let parts = [M::SPEC.name.as_bytes(), guard_text.unwrap_or_default().as_bytes()];
        let parts = parts.into_iter().chain(parameters).chain(body);
        let key = IdempotencyKey::parse(key, parts);
        key.ok_or_else(|| invalid_header(&IDEMPOTENCY_KEY, "must be 8 to 128 characters of printable ASCII"))
    });
    Ok(Conditions { key: key.transpose()?, guard })
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

fn parse_guard(text: &str) -> Result<Guard, Problem> {
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

/// The path's parameters, decoded strictly: two spellings of a name are one name, and bytes that are no text are refused.
fn path_parameters(request: &HttpRequest) -> Result<Parameters, Problem> {
    let pattern = request.match_pattern().unwrap_or_default();
    let segments = pattern.split('/').zip(request.uri().path().split('/'));
    let parameters = segments.filter_map(|(pattern, segment)| {
        let name = pattern.strip_prefix('{')?.strip_suffix('}')?;
        Some((name.to_owned(), segment))
    });
    parameters
        .map(|(name, segment)| {
            let value = decode(segment).ok_or_else(|| Problem::new(Code::InvalidPath))?;
            refuse_nul(&value, &name)?;
            Ok((Cow::Owned(name), value))
        })
        .collect()
}

fn query_parameters(query: &str) -> Result<Parameters, Problem> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| decode(&text.replace('+', " ")).ok_or_else(|| Problem::new(Code::InvalidQuery));
            let (name, value) = (decode(name)?, decode(value)?);
            refuse_nul(&value, &name)?;
            Ok((Cow::Owned(name), value))
        })
        .collect()
}

/// Percent-decodes; nothing where a percent sign stands for nothing or the bytes are not UTF-8.
fn decode(text: &str) -> Option<String> {
    let escapes_are_whole = text.split('%').skip(1).all(|escaped| {
        let mut digits = escaped.bytes();
        [digits.next(), digits.next()].iter().all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit()))
    });
    let decoded = escapes_are_whole.then(|| percent_decode_str(text).decode_utf8())?;
    decoded.ok().map(Cow::into_owned)
}

fn refuse_nul(text: &str, name: &str) -> Result<(), Problem> {
    if text.contains('\0') {
        return Err(Problem::new(Code::InvalidText).field(pointer([name]), "must not contain U+0000"));
    }
    Ok(())
}

async fn read_body(request: &HttpRequest, mut payload: Payload, bytes_max: usize) -> Result<web::Bytes, Problem> {
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
    // The other one is what merge patches are called (RFC 7396).
    matches!(kind.trim(), "application/json" | "application/merge-patch+json") && is_utf8 && is_plain
}

/// Makes the method's value of what the request carries.
fn parse<M: Operation>(parameters: &Parameters, body: Option<&[u8]>) -> Result<M, Problem> {
    if let Some(body) = body.filter(|body| has_nul_escape(body)) {
        // Only well-formed JSON can be said to contain it.
        let well_formed = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
        return Err(if well_formed { Problem::new(Code::InvalidText) } else { Problem::new(Code::InvalidJson) });
    }
    let mut track = serde_path_to_error::Track::new();
    let parsed = match body.filter(|body| !body.is_empty()) {
        None => {
            let members =
                MapAccessDeserializer::new(Members { parameters: parameters.iter(), value: None, body: Nothing });
            M::deserialize(serde_path_to_error::Deserializer::new(members, &mut track))
                .map_err(|error| error.to_string())
        }
        Some(body) => {
            let mut json = serde_json::Deserializer::from_slice(body);
            let merged = Merged { parameters, body: &mut json };
            let value = M::deserialize(serde_path_to_error::Deserializer::new(merged, &mut track));
            value.and_then(|value| json.end().map(|()| value)).map_err(|error| error.to_string())
        }
    };
    parsed.map_err(|error| refusal(&error, &track.path(), body.is_some()))
}

/// Whether the JSON contains `\u0000`. A backslash that is itself escaped does not begin an escape.
fn has_nul_escape(body: &[u8]) -> bool {
    let mut rest = body;
    while let Some(place) = rest.iter().position(|byte| *byte == b'\\') {
        let escape = rest.get(place + 1..).unwrap_or_default();
        if escape.starts_with(b"u0000") {
            return true;
        }
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

/// Serde counts the members that come from the path among those that a body or a query can have.
fn without_path(problem: &mut Problem, in_path: &[&str]) {
    for error in problem.errors_mut() {
        if error.detail.starts_with("unknown field")
            && let Some((unknown, expected)) = error.detail.split_once(", expected ")
        {
            let names = expected.split('`').skip(1).step_by(2).filter(|name| !in_path.contains(name));
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            error.detail = match names.as_slice() {
                [] => format!("{unknown}, expected none"),
                [name] => format!("{unknown}, expected {name}"),
                names => format!("{unknown}, expected one of {}", names.join(", ")),
            };
        } else if let Some(name) = in_path.iter().find(|name| error.detail == format!("duplicate field `{name}`")) {
            error.pointer = format!("/{name}");
            error.detail = "stands in the path, and nowhere else".to_owned();
        }
    }
}

/// A JSON object with the parameters before its own members.
struct Merged<'a, 'de> {
    parameters: &'a Parameters,
    body: &'a mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>,
}

impl<'de> Deserializer<'de> for Merged<'_, 'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.body.deserialize_map(MembersBefore { parameters: self.parameters, visitor })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct MembersBefore<'a, V> {
    parameters: &'a Parameters,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for MembersBefore<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, body: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Members { parameters: self.parameters.iter(), value: None, body })
    }
}

/// The parameters, then the members of the body.
struct Members<'a, A> {
    parameters: std::slice::Iter<'a, (Cow<'static, str>, String)>,
    value: Option<&'a str>,
    body: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.parameters.next() {
            Some((name, value)) => {
                self.value = Some(value);
                seed.deserialize(Parameter { text: name, error: PhantomData }).map(Some)
            }
            None => self.body.next_key_seed(seed),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value.take() {
            Some(text) => seed.deserialize(Parameter { text, error: PhantomData }),
            None => self.body.next_value_seed(seed),
        }
    }
}

/// A parameter: a text, and present.
struct Parameter<'a, E> {
    text: &'a str,
    error: PhantomData<E>,
}

impl<'de, E: serde::de::Error> Deserializer<'de> for Parameter<'_, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_str(self.text)
    }

    /// A number is its digits here.
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.text.parse() {
            Ok(number) => visitor.visit_i64(number),
            Err(_no_number) => visitor.visit_str(self.text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.text {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(E::custom("must be `true` or `false`")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// The body of a request that has none.
struct Nothing;

impl<'de> MapAccess<'de> for Nothing {
    type Error = serde::de::value::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, Self::Error> {
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<S::Value, Self::Error> {
        Err(serde::de::Error::custom("there are no members"))
    }
}
