//! From a transaction to a plan: each call is parsed by the code of its own route.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::conditions::Guard;
use super::limits::{REFERENCED_BYTES_MAX, TRANSACTION_REFS_MAX, TRANSACTION_WEIGHT_MAX};
use super::method::{AnyMethod, Entry, Operation as _, Wait};
use super::outcome::{mismatch, unreadable};
use super::plan::{Plan, Position, Step};
use super::references::{Finder, Reference, cut, too_many_references};
use super::spec::Spec;
use super::transaction::{Results, TransactedCall, Transaction};
use crate::json::{Plain, has_nul};
use crate::number::Integers;
use crate::pay::{Price, Prices};
use crate::problem::{Code, Problem};
use crate::site::Site;
use crate::turn::{Access, Batching};
use crate::vector::Vector;
use crate::waiting::Wake;

/// Length of an alias, in characters.
const ALIAS_CHARS_MAX: usize = 64;

/// The plan of a transaction.
#[derive(Default)]
pub(super) struct Compiled {
    calls: Vec<CompiledCall>,
    /// The weight of the calls and the number of their references so far, while they are compiled.
    so_far: Total,
}

#[derive(Default)]
struct Total {
    weight: usize,
    references: usize,
}

struct CompiledCall {
    spec: Spec,
    method: Box<dyn AnyMethod>,
    references: Vec<Reference>,
    guard: Option<Guard>,
}

impl Transaction {
    /// Finds the method of each call, and parses its parameters except for the references.
    pub(super) fn compile(self, methods: &[Entry]) -> Result<Compiled, Problem> {
        let mut compiled = Compiled::default();
        let mut aliases = HashMap::new();
        let mut earlier = Vec::new();
        for (index, mut call) in self.calls.into_iter().enumerate() {
            let alias = call.alias.take();
            let entry = methods.iter().find(|entry| entry.spec.name == call.method);
            let entry = entry
                .ok_or_else(|| invalid(index, "/method", "must be the operationId of a write or of a fast read"))?;
            let named = |problem: Problem| problem.member("method", entry.spec.name);
            let call = compile(call, index, (&aliases, earlier.as_slice()), entry).map_err(named)?;
            earlier.push(entry.spec);
            compiled.push(call, index).map_err(named)?;
            if let Some(alias) = alias {
                check_alias(&alias, index).map_err(named)?;
                if aliases.insert(alias, index).is_some() {
                    return Err(named(invalid(index, "/as", "must not be given twice")));
                }
            }
        }
        Ok(compiled)
    }
}

fn invalid(index: usize, member: &str, detail: &str) -> Problem {
    Problem::new(Code::InvalidValue).field(format!("/calls/{index}{member}"), detail).member("index", index)
}

fn compile(
    call: TransactedCall,
    index: usize,
    (aliases, earlier): (&HashMap<String, usize>, &[Spec]),
    entry: &Entry,
) -> Result<CompiledCall, Problem> {
    let Entry { spec, parse } = *entry;
    if spec.tops_up {
        return Err(invalid(index, "/method", "cannot be in a transaction: it needs a payment of its own"));
    }
    if spec.batching == Batching::Apart {
        let detail = "cannot be in a transaction: searches, lists, counts, files and erasures are calls of their own";
        return Err(invalid(index, "/method", detail));
    }
    let params = serde_json::from_str(call.params.get()).map_err(|error| mismatch(spec.name, &error))?;
    let mut params = match params {
        Plain(Value::Null) => Value::Object(Map::new()),
        Plain(params) => params,
    };
    if !spec.takes_nul && has_nul(&params) {
        return Err(Problem::new(Code::InvalidText).member("index", index));
    }
    let pointer = format!("/calls/{index}/params");
    let mut finder = Finder { aliases, earlier, index, pointer, found: Vec::new() };
    finder.replace(&mut params, &mut Vec::new(), &spec)?;
    let references = finder.found;
    let position = Position::InTransaction { index, method: spec.name };
    let method = parse(params).map_err(|problem| position.of_params(problem))?;
    if method.waits() {
        return Err(invalid(index, "/params/waitMs", "must be 0: a transaction waits for nothing"));
    }
    Ok(CompiledCall { spec, method, references, guard: call.guard })
}

fn check_alias(alias: &str, index: usize) -> Result<(), Problem> {
    let is_name = alias.starts_with(|c: char| c.is_ascii_alphabetic())
        && alias.len() <= ALIAS_CHARS_MAX
        && alias.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match is_name {
        true => Ok(()),
        false => Err(invalid(index, "/as", "must be a letter and up to 63 of A-Z a-z 0-9 _ -")),
    }
}

fn too_heavy() -> String {
    format!(
        "must have a total weight of at most {TRANSACTION_WEIGHT_MAX}: a simple call is 1, a batch 1 for each job, `purgeQueue` 100, `retryDead` its `limit` but at least 100, a memory 1 for each 250 bytes of its content and for each 2 KiB of its metadata"
    )
}

impl Compiled {
    fn methods_weight(&self) -> usize {
        self.calls.iter().map(|call| call.method.weight()).sum()
    }

    fn references(&self) -> usize {
        self.calls.iter().map(|call| call.references.len()).sum()
    }

    /// Adds a call, unless it makes the transaction too heavy.
    fn push(&mut self, call: CompiledCall, index: usize) -> Result<(), Problem> {
        self.so_far.weight += call.method.weight();
        self.so_far.references += call.references.len();
        self.calls.push(call);
        if self.so_far.weight > TRANSACTION_WEIGHT_MAX {
            return Err(invalid(index, "", &too_heavy()));
        }
        if self.so_far.references > TRANSACTION_REFS_MAX {
            return Err(invalid(index, "", &too_many_references()));
        }
        Ok(())
    }
}

impl CompiledCall {
    /// Whether the call is in one run with the call before it.
    fn continues_run(before: &Self, call: &Self) -> bool {
        let is_plain = |call: &Self| call.references.is_empty() && call.guard.is_none();
        call.spec.has_run && call.spec.name == before.spec.name && is_plain(before) && is_plain(call)
    }

    /// A run of calls as `rpc.transact` reads it.
    fn sent(run: &[Self]) -> Result<SentRun<'_>, Problem> {
        let params = |call: &Self| call.method.params().map_err(|error| mismatch(call.spec.name, &error));
        let mut sent = SentRun { method: run.first().map(|call| call.spec.name), ..SentRun::default() };
        let [call] = run else {
            sent.run = Some(run.iter().map(params).collect::<Result<_, _>>()?);
            return Ok(sent);
        };
        (sent.write, sent.guard) = (Some(call.spec.access == Access::Write), call.guard.as_ref());
        match call.references.as_slice() {
            [] => sent.params = Some(params(call)?),
            references => {
                let (pieces, refs) =
                    cut(&params(call)?, references).map_err(|error| mismatch(call.spec.name, &error))?;
                (sent.pieces, sent.refs) = (Some(pieces), Some(refs));
            }
        }
        Ok(sent)
    }
}

/// Calls as `rpc.transact` reads them: one with its parameters, one whose parameters are cut at its references, or several of
/// one method as a set.
#[derive(Default, Serialize)]
struct SentRun<'a> {
    method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pieces: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refs: Option<Vec<&'a Reference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<&'a Guard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Vec<Box<RawValue>>>,
}

/// A transaction as `rpc.transact` reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SentTransaction<'a> {
    calls: Vec<SentRun<'a>>,
    /// Only references need it.
    short_url: Option<String>,
}

impl Plan for Compiled {
    type Output = Results;
    const SPEC: Spec = Transaction::SPEC;

    fn steps(&mut self) -> impl Iterator<Item = Step<'_>> + Send {
        self.calls.iter_mut().enumerate().map(|(index, call)| Step {
            spec: call.spec,
            method: call.method.as_mut(),
            position: Position::InTransaction { index, method: call.spec.name },
            guard: call.guard.as_ref(),
            refers_to_name: call.references.iter().any(|reference| reference.is_to(call.spec.names)),
        })
    }

    fn referenced_bytes_max(&self) -> usize {
        if self.references() > 0 { REFERENCED_BYTES_MAX } else { 0 }
    }

    fn weight(&self) -> Result<usize, Problem> {
        // The weight of a text is known only now, after it was prepared.
        let weight = self.methods_weight();
        match weight <= TRANSACTION_WEIGHT_MAX {
            true => Ok(weight + self.references()),
            false => Err(Problem::new(Code::InvalidValue).field("/calls", too_heavy())),
        }
    }

    fn price(&self, prices: &Prices) -> Option<Arc<Price>> {
        prices.sum(self.calls.iter().map(|call| call.spec.tier))
    }

    fn params(&self, site: &Site) -> Result<String, Problem> {
        let runs = self.calls.chunk_by(CompiledCall::continues_run);
        let calls = runs.map(CompiledCall::sent).collect::<Result<_, _>>()?;
        let short_url = (self.references() > 0).then(|| site.short_url(""));
        let sent = serde_json::to_string(&SentTransaction { calls, short_url });
        sent.map_err(|error| mismatch(Self::SPEC.name, &error))
    }

    fn vector(&self) -> Option<&Vector> {
        None
    }

    fn wait(&self) -> Option<Wait<Results>> {
        None
    }

    fn after_commit(&self, output: &mut Results, site: &Site, integers: Integers) -> Result<Vec<Wake>, Problem> {
        let mut wakes = Vec::new();
        for (call, result) in self.calls.iter().zip(&mut output.results) {
            let completed = call.method.after_commit(result, site, integers);
            let (completed, wake) = completed.map_err(|error| unreadable(&call.spec, &error))?;
            *result = completed;
            wakes.extend(wake);
        }
        Ok(wakes)
    }
}
