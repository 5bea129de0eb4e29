//! The functions that `sqlite.wasm` imports for the tables of primitives.

use wasmtime::{Caller, Linker};

use super::host::{FAILED, Host, memory_of};
use super::memory::{Address, range};
use crate::sqlite::tables::TABLES;
use crate::sqlite::value::ValueRef;

/// Size of `struct value` in `shim.c`: the type, the length of a text, an integer, a real.
const VALUE_BYTES: usize = 24;

/// The imports for tables.
pub(super) fn add_to(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap("host", "table_schema", table_schema)?;
    linker.func_wrap("host", "table_rows", table_rows)?;
    linker.func_wrap("host", "table_value", table_value)?;
    linker.func_wrap("host", "table_text", table_text)?;
    Ok(())
}

/// Copies bytes into the guest. Returns 0, or that there is no such place.
fn put(caller: &mut Caller<'_, Host>, into: Address, bytes: &[u8]) -> i32 {
    let place = i32::try_from(bytes.len()).ok().and_then(|length| range(into, length));
    let copied = memory_of(caller).zip(place).and_then(|(memory, place)| {
        memory.data_mut(caller).get_mut(place)?.copy_from_slice(bytes);
        Some(())
    });
    if copied.is_some() { 0 } else { FAILED }
}

/// Writes the statement that declares a table.
fn table_schema(mut caller: Caller<'_, Host>, table: i32, into: Address, length: i32) -> i32 {
    let table = usize::try_from(table).ok().and_then(|number| TABLES.get(number));
    let Some(schema) = table.map(|table| format!("{}\0", table.schema())) else { return FAILED };
    match usize::try_from(length).is_ok_and(|length| schema.len() <= length) {
        true => put(&mut caller, into, schema.as_bytes()),
        false => FAILED,
    }
}

/// Writes the number of rows of a table, which are read now.
fn table_rows(mut caller: Caller<'_, Host>, table: i32, into: Address) -> i32 {
    let rows = usize::try_from(table).ok().and_then(|table| caller.data_mut().rows(table));
    match rows.and_then(|rows| i32::try_from(rows.len()).ok()) {
        Some(count) => put(&mut caller, into, &count.to_le_bytes()),
        None => FAILED,
    }
}

/// Writes a value; of a text, its length.
fn table_value(mut caller: Caller<'_, Host>, table: i32, row: i32, column: i32, into: Address) -> i32 {
    let mut bytes = [0; VALUE_BYTES];
    let written = with_value(&caller, table, row, column, |value| {
        let (kind, length, integer, real) = match value {
            ValueRef::Null => (5, 0, 0, 0.0),
            ValueRef::Integer(integer) => (1, 0, integer, 0.0),
            ValueRef::Real(real) => (2, 0, 0, real),
            ValueRef::Text(text) | ValueRef::Blob(text) => (3, i32::try_from(text.len()).ok()?, 0, 0.0),
        };
        let fields = [i32::to_le_bytes(kind), i32::to_le_bytes(length)].concat();
        let fields = [fields, i64::to_le_bytes(integer).to_vec(), f64::to_le_bytes(real).to_vec()].concat();
        bytes.copy_from_slice(&fields);
        Some(())
    });
    match written {
        Some(()) => put(&mut caller, into, &bytes),
        None => FAILED,
    }
}

/// Copies a text.
fn table_text(mut caller: Caller<'_, Host>, table: i32, row: i32, column: i32, into: Address, length: i32) -> i32 {
    let text = with_value(&caller, table, row, column, |value| match value {
        ValueRef::Text(text) => Some(text.to_vec()),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
    });
    match text.filter(|text| usize::try_from(length) == Ok(text.len())) {
        Some(text) => put(&mut caller, into, &text),
        None => FAILED,
    }
}

/// Looks at a value of a table that was read.
fn with_value<T>(
    caller: &Caller<'_, Host>,
    table: i32,
    row: i32,
    column: i32,
    look: impl FnOnce(ValueRef<'_>) -> Option<T>,
) -> Option<T> {
    let rows = caller.data().tables.get(&usize::try_from(table).ok()?)?;
    let row = rows.get(usize::try_from(row).ok()?)?;
    look(row.get(usize::try_from(column).ok()?)?.as_ref())
}
