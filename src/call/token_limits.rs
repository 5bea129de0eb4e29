//! Whether the limits of a token or a grant allow a call. Single calls and those of a transaction are checked here, and nowhere else.

use std::fmt;

use serde_json::Value;

use super::conditions::Guard;
use super::outcome::mismatch;
use super::plan::Step;
use crate::auth::TokenLimits;
use crate::problem::{Code, Problem};

/// What has the limits.
#[derive(Clone, Copy)]
pub(super) enum Holder {
    /// The token of the caller.
    Token,
    /// A grant with which the caller acts for another payer.
    Grant,
}

impl Holder {
    /// The problem of a call that is not allowed.
    pub fn refused(self, detail: impl fmt::Display) -> Problem {
        let code = match self {
            Self::Token => Code::TokenLimited,
            Self::Grant => Code::NotGranted,
        };
        Problem::new(code).detail(format!("Nothing was changed: the {} {detail}.", self.noun()))
    }

    /// Its name in problems.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Grant => "grant",
        }
    }
}

/// Checks that a token or a grant allows the method of a step.
///
/// # Errors
/// `token-limited`, `not-granted`
pub(super) fn check_method(holder: Holder, limits: &TokenLimits, step: &Step<'_>) -> Result<(), Problem> {
    // `getMe` and `topUp` have no scope: every token may call them.
    match step.spec.scope {
        None => Ok(()),
        Some(_) => check_method_name(holder, limits, step.spec.name),
    }
}

/// Checks that a token or a grant allows a method.
///
/// # Errors
/// `token-limited`, `not-granted`
pub(super) fn check_method_name(holder: Holder, limits: &TokenLimits, method: &str) -> Result<(), Problem> {
    if !limits.allows_method(method) {
        let methods = limits.methods.as_deref().unwrap_or_default().join(", ");
        return Err(holder.refused(format_args!("may call only {methods}")));
    }
    Ok(())
}

/// Checks that a token or a grant allows the names of a step. It reads all parameters of a step if there is a prefix.
///
/// # Errors
/// `token-limited`, `not-granted`
pub(super) fn check_names(holder: Holder, limits: &TokenLimits, step: &Step<'_>) -> Result<(), Problem> {
    let Some(prefix) = limits.prefix.as_ref().filter(|_| step.spec.scope.is_some()) else { return Ok(()) };
    let Some(names) = step.spec.names else {
        return Err(holder.refused(format_args!(
            "may use only names that begin with `{}`, and `{}` does not say by name what it uses",
            prefix.as_str(),
            step.spec.name
        )));
    };
    if names.is_empty() && !step.spec.is_by_lease {
        return Ok(());
    }
    let params = step.method.params().map_err(|error| mismatch(step.spec.name, &error))?;
    let params: Value = serde_json::from_str(params.get()).map_err(|error| mismatch(step.spec.name, &error))?;
    if step.spec.is_by_lease {
        // Without a lease it is about whichever attempt runs, of a queue with any name.
        return match params.get("lease").is_some() {
            true => Ok(()),
            false => Err(holder.refused(format_args!("may use `{}` only with a `lease`", step.spec.name))),
        };
    }
    let used = values(&params, names);
    // The value of a reference is not known yet.
    let are_known = !step.refers_to_name && !used.is_empty();
    match are_known && used.iter().all(|name| name.as_str().is_some_and(|name| limits.allows_name(name))) {
        true => Ok(()),
        false => Err(holder.refused(format_args!(
            "may use only names that begin with `{}`: send `{}` as such a text; a `$ref` is not allowed there",
            prefix.as_str(),
            names.join("`, `")
        ))),
    }
}

/// Checks that a token or a grant allows the lock of a guard.
///
/// # Errors
/// `token-limited`, `not-granted`
pub(super) fn check_guard(holder: Holder, limits: &TokenLimits, guard: Option<&Guard>) -> Result<(), Problem> {
    match guard.is_none_or(|guard| limits.allows_name(guard.lock.as_str())) {
        true => Ok(()),
        false => Err(holder.refused("may not use the lock of the guard")),
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
