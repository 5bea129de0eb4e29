//! Files that are imported as databases of SQL: each is refused, or becomes a database that is whole.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use payerbase::fuzzing::sqlite::Importer;

static IMPORTER: LazyLock<Importer> = LazyLock::new(|| Importer::new().expect("SQLite is compiled"));

fuzz_target!(|file: &[u8]| {
    let imported = IMPORTER.import(file).expect("SQLite behaves as SQLite");
    assert!(imported.as_deref().is_none_or(|check| check == ["ok"]), "{imported:?}");
});
