//! Requests to the pipeline, and its answers.

use super::conditions::Conditions;

/// A method or a transaction, with its conditions.
#[derive(Clone)]
pub struct Request<M> {
    /// The method or the transaction.
    pub method: M,
    /// Its conditions.
    pub conditions: Conditions,
}

impl<M> Request<M> {
    /// A request without conditions.
    pub fn of(method: M) -> Self {
        Self { method, conditions: Conditions::default() }
    }
}

/// The result of a call.
#[derive(Debug)]
pub struct Answer<T> {
    /// The result of the method.
    pub output: T,
    /// Whether an earlier call with the same idempotency key made this result.
    pub is_replay: bool,
}

/// The result of a call that created a resource.
#[derive(Debug)]
pub struct Created<T>(pub Answer<T>);
