//! Methods: the operations that a payer can call.

use std::time::Duration;

use rand::RngExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::conditions::IdempotencyKey;
use super::needs::Needs;
use super::request::Answer;
use super::spec::Spec;
use crate::auth::{DatabaseKey, Proof, Scope, TokenId, TokenRights};
use crate::number::Integers;
use crate::parse;
use crate::pay::Prices;
use crate::problem::{Code, Problem};
use crate::site::Site;
use crate::vector::Vector;
use crate::waiting::{Wake, Wanted};

/// The content of a request: a method, or a transaction of methods.
pub trait Operation: DeserializeOwned + Send + 'static {
    /// Its description.
    const SPEC: Spec;

    /// Whether the call may wait for long.
    fn may_wait(&self) -> bool {
        false
    }
}

impl<M: Method> Operation for M {
    const SPEC: Spec = <M as Method>::SPEC;

    fn may_wait(&self) -> bool {
        self.wait().is_some()
    }
}

/// A method. Its value is its parameters, parsed; its SQL function has the same name, in snake case.
///
/// Most methods are their types and one line: `method!(DeleteCounter => (), Spec::write("deleteCounter"))`.
pub trait Method: Serialize + DeserializeOwned + Send + 'static {
    /// Its result.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Its description.
    const SPEC: Spec;

    /// Whether it is about this token: the caller needs no scope if the token is its own.
    fn is_about(&self, _token: &TokenId) -> bool {
        false
    }

    /// Checks what types cannot check, and completes what the caller left out.
    ///
    /// # Errors
    /// The problem of a value that does not fit the others.
    fn prepare(&mut self, _context: &Context<'_>) -> Result<(), Problem> {
        Ok(())
    }

    /// How much work it is, in simple calls. Heavy calls run in batches of their own.
    fn weight(&self) -> usize {
        <Self as Method>::SPEC.weight
    }

    /// The query vector, if it is a parameter of its own: it travels in binary.
    fn vector(&self) -> Option<&Vector> {
        None
    }

    /// What must be made outside of the turn.
    fn needs(&mut self) -> Needs<'_> {
        Needs::default()
    }

    /// The resource that it waits for. A transaction does not wait: it refuses such a call.
    fn wait(&self) -> Option<Wait<Self::Output>> {
        None
    }

    /// Runs after the commit: completes the result with what the database does not know, and wakes waiting calls.
    fn after_commit(&self, _output: &mut Self::Output, _site: &Site) -> Option<Wake> {
        None
    }
}

/// Implements [`Method`] for a type that needs no hooks.
macro_rules! method {
    ($method:ty => $output:ty, $spec:expr) => {
        impl $crate::call::Method for $method {
            type Output = $output;
            const SPEC: $crate::call::Spec = $spec;
        }
    };
}
pub(crate) use method;

/// How a call waits.
pub struct Wait<T> {
    /// The resource, and how long to wait for it.
    pub wanted: Wanted,
    /// `Some(delay)` if the call found nothing and should be repeated after `delay` at the latest; `Duration::MAX` means
    /// only when woken.
    pub retry_after: fn(&Result<Answer<T>, Problem>) -> Option<Duration>,
}

/// What a method is prepared with.
pub struct Context<'a> {
    pub(super) payer: &'a str,
    /// The key of the call, and that of the database.
    pub(super) key: Option<(&'a IdempotencyKey, &'a DatabaseKey)>,
    pub(super) proof: &'a Proof,
    /// The index of the call in its transaction.
    pub(super) index: usize,
    /// The public address of this server.
    pub site: &'a Site,
    /// The text search configuration of the server.
    pub language: &'a str,
    /// All methods.
    pub methods: &'a [Entry],
    /// What calls cost.
    pub prices: &'a Prices,
    /// Whether the server has a model that makes vectors.
    pub can_embed: bool,
}

impl Context<'_> {
    /// The rights of the caller's token.
    ///
    /// # Errors
    /// `missing-scope` without a token.
    pub fn rights(&self) -> Result<&TokenRights, Problem> {
        self.proof.rights().ok_or_else(|| Problem::new(Code::MissingScope))
    }

    /// Checks that the caller's token has a scope.
    ///
    /// # Errors
    /// `missing-scope`.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        self.proof.require(scope)
    }

    /// 192 bits: random, or the same again for the same idempotency key and resource.
    #[must_use]
    pub fn secret(&self, resource: &str) -> [u8; 24] {
        match self.key {
            Some((key, servers)) => key.secret(servers, self.payer, self.index, resource),
            None => rand::rng().random(),
        }
    }

    /// The secret that servers before version 0.2 made of the idempotency key. An answer that they kept needs it for 24 hours.
    #[must_use]
    pub fn earlier_secret(&self) -> Option<[u8; 24]> {
        self.key.map(|(key, _)| key.earlier_secret(self.payer, self.index))
    }
}

/// A method in the list of all methods.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its description.
    pub spec: Spec,
    pub(super) parse: fn(Value) -> Result<Box<dyn AnyMethod>, Problem>,
}

impl Entry {
    /// The entry of `M`.
    #[must_use]
    pub const fn of<M: Method>() -> Self {
        Self { spec: <M as Method>::SPEC, parse: parse::<M> }
    }
}

fn parse<M: Method>(params: Value) -> Result<Box<dyn AnyMethod>, Problem> {
    parse::from_value::<M>(params).map(|method| -> Box<dyn AnyMethod> { Box::new(method) })
}

/// A method whose type is erased, so that a transaction can hold methods of several types.
pub(super) trait AnyMethod: Send {
    fn is_about(&self, token: &TokenId) -> bool;
    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem>;
    fn weight(&self) -> usize;
    fn needs(&mut self) -> Needs<'_>;
    fn waits(&self) -> bool;
    fn params(&self) -> serde_json::Result<Box<RawValue>>;
    fn after_commit(
        &self,
        output: &RawValue,
        site: &Site,
        integers: Integers,
    ) -> serde_json::Result<(Box<RawValue>, Option<Wake>)>;
}

impl<M: Method> AnyMethod for M {
    fn is_about(&self, token: &TokenId) -> bool {
        Method::is_about(self, token)
    }

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        Method::prepare(self, context)
    }

    fn weight(&self) -> usize {
        Method::weight(self)
    }

    fn needs(&mut self) -> Needs<'_> {
        Method::needs(self)
    }

    fn waits(&self) -> bool {
        Method::wait(self).is_some()
    }

    fn params(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(self)
    }

    fn after_commit(
        &self,
        output: &RawValue,
        site: &Site,
        integers: Integers,
    ) -> serde_json::Result<(Box<RawValue>, Option<Wake>)> {
        let mut output: M::Output = serde_json::from_str(output.get())?;
        let wake = Method::after_commit(self, &mut output, site);
        Ok((RawValue::from_string(integers.to_json(&output)?)?, wake))
    }
}
