//! Requests to the pipeline, and its answers.

use super::conditions::Conditions;
use crate::budget::Held;
use crate::number::Integers;

/// A method or a transaction, with its conditions.
#[derive(Clone)]
pub struct Request<M> {
    /// The method or the transaction.
    pub method: M,
    /// Its conditions.
    pub conditions: Conditions,
    /// Size of the body, in bytes. Large requests are prepared aside.
    pub(crate) bytes: usize,
}

impl<M> Request<M> {
    /// A request without conditions.
    pub fn of(method: M) -> Self {
        Self { method, conditions: Conditions::default(), bytes: 0 }
    }
}

/// The result of a call.
#[derive(Debug)]
pub struct Answer<T> {
    /// The result of the method.
    pub output: T,
    /// How its JSON writes wide integers.
    pub integers: Integers,
    /// Whether an earlier call with the same idempotency key made this result.
    pub is_replay: bool,
    /// The part of a large result in the budget of answers.
    pub(crate) held: Option<Held>,
    /// A large result as JSON, which is written aside.
    pub(crate) json: Option<Vec<u8>>,
}

impl<T> Answer<T> {
    pub(super) fn of(output: T, is_replay: bool) -> Self {
        Self { output, integers: Integers::default(), is_replay, held: None, json: None }
    }
}

/// The result of a call that created a resource.
#[derive(Debug)]
pub struct Created<T>(pub Answer<T>);

/// The answer with a file.
pub(crate) struct FileAnswer {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub media_type: &'static str,
    /// The name under which browsers store it.
    pub name: &'static str,
    /// The part of the file in a budget of memory.
    pub held: Option<Held>,
}
