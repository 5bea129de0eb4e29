//! From a request to a method: path, query and body are the members of one value, which is parsed once.

use std::borrow::Cow;

use actix_web::dev::Payload;
use actix_web::http::Method as Verb;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use super::body::{Body, Caller, read_body};
use super::headers::{conditions, of_conditions};
use super::members::{Merged, Parsed};
use super::parameters::{Parameters, path_parameters, query_parameters};
use crate::aside::LARGE_BYTES;
use crate::call::{Operation, Request};
use crate::parse::refusal;
use crate::problem::{Code, Problem};

/// The method of a request. Path parameters are members of its value, like the members of the body. So are query parameters,
/// which only requests without a body have.
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
            let mut query = query_parameters(request.query_string())?;
            // Forms send filters that are not filled in. An empty filter of `DELETE` could be one whose value is missing.
            let is_empty = |(_, value): &(_, String)| value.is_empty() && *request.method() == Verb::GET;
            let empty = query.extract_if(.., |pair| is_empty(pair)).map(|(name, _)| name).collect();
            parameters.extend(query);
            let sent = Sent { headers: of_conditions(request.headers())?, parameters, path_count, empty };
            if !takes_body {
                return sent.read(None);
            }
            if sent.parameters.len() > path_count {
                return Err(Problem::new(Code::InvalidQuery).detail("This operation takes no query parameters."));
            }
            let caller = Caller::of(&request);
            let Body { bytes, held } = read_body(&request, payload, &M::SPEC, caller.as_ref()).await?;
            let call = match caller.filter(|_| bytes.len() >= LARGE_BYTES) {
                None => sent.read(Some(&bytes))?,
                Some(caller) => {
                    let (length, read) = (bytes.len(), move || sent.read::<M>(Some(&bytes)));
                    let read = caller.engine.aside().run(&caller.payer, length, read).await;
                    read.unwrap_or_else(|_not_done| Err(Problem::new(Code::Overloaded)))?
                }
            };
            // Calls that wait have small parameters: the rest of the body was white space.
            if let Some(held) = held.filter(|_| !call.method.may_wait()) {
                // Until the request is answered.
                request.extensions_mut().insert(held);
            }
            Ok(call)
        }
        .boxed_local()
    }
}

/// What a request has beside its body: the headers of its conditions, and its parameters. The first `path_count` parameters are in
/// the path; `empty` are the names of parameters without a value.
struct Sent {
    headers: HeaderMap,
    parameters: Parameters,
    path_count: usize,
    empty: Vec<Cow<'static, str>>,
}

impl Sent {
    /// Reads a method and its conditions.
    fn read<M: Operation>(&self, body: Option<&[u8]>) -> Result<Request<M>, Problem> {
        let Self { headers, parameters, path_count, empty } = self;
        let conditions = conditions::<M>(headers, parameters, body)?;
        let method = parse(parameters, empty, body).map_err(|mut problem| {
            let in_path = parameters.iter().take(*path_count).map(|(name, _)| name.as_ref());
            without_path(&mut problem, &in_path.collect::<Vec<_>>());
            problem
        })?;
        Ok(Request { method, conditions, bytes: body.map_or(0, <[u8]>::len) })
    }
}

/// Parses the parameters and the body as one value. `empty` are the names of parameters without a value.
fn parse<M: Operation>(
    parameters: &Parameters,
    empty: &[Cow<'static, str>],
    body: Option<&[u8]>,
) -> Result<M, Problem> {
    let mut track = serde_path_to_error::Track::new();
    if M::SPEC.takes_file.is_some() {
        let file = serde::de::value::BorrowedBytesDeserializer::new(body.unwrap_or_default());
        let members = serde::de::value::MapDeserializer::new(std::iter::once(("file", file)));
        let parsed = M::deserialize(serde_path_to_error::Deserializer::new(members, &mut track));
        return parsed.map_err(|error: serde::de::value::Error| refusal(&error.to_string(), &track.path(), true));
    }
    if let Some(body) = body.filter(|body| !M::SPEC.takes_nul && has_nul_escape(body)) {
        // Malformed JSON is reported first.
        let well_formed = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
        return Err(if well_formed { Problem::new(Code::InvalidText) } else { Problem::new(Code::InvalidJson) });
    }
    let parsed = match body.filter(|body| !body.is_empty()) {
        None => {
            let members = Parsed { parameters, empty };
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

/// Removes path parameters from the list of known members in a problem: a body or a query cannot have them.
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
            error.detail = "must be in the path only".to_owned();
        }
    }
}
