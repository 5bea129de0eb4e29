//! References: `{"$ref": "<call>.<member>"}` in the parameters of a call is a member of the result of an earlier call.
//!
//! While the parameters are parsed, a placeholder, a valid value, replaces each reference. Then a random mark replaces each
//! placeholder, the text of the parameters is cut at the marks, and SQL joins the pieces with the real values.

use std::collections::HashMap;

use rand::RngExt as _;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::limits::TRANSACTION_REFS_MAX;
use super::spec::Spec;
use crate::json::Plain;
use crate::problem::{Code, Problem, pointer};

/// Maximum length of a `$ref`, in bytes.
const REF_BYTES_MAX: usize = 1_024;
/// Maximum length of the names of the members around a `$ref`, in bytes.
const PATH_BYTES_MAX: usize = 1_024;

/// The detail of the problem that a transaction has too many references.
pub(super) fn too_many_references() -> String {
    format!("must refer to results at most {TRANSACTION_REFS_MAX} times in the whole transaction")
}

/// A member of an earlier result, and its destination.
#[derive(Debug, Serialize)]
pub(super) struct Reference {
    /// Destination: a path in the parameters.
    #[serde(skip)]
    to: Vec<String>,
    /// Source: the index of the earlier call.
    call: usize,
    /// The method of the earlier call, for the members that the server adds to its result.
    method: &'static str,
    /// Source: a path in its result.
    from: Vec<String>,
    /// The pointer of the reference in the request, for the problem if there is no such member.
    pointer: String,
}

impl Reference {
    /// Whether its destination is one of these members, or inside of one.
    pub(super) fn is_to(&self, members: Option<&[&str]>) -> bool {
        let first = self.to.first().map(String::as_str);
        members.unwrap_or_default().iter().any(|member| member.split('.').next() == first)
    }
}

/// The text of the parameters, cut at the references, and the references in the order of the text.
///
/// # Errors
/// None for valid JSON.
pub(super) fn cut<'a>(
    params: &RawValue,
    references: &'a [Reference],
) -> serde_json::Result<(Vec<String>, Vec<&'a Reference>)> {
    let Plain(mut params) = serde_json::from_str(params.get())?;
    // Random, so that the caller cannot have written it into the parameters.
    let mark = format!("{:032x}-", rand::rng().random::<u128>());
    for (number, reference) in references.iter().enumerate() {
        put(&mut params, &reference.to, Value::String(format!("{mark}{number}")));
    }
    let text = params.to_string();
    let mut pieces = Vec::new();
    let mut order = Vec::new();
    for piece in text.split(&format!("\"{mark}")) {
        let Some((number, rest)) = piece.split_once('"').filter(|_| !pieces.is_empty()) else {
            pieces.push(piece.to_owned());
            continue;
        };
        order.extend(number.parse::<usize>().ok().and_then(|number| references.get(number)));
        pieces.push(rest.to_owned());
    }
    Ok((pieces, order))
}

/// Puts a value at a path.
fn put(into: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *into = value;
        return;
    };
    match into {
        Value::Object(members) => put(members.entry(first).or_insert(Value::Null), rest, value),
        Value::Array(items) => {
            if let Some(item) = first.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                put(item, rest, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Replaces the references in the parameters of a call by placeholders, and lists them.
pub(super) struct Finder<'a> {
    pub aliases: &'a HashMap<String, usize>,
    /// The methods of the earlier calls.
    pub earlier: &'a [Spec],
    /// The index of the call.
    pub index: usize,
    /// The pointer of the parameters in the request.
    pub pointer: String,
    pub found: Vec<Reference>,
}

impl Finder<'_> {
    pub fn replace(&mut self, value: &mut Value, path: &mut Vec<String>, spec: &Spec) -> Result<(), Problem> {
        match value {
            Value::Object(members) if members.len() == 1 && members.contains_key("$ref") => {
                let reference = self.read(members.get("$ref"), path)?;
                self.found.push(reference);
                *value = self.placeholder(path, spec)?;
            }
            Value::Object(members) if members.len() == 1 && members.contains_key("$literal") => {
                *value = members.remove("$literal").unwrap_or_default();
            }
            Value::Object(members) => {
                for (name, member) in members {
                    path.push(name.clone());
                    self.replace(member, path, spec)?;
                    path.pop();
                }
            }
            Value::Array(items) => {
                for (number, item) in items.iter_mut().enumerate() {
                    path.push(number.to_string());
                    self.replace(item, path, spec)?;
                    path.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(())
    }

    fn pointer(&self, path: &[String]) -> String {
        self.pointer.clone() + &pointer(path)
    }

    fn invalid(&self, path: &[String], detail: &str) -> Problem {
        Problem::new(Code::InvalidValue).field(self.pointer(path), detail).member("index", self.index)
    }

    /// Reads a reference. It keeps copies of its path, so their number and length have limits.
    fn read(&self, reference: Option<&Value>, path: &[String]) -> Result<Reference, Problem> {
        if path.iter().map(String::len).sum::<usize>() > PATH_BYTES_MAX {
            let detail = format!("must not have a `$ref` under names of more than {PATH_BYTES_MAX} bytes together");
            return Err(Problem::new(Code::InvalidValue).field(&*self.pointer, detail).member("index", self.index));
        }
        if self.found.len() >= TRANSACTION_REFS_MAX {
            let problem = Problem::new(Code::InvalidValue).member("index", self.index);
            return Err(problem.field(format!("/calls/{}", self.index), too_many_references()));
        }
        let text = reference.and_then(Value::as_str).filter(|text| text.len() <= REF_BYTES_MAX);
        let text =
            text.ok_or_else(|| self.invalid(path, &format!("$ref must be a string of at most {REF_BYTES_MAX} bytes")))?;
        let mut segments = text.split('.').map(str::to_owned);
        let name = segments.next().unwrap_or_default();
        let is_number = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
        let call = match is_number {
            true => name.parse::<usize>().ok(),
            false => self.aliases.get(&name).copied(),
        };
        let known = call.and_then(|call| Some((call, self.earlier.get(call)?)));
        let (call, spec) = known.ok_or_else(|| self.invalid(path, "$ref must name an earlier call"))?;
        let from: Vec<String> = segments.collect();
        if spec.secret.is_some_and(|secret| from.first().is_some_and(|member| member == secret)) {
            let detail = "must not refer to the token of a lock, which is a secret: send a `token` of your own";
            return Err(self.invalid(path, detail));
        }
        Ok(Reference { to: path.to_vec(), call, method: spec.name, from, pointer: self.pointer(path) })
    }

    /// The value that is parsed instead of the reference.
    fn placeholder(&self, path: &[String], spec: &Spec) -> Result<Value, Problem> {
        if spec.runs_sql {
            let detail =
                "must be a value: SQL runs before the other calls of a transaction, so it cannot use their results";
            return Err(self.invalid(path, detail));
        }
        let refs = spec.refs;
        let refused = || self.invalid(path, "must be a value: a `$ref` is not allowed here");
        let member = path.first().ok_or_else(refused)?;
        let (_, placeholder) = refs.iter().find(|(name, _)| name == member).ok_or_else(refused)?;
        let placeholder: Value = serde_json::from_str(placeholder).unwrap_or_default();
        // Inside of a member that takes any JSON or any object, null will do.
        match (path.len(), &placeholder) {
            (1, _) => Ok(placeholder),
            (_, Value::Null | Value::Object(_)) => Ok(Value::Null),
            _ => Err(refused()),
        }
    }
}
