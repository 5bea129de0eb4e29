//! What the methods of queues share.

use crate::auth::Scope;
use crate::call::{Ref, Spec};
use crate::name::Name;
use crate::waiting::{Awaited, Wake};

pub(super) const ID: Ref = ("id", "\"00000000-0000-0000-0000-000000000000\"");

pub(super) const fn write(name: &'static str) -> Spec {
    Spec::write(name).scope(Scope::QueuesWrite)
}

pub(super) const fn slow_read(name: &'static str) -> Spec {
    Spec::slow_read(name).scope(Scope::QueuesRead)
}

pub(super) fn wake_poppers(queue: &Name, jobs: usize) -> Option<Wake> {
    Some(Wake::of(Awaited::Queue, queue, jobs))
}
