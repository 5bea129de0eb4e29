//! What the methods of queues share.

use super::limits::PAYLOAD_BYTES_MAX;
use crate::auth::Scope;
use crate::call::{Ref, Spec};
use crate::json::{self, Json};
use crate::name::Name;
use crate::problem::{Code, Problem};
use crate::waiting::{Awaited, Wake};

pub(super) const ID: Ref = ("id", "\"00000000-0000-0000-0000-000000000000\"");

/// The parameters that are names.
pub(super) const QUEUE: &[&str] = &["queue"];

pub(super) const fn write(name: &'static str) -> Spec {
    Spec::write(name).scope(Scope::QueuesWrite)
}

pub(super) const fn slow_read(name: &'static str) -> Spec {
    Spec::slow_read(name).scope(Scope::QueuesRead)
}

// All of a payload is read.
const _: () = assert!(PAYLOAD_BYTES_MAX <= json::BYTES_MAX);

/// Refuses a payload or a result that is larger than the limit.
pub(super) fn check_size(value: &Json, pointer: &str) -> Result<(), Problem> {
    match value.bytes() <= PAYLOAD_BYTES_MAX {
        true => Ok(()),
        false => {
            let problem = Problem::new(Code::PayloadTooLarge).member("limitBytes", PAYLOAD_BYTES_MAX);
            Err(problem.field(pointer, json::too_large(PAYLOAD_BYTES_MAX)))
        }
    }
}

pub(super) fn wake_poppers(queue: &Name, jobs: usize) -> Option<Wake> {
    Some(Wake::of(Awaited::Queue, queue, jobs))
}
