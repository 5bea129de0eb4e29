//! Parameters of the path and of the query.

use std::borrow::Cow;

use actix_web::HttpRequest;
use percent_encoding::percent_decode_str;

use crate::problem::{Code, Problem, pointer};

/// Names and values, in order.
pub(super) type Parameters = Vec<(Cow<'static, str>, String)>;

/// The path parameters, percent-decoded: two spellings of a name are one name. Bytes that are not UTF-8 are refused.
pub(super) fn path_parameters(request: &HttpRequest) -> Result<Parameters, Problem> {
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

/// The query parameters, form-decoded.
pub(super) fn query_parameters(query: &str) -> Result<Parameters, Problem> {
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

/// Percent-decodes. `None` if an escape is incomplete or the bytes are not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
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
