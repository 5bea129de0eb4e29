//! The limits that a caller wishes for a token: never wider than those of its own token.

use crate::auth::{Allowance, Scope, TokenLimits, TokenRights};
use crate::call::{Context, Entry};
use crate::name::Name;
use crate::problem::{Code, Problem};

/// Methods to which a token can be limited.
const METHODS_MAX: usize = 100;

/// The limits of a new token.
pub(super) struct Wish {
    pub methods: Option<Vec<String>>,
    pub prefix: Option<Name>,
    pub allowance: Option<Allowance>,
}

/// Completes a wish with the limits of the token that asks, and checks that they allow it.
///   scopes  of the new token
///
/// # Errors
/// `invalid-value`
pub(super) fn narrow(
    by: &TokenRights,
    scopes: &[Scope],
    mut wish: Wish,
    context: &Context<'_>,
) -> Result<Wish, Problem> {
    check_methods(&by.limits, scopes, wish.methods.as_deref(), context.methods)?;
    if let (Some(prefix), Some(own)) = (&wish.prefix, &by.limits.prefix)
        && !by.limits.allows_name(prefix.as_str())
    {
        return Err(invalid("/prefix", format!("must begin with `{}`", own.as_str())));
    }
    if let Some(allowance) = &mut wish.allowance {
        if by.allowance.is_some() {
            let detail = "must be absent: the token shares the allowance of the token that asks";
            return Err(invalid("/allowance", detail.to_owned()));
        }
        check_allowance(allowance, context)?;
    }
    Ok(Wish {
        methods: wish.methods.or_else(|| by.limits.methods.clone()),
        prefix: wish.prefix.or_else(|| by.limits.prefix.clone()),
        allowance: wish.allowance,
    })
}

fn invalid(pointer: &str, detail: String) -> Problem {
    Problem::new(Code::InvalidValue).field(pointer, detail)
}

fn check_methods(
    by: &TokenLimits,
    scopes: &[Scope],
    wished: Option<&[String]>,
    known: &[Entry],
) -> Result<(), Problem> {
    let Some(methods) = wished else { return Ok(()) };
    if methods.is_empty() || methods.len() > METHODS_MAX {
        return Err(invalid("/methods", format!("must be 1 to {METHODS_MAX} methods")));
    }
    for (place, name) in methods.iter().enumerate() {
        let pointer = format!("/methods/{place}");
        let Some(entry) = known.iter().find(|entry| entry.spec.name == name) else {
            return Err(invalid(&pointer, "must be the operationId of a method".to_owned()));
        };
        let needed = entry.spec.scope.filter(|needed| !scopes.iter().any(|scope| scope.allows(*needed)));
        if let Some(needed) = needed {
            return Err(invalid(&pointer, format!("needs the scope `{}`, which is not in `scopes`", needed.as_str())));
        }
    }
    match methods.iter().position(|name| !by.allows_method(name)) {
        Some(other) => {
            let detail = "must be a method that the token that asks may call";
            Err(invalid(&format!("/methods/{other}"), detail.to_owned()))
        }
        None => Ok(()),
    }
}

/// Checks the assets of an allowance, and writes them as the database does.
fn check_allowance(allowance: &mut Allowance, context: &Context<'_>) -> Result<(), Problem> {
    if allowance.calls.is_none() && allowance.spend.is_none() {
        return Err(invalid("/allowance", "must have `calls` or `spend`".to_owned()));
    }
    let mut known = Vec::new();
    for (place, spend) in allowance.spend.iter_mut().flatten().enumerate() {
        let pointer = |member: &str| format!("/allowance/spend/{place}/{member}");
        let asset = context.prices.asset(&spend.network, &spend.asset);
        let asset = asset.ok_or_else(|| {
            let assets = context.prices.assets();
            let detail = match assets.is_empty() {
                true => "must be absent: the calls of this server are free".to_owned(),
                false => format!("must be an asset of this server, with its network: `{}`", assets.join("`, `")),
            };
            invalid(&pointer("asset"), detail)
        })?;
        if spend.units().is_none() {
            return Err(invalid(&pointer("amount"), format!("must be digits, 1 to {}", i64::MAX)));
        }
        spend.asset = asset.to_string();
        if known.contains(&(spend.network.clone(), spend.asset.clone())) {
            return Err(invalid(&pointer("asset"), "must be in the list once".to_owned()));
        }
        known.push((spend.network.clone(), spend.asset.clone()));
    }
    Ok(())
}
