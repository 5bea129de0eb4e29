//! Imports: a file is never used as it is. Its tables are made again by the statements in its schema, under the rules for all
//! statements, and its rows are copied value by value.

use std::time::Duration;

use serde::Deserialize;

use super::compiled::Engine;
use super::database::{Database, Done, quoted, quoted_name};
use super::host::{Page, Pages};
use super::memory::Address;
use super::result::{Imported, TaskResult};
use super::rules::MIGRATIONS_TABLE;
use super::stopped::{Stopped, shortened};
use crate::sqlite::limits::PAGE_BYTES;
use crate::sqlite::tables::Rows;

/// How a file begins.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The bytes that say whether the file has a write-ahead log beside it. It is imported without one.
const LOG_VERSIONS: std::ops::Range<usize> = 18..20;
/// Size of all statements in the schema of a file, as JSON.
const SCHEMA_BYTES_MAX: usize = 4 << 20;
/// Tables that SQLite makes itself.
const TABLES_OF_SQLITE: [&str; 3] = ["sqlite_sequence", "sqlite_stat1", "sqlite_stat4"];
/// The names of the number of a row, unless columns have them.
const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// A file in pages of the host's size. The last one is filled with zeros.
struct File {
    bytes: Vec<u8>,
    line: Box<dyn Pages>,
}

impl Pages for File {
    fn page(&mut self, number: u32) -> Option<Page> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let bytes = self.bytes.chunks(PAGE_BYTES).nth(index)?;
        let mut page: Page = Box::new([0; PAGE_BYTES]);
        page.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(page)
    }

    fn tables(&mut self, _numbers: &[usize]) -> Result<Vec<(usize, Rows)>, Stopped> {
        Ok(Vec::new())
    }

    fn is_cancelled(&self) -> bool {
        self.line.is_cancelled()
    }
}

/// An entry of a schema.
#[derive(Deserialize)]
struct Entry {
    kind: String,
    name: String,
    sql: String,
}

#[derive(Deserialize)]
struct Sequence {
    name: String,
    seq: i64,
}

/// A column to copy.
#[derive(Deserialize)]
struct Column {
    name: String,
    kind: String,
    key: u32,
}

impl Entry {
    fn failed(&self, stopped: Stopped) -> Stopped {
        let (kind, name) = (&self.kind, shortened(self.name.clone()));
        match stopped {
            Stopped::NotAllowed(reason) => Stopped::NotAllowed(format!("The {kind} {name}: {reason}")),
            Stopped::Sql { message, constraint, .. } => {
                Stopped::Sql { message: format!("the {kind} {name}: {message}"), offset: None, constraint }
            }
            other @ (Stopped::Parameters(_)
            | Stopped::MigrationChanged
            | Stopped::Timeout
            | Stopped::Late
            | Stopped::TooLarge
            | Stopped::RowTooLarge
            | Stopped::TablesTooLarge
            | Stopped::Crowded
            | Stopped::Full
            | Stopped::Moved
            | Stopped::Broken) => other,
        }
    }
}

impl Engine {
    /// Makes a database of a file of SQLite.
    ///   time  time of the processor for each of the two
    ///   lines  they say whether the call was cancelled
    pub fn import(&self, file: &[u8], time: Duration, lines: [Box<dyn Pages>; 2]) -> Result<Done, Stopped> {
        let [line, line_of_file] = lines;
        let mut to = self.open(0, line, time)?;
        to.guest.store.data_mut().may_write = true;
        to.run_own("PRAGMA foreign_keys=OFF")?;
        to.run_own("BEGIN IMMEDIATE")?;
        let (tables, rows) = self.copy_file(file, time, line_of_file, &mut to)?;
        to.run_own("COMMIT")?;
        let (mut pages, page_count) = to.written()?;
        // SQLite does not write a page that it has added and freed.
        for number in 1..=page_count {
            pages.entry(number).or_insert_with(|| Box::new([0; PAGE_BYTES]));
        }
        let bytes = u64::from(page_count) * u64::try_from(PAGE_BYTES).unwrap_or(u64::MAX);
        let imported = Imported { tables, rows, bytes };
        Ok(Done { results: vec![TaskResult::Import(imported)], pages, page_count })
    }

    /// Returns the numbers of tables and rows.
    fn copy_file(
        &self,
        file: &[u8],
        time: Duration,
        line: Box<dyn Pages>,
        to: &mut Database,
    ) -> Result<(u64, u64), Stopped> {
        let mut bytes = file.to_vec();
        let versions = bytes.get_mut(LOG_VERSIONS).map(|versions| versions.fill(1));
        if versions.is_none() || !bytes.starts_with(MAGIC) {
            return Err(Stopped::sql("the file is not a database of SQLite"));
        }
        let size = i64::try_from(bytes.len()).map_err(|_too_large| Stopped::Full)?;
        let mut from = self.open_bytes(size, Box::new(File { bytes, line }), time)?;
        let check = from.run_own("PRAGMA quick_check(1)")?;
        if check != ["ok"] {
            return Err(Stopped::sql(format!("the file is damaged: {}", check.join("; "))));
        }
        copy(&mut from, to)
    }
}

/// Copies everything that a database may have. Returns the numbers of tables and rows.
fn copy(from: &mut Database, to: &mut Database) -> Result<(u64, u64), Stopped> {
    const ENTRIES: &str = "SELECT json_object('kind', type, 'name', name, 'sql', sql) FROM sqlite_schema \
        WHERE sql IS NOT NULL ORDER BY rowid";
    let entries: Vec<Entry> = from.objects(ENTRIES, &mut SCHEMA_BYTES_MAX.clone())?;
    let entries: Vec<Entry> =
        entries.into_iter().filter(|entry| !TABLES_OF_SQLITE.contains(&entry.name.as_str())).collect();
    let (tables, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.kind == "table");
    let mut rows = 0;
    for table in &tables {
        // No statement of a payer may create it.
        let created = match table.sql == MIGRATIONS_TABLE {
            true => to.run_own(&table.sql).map(drop),
            false => to.run_script(&table.sql),
        };
        let copied = created.and_then(|()| copy_rows(from, to, &table.name));
        rows += copied.map_err(|stopped| table.failed(stopped))?;
    }
    for other in &others {
        to.run_script(&other.sql).map_err(|stopped| other.failed(stopped))?;
    }
    to.refuse_reserved_names()?;
    copy_sequences(from, to)?;
    for setting in ["user_version", "application_id"] {
        let value = from.run_own(&format!("PRAGMA {setting}"))?;
        let value: i32 = value.first().and_then(|value| value.parse().ok()).unwrap_or_default();
        to.run_own(&format!("PRAGMA {setting}={value}"))?;
    }
    match to.run_own("SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1")?.first() {
        Some(table) => {
            let table = shortened(table.clone());
            Err(Stopped::sql(format!("the table {table}: a foreign key refers to a row that does not exist")))
        }
        None => Ok((u64::try_from(tables.len()).unwrap_or(u64::MAX), rows)),
    }
}

/// Copies the largest numbers that `AUTOINCREMENT` has given.
fn copy_sequences(from: &mut Database, to: &mut Database) -> Result<(), Stopped> {
    const HAS: &str = "SELECT name FROM sqlite_schema WHERE name = 'sqlite_sequence'";
    if from.run_own(HAS)?.is_empty() || to.run_own(HAS)?.is_empty() {
        return Ok(());
    }
    let sequences = "SELECT json_object('name', name, 'seq', seq) FROM sqlite_sequence WHERE typeof(seq) = 'integer'";
    let sequences: Vec<Sequence> = from.objects(sequences, &mut SCHEMA_BYTES_MAX.clone())?;
    to.run_own("DELETE FROM sqlite_sequence")?;
    for Sequence { name, seq } in sequences {
        to.run_own(&format!("INSERT INTO sqlite_sequence VALUES ({}, {seq})", quoted(&name)))?;
    }
    Ok(())
}

/// Copies the rows of a table. Returns their number.
fn copy_rows(from: &mut Database, to: &mut Database, table: &str) -> Result<u64, Stopped> {
    let columns = format!(
        "SELECT json_object('name', name, 'kind', type, 'key', pk) FROM pragma_table_xinfo({}) WHERE hidden = 0",
        quoted(table)
    );
    let columns: Vec<Column> = to.objects(&columns, &mut SCHEMA_BYTES_MAX.clone())?;
    let without_rowid = format!("SELECT 1 FROM pragma_table_list({}) WHERE schema = 'main' AND wr", quoted(table));
    let has_rowid = to.run_own(&without_rowid)?.is_empty();
    let is_rowid = |column: &Column| column.key == 1 && column.kind.eq_ignore_ascii_case("integer");
    let is_column = |name: &str| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let rowid = ROWID_NAMES.iter().find(|name| !is_column(name)).map(|name| (*name).to_owned());
    let rowid = rowid.filter(|_| has_rowid && !columns.iter().any(is_rowid));
    let names: Vec<String> = rowid.into_iter().chain(columns.iter().map(|column| quoted_name(&column.name))).collect();
    let (list, table) = (names.join(", "), quoted_name(table));
    let read = from.prepare_own(&format!("SELECT {list} FROM main.{table}"))?;
    let values = vec!["?"; names.len()].join(", ");
    let write = to.prepare_own(&format!("INSERT INTO main.{table} ({list}) VALUES ({values})"))?;
    let mut rows = 0;
    while from.step(read)? {
        for place in (0..).take(names.len()) {
            let value = from.value(read, place)?;
            to.bind_value(write, place + 1, value)?;
        }
        if to.step(write)? {
            return Err(Stopped::Broken);
        }
        to.guest.call(|functions| &functions.reset, (write,))?;
        rows += 1;
    }
    for (database, statement) in [(from, read), (to, write)] {
        database.guest.call(|functions| &functions.finalize, (statement,))?;
    }
    Ok(rows)
}

impl Database {
    /// Compiles a statement of payerbase.
    fn prepare_own(&mut self, sql: &str) -> Result<Address, Stopped> {
        let text = self.guest.put(sql.as_bytes())?;
        self.guest.store.data_mut().is_own = true;
        let prepared = self.prepare_one(text, sql.len());
        self.guest.store.data_mut().is_own = false;
        self.guest.free(text)?;
        prepared.map(|(statement, _rest)| statement)
    }
}
