//! SQLite, compiled.

use std::sync::Arc;

use wasmtime::{Config, InstanceAllocationStrategy, InstancePre, Linker, Module, PoolingAllocationConfig, Store};

use super::guest::Guest;
use super::host::{self, Host};
use super::memory_share::{AllMemory, MemoryShare};
use super::primitive_tables;
use crate::sqlite::limits::SQL_MEMORY_MAX;

/// SQLite, from `sqlite/build.sh`.
const SQLITE: &[u8] = include_bytes!("../../../sqlite/sqlite.wasm");

/// Bytes after the memory of an instance that fault.
const GUARD_BYTES: u64 = 64 << 10;

/// Compiled SQLite.
pub(crate) struct Engine {
    engine: wasmtime::Engine,
    template: InstancePre<Host>,
    memory: Arc<AllMemory>,
}

impl Engine {
    /// Compiles SQLite: 2 to 4 seconds.
    ///   instances_max  how many databases can be open
    ///   memory_max     the memory of all of them, in bytes
    pub fn compile(instances_max: u32, memory_max: usize) -> wasmtime::Result<Self> {
        let memory_bytes = u64::try_from(SQL_MEMORY_MAX).unwrap_or(u64::MAX);
        let mut pool = PoolingAllocationConfig::default();
        pool.total_core_instances(instances_max).total_memories(instances_max).total_tables(instances_max);
        pool.max_memory_size(SQL_MEMORY_MAX);
        let mut config = Config::new();
        config.epoch_interruption(true).memory_reservation(memory_bytes).memory_guard_size(GUARD_BYTES);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config)?;
        let module = Module::from_binary(&engine, SQLITE)?;
        let mut linker = Linker::new(&engine);
        host::add_to(&mut linker)?;
        primitive_tables::add_to(&mut linker)?;
        let template = linker.instantiate_pre(&module)?;
        Ok(Self { engine, template, memory: Arc::new(AllMemory::new(memory_max)) })
    }

    /// Lets each running call look at its time.
    pub fn tick(&self) {
        self.engine.increment_epoch();
    }

    /// The memory of all open databases.
    pub fn memory(&self) -> &AllMemory {
        &self.memory
    }

    /// A new instance.
    pub(super) fn instance(&self) -> wasmtime::Result<Guest> {
        let memory = MemoryShare::new(Arc::clone(&self.memory));
        let mut store = Store::new(&self.engine, Host::new(memory));
        store.limiter(|host| &mut host.memory);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().tick()));
        store.set_epoch_deadline(1);
        let instance = self.template.instantiate(&mut store)?;
        Guest::new(store, instance)
    }
}
