//! House rules that a machine can check: the order of the rooms, circles of imports, names of schemas, and
//! the size of files and functions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

mod imports;
mod schemas;
mod size;
mod source;
