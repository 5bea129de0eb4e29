//! What can be called: methods, and what the turn wants to know about each.

use std::time::Duration;

use rand::RngExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::around::{Around, IdempotencyKey};
use super::waiting::{Wait, Wake};
use crate::auth::Scope;
use crate::http::call::BODY_BYTES_MAX;
use crate::name::Name;
use crate::problem::{Code, Problem};
use crate::vector::Vector;

/// On which way a method runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// In a turn, under the payer's lock, in a batch.
    Write,
    /// In a turn, under the payer's lock, and alone on a connection of the pool: for long work of the server's own.
    WriteApart,
    /// Without a lock, in a batch.
    Read,
    /// Without a lock and alone, so that it never stands before a fast call: listings and statistics.
    SlowRead,
}

/// What there is to know about a method before it is called.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its one name, from the `operationId` to SQL.
    pub name: &'static str,
    /// On which way it runs.
    pub path: Path,
    /// What the caller needs.
    pub scope: Option<Scope>,
    /// The problems of its own; those that every method can meet are added to all.
    pub problems: &'static [Code],
}

/// What a request can carry: a method, or a transaction of them.
pub trait Operation: DeserializeOwned + 'static {
    /// What there is to know about it.
    const SPEC: Spec;

    /// The largest body, in bytes.
    const BODY_BYTES_MAX: usize = BODY_BYTES_MAX;
}

impl<M: Method> Operation for M {
    const SPEC: Spec = <M as Method>::SPEC;
    const BODY_BYTES_MAX: usize = <M as Method>::BODY_BYTES_MAX;
}

/// An operation that a payer can call: its value is the parameters, parsed.
pub trait Method: Serialize + DeserializeOwned + Send + 'static {
    /// What it answers.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// What there is to know about it.
    const SPEC: Spec;

    /// The largest body, in bytes.
    const BODY_BYTES_MAX: usize = BODY_BYTES_MAX;

    /// The parameters for which a transaction may take a member of an earlier result (`$ref`), each with a value that
    /// stands in for it while the others are parsed. SQL refuses what does not fit.
    const REFS: &'static [(&'static str, &'static str)] = &[];

    /// Fills in what callers may leave to us and the database cannot make.
    ///
    /// # Errors
    /// Refuses what does not fit together.
    fn prepare(&mut self, _seed: &Seed<'_>) -> Result<(), Problem> {
        Ok(())
    }

    /// The texts that want to become vectors before the turn, if there is a model.
    fn texts(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Takes the vectors of the texts, in their order, and what made them.
    fn embedded(&mut self, _vectors: Vec<Vector>, _model: &Name) {}

    /// How much work it is at most, in calls that do one thing. What is much work runs apart from what is little.
    fn weight(&self) -> usize {
        1
    }

    /// The slug that has to be the payer's before the turn.
    fn reserves(&self) -> Option<&str> {
        None
    }

    /// What it waits for when it comes in vain, and how long. A transaction waits for nothing: there it is refused.
    fn wait(&self) -> Option<Wait> {
        None
    }

    /// Whether it came in vain, and how soon it is worth another look: never, as far as is known, is [`Duration::MAX`].
    fn in_vain(_outcome: &Result<Answer<Self::Output>, Problem>) -> Option<Duration> {
        None
    }

    /// Told that the slug is another's: answers whether that is the end, or tries with another one.
    fn is_taken(&mut self) -> bool {
        true
    }

    /// After the commit: completes the answer with what the database does not know, and says who may go on.
    fn done(&self, _output: &mut Self::Output, _site: &Site) -> Option<Wake> {
        None
    }
}

/// Where people outside reach this payerbase.
#[derive(Clone, Debug)]
pub struct Site {
    url: Url,
}

impl Site {
    /// Under this URL.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self { url }
    }

    /// The short URL of a slug.
    #[must_use]
    pub fn short_url(&self, slug: &str) -> String {
        format!("{}/l/{slug}", self.url.as_str().trim_end_matches('/'))
    }

    /// Whether this is our own host.
    #[must_use]
    pub fn is_host(&self, host: &str) -> bool {
        self.url.host_str().is_some_and(|own| own.trim_end_matches('.') == host)
    }
}

/// A call with what stands around it.
#[derive(Clone)]
pub struct Request<M> {
    /// The method or the transaction.
    pub method: M,
    /// What its caller put around it.
    pub around: Around,
}

/// What came of a call.
#[derive(Debug)]
pub struct Answer<T> {
    /// The result.
    pub output: T,
    /// Whether it is the answer to an earlier call with the same idempotency key.
    pub is_replay: bool,
}

/// From where a call gets its secrets.
pub struct Seed<'a> {
    pub(super) payer: &'a str,
    pub(super) key: Option<&'a IdempotencyKey>,
    pub(super) place: usize,
    /// Where we are.
    pub site: &'a Site,
    /// The text search configuration by which texts are read.
    pub language: &'a str,
    /// Whether there is a model that makes vectors.
    pub can_embed: bool,
}

impl Seed<'_> {
    /// 192 bits: random, or the same again for the same idempotency key.
    #[must_use]
    pub fn secret(&self) -> [u8; 24] {
        match self.key {
            Some(key) => key.secret(self.payer, self.place),
            None => rand::rng().random(),
        }
    }
}

/// A method in the list of all methods, by its name.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What there is to know about it.
    pub spec: Spec,
    /// See [`Method::REFS`].
    pub refs: &'static [(&'static str, &'static str)],
    pub(super) parse: fn(Value) -> Result<Box<dyn AnyMethod>, Problem>,
}

impl Entry {
    /// The entry of `M`.
    #[must_use]
    pub const fn of<M: Method>() -> Self {
        Self { spec: <M as Method>::SPEC, refs: M::REFS, parse: parse::<M> }
    }
}

fn parse<M: Method>(params: Value) -> Result<Box<dyn AnyMethod>, Problem> {
    crate::http::call::from_value::<M>(params).map(|method| -> Box<dyn AnyMethod> { Box::new(method) })
}

/// A method whose type is known to nobody: a call of a transaction.
pub(super) trait AnyMethod: Send {
    fn prepare(&mut self, seed: &Seed<'_>) -> Result<(), Problem>;
    fn texts(&self) -> Vec<&str>;
    fn embedded(&mut self, vectors: Vec<Vector>, model: &Name);
    fn weight(&self) -> usize;
    fn reserves(&self) -> Option<&str>;
    fn is_taken(&mut self) -> bool;
    fn waits(&self) -> bool;
    fn params(&self) -> serde_json::Result<Value>;
    fn done(&self, output: Value, site: &Site) -> serde_json::Result<(Value, Option<Wake>)>;
}

impl<M: Method> AnyMethod for M {
    fn prepare(&mut self, seed: &Seed<'_>) -> Result<(), Problem> {
        Method::prepare(self, seed)
    }

    fn texts(&self) -> Vec<&str> {
        Method::texts(self)
    }

    fn embedded(&mut self, vectors: Vec<Vector>, model: &Name) {
        Method::embedded(self, vectors, model);
    }

    fn weight(&self) -> usize {
        Method::weight(self)
    }

    fn reserves(&self) -> Option<&str> {
        Method::reserves(self)
    }

    fn is_taken(&mut self) -> bool {
        Method::is_taken(self)
    }

    fn waits(&self) -> bool {
        Method::wait(self).is_some()
    }

    fn params(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn done(&self, output: Value, site: &Site) -> serde_json::Result<(Value, Option<Wake>)> {
        let mut output: M::Output = serde_json::from_value(output)?;
        let wake = Method::done(self, &mut output, site);
        Ok((serde_json::to_value(output)?, wake))
    }
}
