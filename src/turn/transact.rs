//! Many calls as one turn: all of them happen, or none.

use std::collections::HashMap;
use std::fmt;

use rand::RngExt as _;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::around::{Around, Guard};
use super::method::{Answer, AnyMethod, Entry, Operation, Path, Request, Spec};
use super::{Work, unreadable};
use crate::auth::Tenant;
use crate::problem::{Code, Problem, pointer};

/// Most calls of one transaction: what one payer may hold its lane with.
pub const CALLS_MAX: usize = 50;
/// Most references of one transaction.
const REFS_MAX: usize = 100;
/// Most work of one transaction, in calls that do one thing: what its lane's neighbours may have to wait for.
pub const WEIGHT_MAX: usize = 500;

/// One call of a transaction.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct TransactedCall {
    /// The `operationId` of a write or of a fast read.
    #[schema(example = "increment")]
    pub method: String,
    /// The body of the call with the names of its path as members. `{"$ref": "<as>.<member>"}` stands for a member of the
    /// result of an earlier call, `{"$literal": ..}` for a value that is not looked into.
    #[serde(default, deserialize_with = "members")]
    #[schema(value_type = Object, example = json!({"name": "credits", "amount": -5, "min": 0, "onBound": "reject"}))]
    pub params: Map<String, Value>,
    /// What later calls call its result. The number of the call, from 0, always works.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "reserve")]
    pub alias: Option<String>,
    /// The lock that must be held for it to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// Calls that happen all or not at all.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// 1 to 50 calls, run in order. In all, their batches may have 500 jobs; a purge counts as 100, and so do 25,000 bytes of memories' contents.
    #[schema(min_items = 1, max_items = 50)]
    pub calls: Vec<TransactedCall>,
}

impl Operation for Transaction {
    const SPEC: Spec = Spec { name: "transact", path: Path::Write, scope: None, problems: &[] };
}

/// What came of the calls of a transaction.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Results {
    /// The result of each call, in order; `null` where the single call answers 204.
    #[schema(value_type = Vec<Object>, example = json!([{"name": "credits", "value": 37}]))]
    pub results: Vec<Value>,
}

/// The members of an object, each given once.
fn members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Map<String, Value>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut members = Map::new();
            while let Some((name, value)) = access.next_entry::<String, Value>()? {
                if members.contains_key(&name) {
                    return Err(A::Error::custom(format!("duplicate field `{name}`")));
                }
                members.insert(name, value);
            }
            Ok(members)
        }
    }

    deserializer.deserialize_map(Members)
}

/// A member of an earlier result, and where it goes.
#[derive(Debug, Serialize)]
struct Reference {
    /// The path in the parameters.
    #[serde(skip)]
    to: Vec<String>,
    /// The number of the earlier call.
    call: usize,
    /// The path in its result.
    from: Vec<String>,
    /// Where it stands in the request, for the problem if there is no such member.
    pointer: String,
}

/// A call that is ready to run.
struct Compiled {
    spec: Spec,
    method: Box<dyn AnyMethod>,
    references: Vec<Reference>,
    guard: Option<Guard>,
}

impl Tenant {
    /// Runs a transaction: any mix of writes and fast reads, in one turn. Answers their results in order.
    ///
    /// # Errors
    /// What [`Tenant::call`] can answer for each of its calls, with `index` and `method`.
    pub async fn transact(&self, request: Request<Transaction>, methods: &[Entry]) -> Result<Answer<Results>, Problem> {
        let answer = self.run_transaction(request, methods).await;
        self.measured(Transaction::SPEC.name, answer)
    }

    async fn run_transaction(
        &self,
        request: Request<Transaction>,
        methods: &[Entry],
    ) -> Result<Answer<Results>, Problem> {
        let Request { method: transaction, around } = request;
        let mut calls = compile(transaction, methods)?;
        for (place, call) in calls.iter_mut().enumerate() {
            let named = |problem: Problem| problem.member("index", place).member("method", call.spec.name);
            if let Some(scope) = call.spec.scope {
                self.require(scope).map_err(named)?;
            }
            let prepared = call.method.prepare(&self.seed(&around, place));
            prepared.map_err(|problem| named(problem.within(&format!("/calls/{place}/params"))))?;
        }
        // Only now it is known how much there is to do with a text.
        if calls.iter().map(|call| call.method.weight()).sum::<usize>() > WEIGHT_MAX {
            return Err(Problem::new(Code::InvalidValue).field("/calls", too_heavy()));
        }
        let weight = calls.iter().map(|call| call.method.weight() + call.references.len()).sum();
        self.embed_all(&mut calls, &around).await?;
        let mut params = Vec::new();
        for (place, call) in calls.iter_mut().enumerate() {
            let named = |problem: Problem| problem.member("index", place).member("method", call.spec.name);
            while let Some(slug) = call.method.reserves() {
                if self.reserve(slug).await? {
                    break;
                } else if call.method.is_taken() {
                    return Err(named(Problem::new(Code::SlugTaken)));
                }
            }
            params.push(call.params().map_err(|error| unreadable(call.spec.name, &error))?);
        }
        let work = Work::new(json!({"calls": params}).to_string(), weight);
        let mut answer: Answer<Results> = self.settle(&Transaction::SPEC, work, &around).await?;
        for (call, result) in calls.iter().zip(&mut answer.output.results) {
            let done = call
                .method
                .done(result.take(), self.turns().site())
                .map_err(|error| unreadable(call.spec.name, &error))?;
            *result = done.0;
            self.wake(done.1);
        }
        Ok(answer)
    }

    /// Makes vectors of the texts of all calls at once. If that fails, the first call with a text is named.
    async fn embed_all(&self, calls: &mut [Compiled], around: &Around) -> Result<(), Problem> {
        let texts: Vec<&str> = calls.iter().flat_map(|call| call.method.texts()).collect();
        let embedded = self.embed(&texts, around).await;
        let mut with_texts =
            calls.iter_mut().enumerate().filter(|(_, call)| !call.method.texts().is_empty()).peekable();
        let first = with_texts.peek().map(|(place, call)| (*place, call.spec.name));
        let embedded = embedded.map_err(|problem| match first {
            Some((place, name)) => problem.member("index", place).member("method", name),
            None => problem,
        })?;
        if let Some((vectors, model)) = embedded {
            let mut vectors = vectors.into_iter();
            for (_, call) in with_texts {
                let count = call.method.texts().len();
                call.method.embedded(vectors.by_ref().take(count).collect(), &model);
            }
        }
        Ok(())
    }
}

impl Compiled {
    /// As `rpc.transact` reads it.
    fn params(&self) -> serde_json::Result<Value> {
        let mut call = Map::new();
        call.insert("method".into(), self.spec.name.into());
        call.insert("write".into(), (self.spec.path == Path::Write).into());
        let mut params = self.method.params()?;
        if self.references.is_empty() {
            call.insert("params".into(), params);
        } else {
            let (pieces, references) = cut(&mut params, &self.references);
            call.insert("pieces".into(), pieces.into());
            call.insert("refs".into(), serde_json::to_value(references)?);
        }
        if let Some(guard) = &self.guard {
            call.insert("guard".into(), serde_json::to_value(guard)?);
        }
        Ok(Value::Object(call))
    }
}

/// The text of the parameters, cut where the references stand, and these in the order of the text: SQL puts it together
/// again with the values in between.
fn cut<'a>(params: &mut Value, references: &'a [Reference]) -> (Vec<String>, Vec<&'a Reference>) {
    // Nobody could write it into the parameters: it did not exist when they were written.
    let mark = format!("{:032x}-", rand::rng().random::<u128>());
    for (number, reference) in references.iter().enumerate() {
        put(params, &reference.to, Value::String(format!("{mark}{number}")));
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
    (pieces, order)
}

/// Puts a value into the place that a path names.
fn put(into: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *into = value;
        return;
    };
    match into {
        Value::Object(members) => put(members.entry(first).or_insert(Value::Null), rest, value),
        Value::Array(items) => {
            if let Some(item) = first.parse::<usize>().ok().and_then(|place| items.get_mut(place)) {
                put(item, rest, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn too_heavy() -> String {
    format!(
        "must be no more work than {WEIGHT_MAX} calls: a batch is as much as its jobs, a purge 100, a memory a call for each 250 bytes"
    )
}

/// Finds the method of each call and parses its parameters, but for what is only known in the turn.
fn compile(transaction: Transaction, methods: &[Entry]) -> Result<Vec<Compiled>, Problem> {
    let count = transaction.calls.len();
    if count == 0 || count > CALLS_MAX {
        let detail = format!("must be 1 to {CALLS_MAX} calls");
        return Err(Problem::new(Code::InvalidValue).field("/calls", detail));
    }
    let mut aliases: HashMap<String, usize> = HashMap::new();
    let mut compiled = Vec::new();
    let (mut weight, mut reference_count) = (0, 0);
    for (place, call) in transaction.calls.into_iter().enumerate() {
        let at = format!("/calls/{place}");
        let invalid = |member: &str, detail: &str| {
            Problem::new(Code::InvalidValue).field(format!("{at}{member}"), detail).member("index", place)
        };
        let entry = methods.iter().find(|entry| entry.spec.name == call.method);
        let entry = entry.ok_or_else(|| invalid("/method", "must be the operationId of a write or of a fast read"))?;
        if entry.spec.path == Path::SlowRead {
            return Err(invalid(
                "/method",
                "cannot be in a transaction: searches, lists and counts are calls of their own",
            ));
        }
        let mut params = Value::Object(call.params);
        let mut finder = Finder { aliases: &aliases, place, pointer: format!("{at}/params"), found: Vec::new() };
        finder.replace(&mut params, &mut Vec::new(), entry)?;
        let references = finder.found;
        let method = (entry.parse)(params).map_err(|problem| {
            problem.within(&format!("{at}/params")).member("index", place).member("method", entry.spec.name)
        })?;
        if method.waits() {
            return Err(invalid("/params/waitMs", "must be 0: a transaction waits for nothing"));
        }
        weight += method.weight();
        if weight > WEIGHT_MAX {
            return Err(invalid("", &too_heavy()));
        }
        reference_count += references.len();
        if reference_count > REFS_MAX {
            return Err(invalid(
                "",
                &format!("must refer to results at most {REFS_MAX} times in the whole transaction"),
            ));
        }
        compiled.push(Compiled { spec: entry.spec, method, references, guard: call.guard });
        if let Some(alias) = call.alias {
            let is_name = alias.starts_with(|c: char| c.is_ascii_alphabetic())
                && alias.len() <= 64
                && alias.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            if !is_name {
                return Err(invalid("/as", "must be a letter and up to 63 of A-Z a-z 0-9 _ -"));
            }
            if aliases.insert(alias, place).is_some() {
                return Err(invalid("/as", "must not be given twice"));
            }
        }
    }
    Ok(compiled)
}

/// Takes the references out of a call's parameters.
struct Finder<'a> {
    aliases: &'a HashMap<String, usize>,
    place: usize,
    pointer: String,
    found: Vec<Reference>,
}

impl Finder<'_> {
    fn replace(&mut self, value: &mut Value, path: &mut Vec<String>, entry: &Entry) -> Result<(), Problem> {
        match value {
            Value::Object(members) if members.len() == 1 && members.contains_key("$ref") => {
                let reference = self.read(members.get("$ref"), path)?;
                self.found.push(reference);
                *value = self.stand_in(path, entry)?;
            }
            Value::Object(members) if members.len() == 1 && members.contains_key("$literal") => {
                *value = members.remove("$literal").unwrap_or_default();
            }
            Value::Object(members) => {
                for (name, member) in members {
                    path.push(name.clone());
                    self.replace(member, path, entry)?;
                    path.pop();
                }
            }
            Value::Array(items) => {
                for (number, item) in items.iter_mut().enumerate() {
                    path.push(number.to_string());
                    self.replace(item, path, entry)?;
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
        Problem::new(Code::InvalidValue).field(self.pointer(path), detail).member("index", self.place)
    }

    fn read(&self, reference: Option<&Value>, path: &[String]) -> Result<Reference, Problem> {
        let text = reference.and_then(Value::as_str).ok_or_else(|| self.invalid(path, "$ref must be a string"))?;
        let mut segments = text.split('.').map(str::to_owned);
        let name = segments.next().unwrap_or_default();
        let is_number = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
        let call = match is_number {
            true => name.parse::<usize>().ok(),
            false => self.aliases.get(&name).copied(),
        };
        let call = call.filter(|call| *call < self.place);
        let call = call.ok_or_else(|| self.invalid(path, "$ref must name an earlier call"))?;
        Ok(Reference { to: path.to_vec(), call, from: segments.collect(), pointer: self.pointer(path) })
    }

    /// What is parsed in the place of the reference.
    fn stand_in(&self, path: &[String], entry: &Entry) -> Result<Value, Problem> {
        let refused = || self.invalid(path, "must be given here: a $ref cannot stand for it");
        let member = path.first().ok_or_else(refused)?;
        let (_, stand_in) = entry.refs.iter().find(|(name, _)| name == member).ok_or_else(refused)?;
        let stand_in: Value = serde_json::from_str(stand_in).unwrap_or_default();
        // Inside of a member that may be any JSON, or any object, null stands in as well as anything.
        match (path.len(), &stand_in) {
            (1, _) => Ok(stand_in),
            (_, Value::Null | Value::Object(_)) => Ok(Value::Null),
            _ => Err(refused()),
        }
    }
}
