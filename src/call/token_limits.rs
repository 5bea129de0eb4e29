//! Whether the limits of a token allow a call. Single calls and those of a transaction are checked here, and nowhere else.

use serde_json::Value;

use super::conditions::Guard;
use super::outcome::mismatch;
use super::plan::Step;
use crate::auth::TokenLimits;
use crate::problem::{Code, Problem};

fn refused(detail: String) -> Problem {
    Problem::new(Code::TokenLimited).detail(format!("Nothing was changed: {detail}."))
}

/// Checks that a token may call the method of a step.
///
/// # Errors
/// `token-limited`
pub(super) fn check_method(limits: &TokenLimits, step: &Step<'_>) -> Result<(), Problem> {
    // `getMe` and `topUp` have no scope: every token may call them.
    if step.spec.scope.is_none() {
        return Ok(());
    }
    if !limits.allows_method(step.spec.name) {
        let methods = limits.methods.as_deref().unwrap_or_default().join(", ");
        return Err(refused(format!("the token may call only {methods}")));
    }
    Ok(())
}

/// Checks that a token may use the names of a step. It reads all parameters of a step if the token has a prefix.
///
/// # Errors
/// `token-limited`
pub(super) fn check_names(limits: &TokenLimits, step: &Step<'_>) -> Result<(), Problem> {
    let Some(prefix) = limits.prefix.as_ref().filter(|_| step.spec.scope.is_some()) else { return Ok(()) };
    let Some(names) = step.spec.names else {
        return Err(refused(format!(
            "the token may use only names that begin with `{}`, and `{}` does not say by name what it uses",
            prefix.as_str(),
            step.spec.name
        )));
    };
    if names.is_empty() {
        return Ok(());
    }
    let params = step.method.params().map_err(|error| mismatch(step.spec.name, &error))?;
    let params = serde_json::from_str(params.get()).map_err(|error| mismatch(step.spec.name, &error))?;
    let used = values(&params, names);
    // The value of a reference is not known yet.
    let are_known = !step.refers_to_name && !used.is_empty();
    match are_known && used.iter().all(|name| name.as_str().is_some_and(|name| limits.allows_name(name))) {
        true => Ok(()),
        false => Err(refused(format!(
            "the token may use only names that begin with `{}`: send `{}` as such a text; a `$ref` is not allowed there",
            prefix.as_str(),
            names.join("`, `")
        ))),
    }
}

/// Checks that a token may use the lock of a guard.
///
/// # Errors
/// `token-limited`
pub(super) fn check_guard(limits: &TokenLimits, guard: Option<&Guard>) -> Result<(), Problem> {
    match guard.is_none_or(|guard| limits.allows_name(guard.lock.as_str())) {
        true => Ok(()),
        false => Err(refused("the token may not use the lock of the guard".to_owned())),
    }
}

/// The members of parameters that are names; of a batch, those of all its items: `memories.id`.
fn values<'a>(params: &'a Value, names: &[&str]) -> Vec<&'a Value> {
    let mut found = Vec::new();
    for name in names {
        match name.split_once('.') {
            None => found.extend(params.get(name)),
            Some((batch, name)) => {
                let items = params.get(batch).and_then(Value::as_array).into_iter().flatten();
                found.extend(items.map(|item| item.get(name).unwrap_or(&Value::Null)));
            }
        }
    }
    found
}
