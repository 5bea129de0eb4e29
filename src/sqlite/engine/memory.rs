//! Checked access to the memory of the guest.

use wasmtime::{AsContext, Memory};

/// An address in the memory of the guest; 0 is SQLite's NULL.
pub(super) type Address = i32;

/// The place of bytes in the memory of the guest. Its addresses are unsigned.
pub(super) fn range(address: Address, length: i32) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(address.cast_unsigned()).ok()?;
    let length = usize::try_from(length).ok()?;
    Some(start..start.checked_add(length)?)
}

/// Bytes in the memory of the guest.
pub(super) fn bytes<'a, S: AsContext>(memory: &Memory, store: &'a S, address: Address, length: i32) -> Option<&'a [u8]>
where
    S::Data: 'a,
{
    memory.data(store).get(range(address, length)?)
}

/// A text that ends with U+0000.
pub(super) fn text<S: AsContext>(memory: &Memory, store: &S, address: Address) -> Option<String> {
    let from = memory.data(store).get(range(address, 0)?.start..)?;
    let end = from.iter().position(|byte| *byte == 0)?;
    from.get(..end).map(|text| String::from_utf8_lossy(text).into_owned())
}
