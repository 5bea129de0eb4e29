//! The memory of instances, and of all of them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use wasmtime::ResourceLimiter;

use crate::sqlite::limits::SQL_MEMORY_MAX;

/// The memory of all instances.
pub(crate) struct AllMemory {
    instances: AtomicU32,
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl AllMemory {
    pub fn new(bytes_max: usize) -> Self {
        Self { instances: AtomicU32::new(0), bytes: AtomicUsize::new(0), bytes_max }
    }

    /// Number of instances.
    pub fn instances(&self) -> u32 {
        self.instances.load(Ordering::Relaxed)
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The memory of an instance, as a share of what all may have.
pub(crate) struct MemoryShare {
    used: usize,
    /// Whether all instances together have as much as they may have.
    is_crowded: bool,
    all: Arc<AllMemory>,
}

impl MemoryShare {
    pub fn new(all: Arc<AllMemory>) -> Self {
        all.instances.fetch_add(1, Ordering::Relaxed);
        Self { used: 0, is_crowded: false, all }
    }

    /// Bytes of this instance.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Whether it got no memory because of the others.
    pub fn is_crowded(&self) -> bool {
        self.is_crowded
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.all.instances.fetch_sub(1, Ordering::Relaxed);
        self.all.bytes.fetch_sub(self.used, Ordering::Relaxed);
    }
}

impl ResourceLimiter for MemoryShare {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if desired > SQL_MEMORY_MAX {
            return Ok(false);
        }
        if self.all.bytes.fetch_add(more, Ordering::Relaxed) + more > self.all.bytes_max {
            self.all.bytes.fetch_sub(more, Ordering::Relaxed);
            self.is_crowded = true;
            return Ok(false);
        }
        self.used += more;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}
