//! The functions of `sqlite.wasm`, and checked access to its memory. Nothing that the guest returns is trusted.

use wasmtime::{Instance, Memory, Store, TypedFunc};

use super::host::Host;
use super::memory::{Address, bytes, range, text};
use super::stopped::Stopped;

macro_rules! functions {
    ($($name:ident: $export:literal ($($parameter:ty),*) -> $result:ty;)*) => {
        /// The functions of an instance.
        pub(super) struct Functions {
            $(pub $name: TypedFunc<($($parameter,)*), $result>,)*
        }

        impl Functions {
            fn of(instance: &Instance, store: &mut Store<Host>) -> wasmtime::Result<Self> {
                Ok(Self { $($name: instance.get_typed_func(&mut *store, $export)?,)* })
            }
        }
    };
}

functions! {
    initialize: "sqlite3_initialize" () -> i32;
    start: "_initialize" () -> ();
    open_database: "open_database" (i64) -> Address;
    set_option: "set_option" (Address, i32, i32) -> i32;
    limit: "sqlite3_limit" (Address, i32, i32) -> i32;
    add_table: "add_table" (Address, Address, i32) -> i32;
    page_count: "page_count" () -> i32;
    allocate: "sqlite3_malloc" (i32) -> Address;
    free: "sqlite3_free" (Address) -> ();
    error_message: "sqlite3_errmsg" (Address) -> Address;
    error_code: "sqlite3_extended_errcode" (Address) -> i32;
    error_offset: "sqlite3_error_offset" (Address) -> i32;
    prepare: "sqlite3_prepare_v3" (Address, Address, i32, i32, Address, Address) -> i32;
    step: "sqlite3_step" (Address) -> i32;
    reset: "sqlite3_reset" (Address) -> i32;
    finalize: "sqlite3_finalize" (Address) -> i32;
    is_read_only: "sqlite3_stmt_readonly" (Address) -> i32;
    is_explain: "sqlite3_stmt_isexplain" (Address) -> i32;
    parameter_count: "sqlite3_bind_parameter_count" (Address) -> i32;
    parameter_name: "sqlite3_bind_parameter_name" (Address, i32) -> Address;
    bind_integer: "sqlite3_bind_int64" (Address, i32, i64) -> i32;
    bind_real: "sqlite3_bind_double" (Address, i32, f64) -> i32;
    bind_text: "bind_text" (Address, i32, Address, i32) -> i32;
    bind_blob: "bind_blob" (Address, i32, Address, i32) -> i32;
    column_count: "sqlite3_column_count" (Address) -> i32;
    column_name: "sqlite3_column_name" (Address, i32) -> Address;
    column_declared_type: "sqlite3_column_decltype" (Address, i32) -> Address;
    column_type: "sqlite3_column_type" (Address, i32) -> i32;
    column_integer: "sqlite3_column_int64" (Address, i32) -> i64;
    column_real: "sqlite3_column_double" (Address, i32) -> f64;
    column_text: "sqlite3_column_text" (Address, i32) -> Address;
    column_blob: "sqlite3_column_blob" (Address, i32) -> Address;
    column_bytes: "sqlite3_column_bytes" (Address, i32) -> i32;
    total_changes: "sqlite3_total_changes64" (Address) -> i64;
    is_autocommit: "sqlite3_get_autocommit" (Address) -> i32;
    changes: "sqlite3_changes64" (Address) -> i64;
    last_insert_rowid: "sqlite3_last_insert_rowid" (Address) -> i64;
    set_last_insert_rowid: "sqlite3_set_last_insert_rowid" (Address, i64) -> ();
}

/// An instance of `sqlite.wasm`.
pub(super) struct Guest {
    pub store: Store<Host>,
    pub memory: Memory,
    pub functions: Functions,
}

impl Guest {
    pub fn new(mut store: Store<Host>, instance: Instance) -> wasmtime::Result<Self> {
        let memory = instance.get_memory(&mut store, "memory");
        let memory = memory.ok_or_else(|| wasmtime::Error::msg("sqlite.wasm exports no memory"))?;
        let functions = Functions::of(&instance, &mut store)?;
        functions.start.call(&mut store, ())?;
        Ok(Self { store, memory, functions })
    }

    /// Calls a function of the guest.
    pub fn call<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
        &mut self,
        function: impl FnOnce(&Functions) -> &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, Stopped> {
        function(&self.functions).call(&mut self.store, parameters).map_err(|error| self.store.data().stopped(&error))
    }

    /// Bytes in the memory of the guest. NULL with a length: it had no memory for them.
    pub fn bytes(&self, address: Address, length: i32) -> Result<&[u8], Stopped> {
        if address == 0 && length != 0 {
            return Err(self.store.data().no_memory());
        }
        bytes(&self.memory, &self.store, address, length).ok_or(Stopped::Broken)
    }

    /// A text of the guest that ends with U+0000. Empty for NULL. Other than UTF-8 is replaced.
    pub fn text(&self, address: Address) -> Result<String, Stopped> {
        match address {
            0 => Ok(String::new()),
            _ => text(&self.memory, &self.store, address).ok_or(Stopped::Broken),
        }
    }

    /// The text of the guest, or `None` for NULL.
    pub fn text_or_null(&self, address: Address) -> Result<Option<String>, Stopped> {
        if address == 0 { Ok(None) } else { self.text(address).map(Some) }
    }

    /// Copies bytes into memory of the guest that is allocated for them.
    pub fn put(&mut self, bytes: &[u8]) -> Result<Address, Stopped> {
        let length = i32::try_from(bytes.len()).map_err(|_too_long| Stopped::TooLarge)?;
        let address = self.call(|functions| &functions.allocate, (length.max(1),))?;
        if address == 0 {
            return Err(self.store.data().no_memory());
        }
        let into = range(address, length).and_then(|range| self.memory.data_mut(&mut self.store).get_mut(range));
        into.ok_or(Stopped::Broken)?.copy_from_slice(bytes);
        Ok(address)
    }

    /// Frees memory of the guest.
    pub fn free(&mut self, address: Address) -> Result<(), Stopped> {
        self.call(|functions| &functions.free, (address,))
    }

    /// An address in the memory of the guest.
    pub fn address_at(&self, address: Address) -> Result<Address, Stopped> {
        let bytes = self.bytes(address, 4)?.first_chunk().ok_or(Stopped::Broken)?;
        Ok(i32::from_le_bytes(*bytes))
    }
}
