//! An open database, and how a call runs on it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::code;
use super::compiled::Engine;
use super::guest::Guest;
use super::host::{Page, Pages};
use super::memory::Address;
use super::result::TaskResult;
use super::rules::{MIGRATIONS_TABLE, ONE_DATABASE, OWN_TABLES, is_reserved, reserved};
use super::stopped::{Constraint, Stopped, shortened};
use crate::sqlite::limits::{
    PAGE_BYTES, PAGES_MAX, SQL_ARGUMENTS_MAX, SQL_BYTES_MAX, SQL_COLUMNS_MAX, SQL_COMPOUND_MAX,
    SQL_EXPRESSION_DEPTH_MAX, SQL_PARAMETERS_MAX, SQL_PATTERN_BYTES_MAX, SQL_VALUE_BYTES_MAX,
};
use crate::sqlite::statement::Task;
use crate::sqlite::tables::{Rows, TABLES};

/// Limits of a connection (`sqlite3_limit`), with SQLite's numbers.
const LIMITS: [(i32, usize); 11] = [
    (0, SQL_VALUE_BYTES_MAX),
    (1, SQL_BYTES_MAX),
    (2, SQL_COLUMNS_MAX),
    (3, SQL_EXPRESSION_DEPTH_MAX),
    (4, SQL_COMPOUND_MAX),
    // Instructions of a compiled statement.
    (5, 250_000),
    (6, SQL_ARGUMENTS_MAX),
    // Attached databases.
    (7, 0),
    (8, SQL_PATTERN_BYTES_MAX),
    (9, SQL_PARAMETERS_MAX),
    // Depth of triggers.
    (10, 10),
];

/// Options of a connection (`sqlite3_db_config`), with SQLite's numbers.
const OPTIONS: [(i32, i32); 3] = [
    // No triggers; no changes to the schema table; no functions with side effects in the schema.
    (1003, 0),
    (1010, 1),
    (1017, 0),
];

/// Settings of a connection, beside the maximum size.
const SETTINGS: [&str; 5] = [
    "PRAGMA cell_size_check=1",
    "PRAGMA journal_mode=MEMORY",
    "PRAGMA synchronous=OFF",
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA cache_size=-2048",
];

/// A text as a literal of SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name in double quotes.
pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Size of the texts that a statement of payerbase returns: payers choose names, and files what their schemas return.
const OWN_BYTES_MAX: usize = 4 << 20;
/// Time to open an empty database.
const WARM_UP_TIME: Duration = Duration::from_secs(1);

/// An open database. It belongs to one payer until it is closed.
pub(crate) struct Database {
    pub(super) guest: Guest,
    pub(super) connection: Address,
    /// Room for two addresses.
    pub(super) out: Address,
}

/// What a call does.
pub(crate) struct Work<'a> {
    pub tasks: &'a [Task],
    /// Whether it may write. Then it is one transaction.
    pub may_write: bool,
    pub limits: Limits,
}

/// Limits of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Time of the processor.
    pub time: Duration,
    /// Rows of each result.
    pub rows: usize,
    /// Size of all rows as JSON.
    pub bytes: usize,
}

/// What a call has done.
#[derive(Debug)]
pub(crate) struct Done {
    /// The result of each task.
    pub results: Vec<TaskResult>,
    /// The pages that it has written.
    pub pages: BTreeMap<u32, Page>,
    /// The number of pages of the database.
    pub page_count: u32,
}

/// Why a call stopped, and at which task.
#[derive(Debug)]
pub(crate) struct Failed {
    pub index: usize,
    pub stopped: Stopped,
    /// Whether the instance is as it was before.
    pub is_usable: bool,
}

/// The pages of an empty database.
struct NoPages;

impl Pages for NoPages {
    fn page(&mut self, _number: u32) -> Option<Page> {
        None
    }

    fn tables(&mut self, _numbers: &[usize]) -> Result<Vec<(usize, Rows)>, Stopped> {
        Ok(Vec::new())
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

impl Engine {
    /// Opens an empty database once. The first instance needs more of the machine than the others: it makes the memory
    /// from which they are copied.
    pub fn warm_up(&self) -> Result<(), Stopped> {
        self.open(0, Box::new(NoPages), WARM_UP_TIME).map(drop)
    }

    /// Opens a database. SQLite reads its schema, which takes time of the processor.
    pub fn open(&self, page_count: u32, pages: Box<dyn Pages>, time: Duration) -> Result<Database, Stopped> {
        let bytes = i64::from(page_count) * i64::try_from(PAGE_BYTES).map_err(|_too_large| Stopped::Broken)?;
        self.open_bytes(bytes, pages, time)
    }

    /// Opens a database of any size of pages.
    pub(super) fn open_bytes(&self, bytes: i64, pages: Box<dyn Pages>, time: Duration) -> Result<Database, Stopped> {
        let guest = self.instance().map_err(|_no_room| Stopped::Crowded)?;
        let mut database = Database { guest, connection: 0, out: 0 };
        let base_pages =
            u64::try_from(bytes).unwrap_or_default().div_ceil(u64::try_from(PAGE_BYTES).unwrap_or(u64::MAX));
        let base_pages = u32::try_from(base_pages).map_err(|_too_large| Stopped::TooLarge)?;
        let host = database.guest.store.data_mut();
        host.begin(pages, false, time);
        host.base_pages = base_pages;
        database.open(bytes)?;
        Ok(database)
    }
}

impl Database {
    fn open(&mut self, bytes: i64) -> Result<(), Stopped> {
        self.guest.call(|functions| &functions.initialize, ())?;
        self.connection = self.guest.call(|functions| &functions.open_database, (bytes,))?;
        self.out = self.guest.put(&[0; 8])?;
        if self.connection == 0 {
            // It reads the head of the first page.
            let host = self.guest.store.data();
            return Err(host.refused().cloned().unwrap_or_else(|| host.no_memory()));
        }
        for (option, value) in OPTIONS {
            self.guest.call(|functions| &functions.set_option, (self.connection, option, value))?;
        }
        for (number, table) in (0..).zip(&TABLES) {
            let name = self.guest.put(format!("{}\0", table.name).as_bytes())?;
            self.guest.call(|functions| &functions.add_table, (self.connection, name, number))?;
            self.guest.free(name)?;
        }
        for (limit, value) in LIMITS {
            let value = i32::try_from(value).map_err(|_too_large| Stopped::Broken)?;
            self.guest.call(|functions| &functions.limit, (self.connection, limit, value))?;
        }
        // Checked by SQLite, by the host and by the server.
        self.run_own(&format!("PRAGMA max_page_count={PAGES_MAX}"))?;
        SETTINGS.iter().try_for_each(|setting| self.run_own(setting).map(drop))
    }

    /// Replaces the rules.
    #[cfg(test)]
    pub fn set_rules(&mut self, rules: &'static [(i32, super::rules::Allowed)]) {
        self.guest.store.data_mut().rules = rules;
    }

    /// Memory of the instance, in bytes.
    pub fn memory(&self) -> usize {
        self.guest.store.data().memory.used()
    }

    /// Runs a call. After an error that leaves the instance usable, it is as before.
    pub fn run(&mut self, work: &Work<'_>, pages: Box<dyn Pages>) -> Result<Done, Failed> {
        let mut index = 0;
        let done = self.begin(work, pages).and_then(|()| self.run_transaction(work, &mut index));
        let host = self.guest.store.data_mut();
        host.pages = None;
        // An idle database keeps nothing outside of its own memory.
        host.tables = HashMap::new();
        let stopped = match done {
            // SQLite goes on after some failures: `quick_check` makes a row of a page that it cannot read.
            Ok(done) => match host.refused() {
                None => return Ok(done),
                Some(stopped) => return Err(Failed { index, stopped: stopped.clone(), is_usable: false }),
            },
            Err(stopped) => stopped,
        };
        let is_usable = stopped.leaves_instance_usable() && (!work.may_write || self.roll_back().is_ok());
        Err(Failed { index, stopped, is_usable })
    }

    fn begin(&mut self, work: &Work<'_>, pages: Box<dyn Pages>) -> Result<(), Stopped> {
        self.guest.store.data_mut().begin(pages, work.may_write, work.limits.time);
        self.guest.store.set_epoch_deadline(1);
        let base_pages = self.page_count()?;
        self.guest.store.data_mut().base_pages = base_pages;
        Ok(())
    }

    fn run_transaction(&mut self, work: &Work<'_>, index: &mut usize) -> Result<Done, Stopped> {
        if work.may_write {
            self.run_own("BEGIN IMMEDIATE")?;
        }
        self.guest.call(|functions| &functions.set_last_insert_rowid, (self.connection, 0))?;
        let mut bytes_left = work.limits.bytes;
        let mut results = Vec::with_capacity(work.tasks.len());
        for (number, task) in work.tasks.iter().enumerate() {
            *index = number;
            results.push(match task {
                Task::Statement(statement) => {
                    TaskResult::Statement(self.run_statement(statement, work, &mut bytes_left)?)
                }
                Task::Migration(migration) => TaskResult::Migration(self.migrate(migration)?),
                Task::Schema => TaskResult::Schema(self.schema(&mut bytes_left)?),
                // It has an instance of its own: `Engine::import`.
                Task::Import(_) => return Err(Stopped::Broken),
            });
        }
        if work.may_write {
            self.refuse_reserved_names()?;
            self.run_own("COMMIT")?;
        }
        let (pages, page_count) = self.written()?;
        Ok(Done { results, pages, page_count })
    }

    /// The pages that were written, and the number of pages.
    pub(super) fn written(&mut self) -> Result<(BTreeMap<u32, Page>, u32), Stopped> {
        let page_count = self.page_count()?;
        let pages = std::mem::take(&mut self.guest.store.data_mut().written);
        match pages.last_key_value().is_some_and(|(last, _page)| *last > page_count) {
            true => Err(Stopped::Broken),
            false => Ok((pages, page_count)),
        }
    }

    fn page_count(&mut self) -> Result<u32, Stopped> {
        let page_count = self.guest.call(|functions| &functions.page_count, ())?;
        u32::try_from(page_count).ok().filter(|count| *count <= PAGES_MAX).ok_or(Stopped::Broken)
    }

    /// SQLite does not tell the authorizer the new name of `ALTER TABLE .. RENAME TO`.
    pub(super) fn refuse_reserved_names(&mut self) -> Result<(), Stopped> {
        if !self.guest.store.data().has_altered {
            return Ok(());
        }
        let others = format!("SELECT name FROM sqlite_schema WHERE sql IS NOT {}", quoted(MIGRATIONS_TABLE));
        let names = self.run_own(&others)?;
        match names.iter().find(|name| is_reserved(name)) {
            Some(name) => Err(Stopped::NotAllowed(reserved(name))),
            None => Ok(()),
        }
    }

    fn roll_back(&mut self) -> Result<(), Stopped> {
        if self.guest.call(|functions| &functions.is_autocommit, (self.connection,))? == 0 {
            self.run_own("ROLLBACK").map_err(|_failed| Stopped::Broken)?;
        }
        self.guest.store.data_mut().written.clear();
        Ok(())
    }

    /// The result of SQLite's check of all pages: `ok`, or the faults.
    #[cfg(any(test, fuzzing))]
    pub fn integrity_check(&mut self) -> Result<Vec<String>, Stopped> {
        self.run_own("PRAGMA integrity_check")
    }

    /// Runs a statement of payerbase, which may do anything. Returns the texts of its first column.
    pub(super) fn run_own(&mut self, sql: &str) -> Result<Vec<String>, Stopped> {
        self.guest.store.data_mut().is_own = true;
        let ran = self.run_own_within(sql);
        self.guest.store.data_mut().is_own = false;
        ran
    }

    fn run_own_within(&mut self, sql: &str) -> Result<Vec<String>, Stopped> {
        let text = self.guest.put(sql.as_bytes())?;
        let prepared = self.prepare_one(text, sql.len());
        self.guest.free(text)?;
        let (statement, _rest) = prepared?;
        let texts = self.first_column(statement);
        self.finish(statement, texts)
    }

    fn first_column(&mut self, statement: Address) -> Result<Vec<String>, Stopped> {
        let (mut texts, mut bytes) = (Vec::new(), 0);
        while self.step(statement)? {
            let address = self.guest.call(|functions| &functions.column_text, (statement, 0))?;
            let text = self.guest.text(address)?;
            bytes += text.len();
            if bytes > OWN_BYTES_MAX {
                return Err(Stopped::TooLarge);
            }
            texts.push(text);
        }
        Ok(texts)
    }

    /// Runs a statement to its next row. Returns whether there is one.
    pub(super) fn step(&mut self, statement: Address) -> Result<bool, Stopped> {
        match self.guest.call(|functions| &functions.step, (statement,))? {
            code::ROW => Ok(true),
            code::DONE => Ok(false),
            _ => Err(self.error()?),
        }
    }

    /// Frees a statement that ran, if its instance is used again.
    pub(super) fn finish<T>(&mut self, statement: Address, ran: Result<T, Stopped>) -> Result<T, Stopped> {
        if ran.as_ref().err().is_none_or(Stopped::leaves_instance_usable) {
            self.guest.call(|functions| &functions.finalize, (statement,))?;
        }
        ran
    }

    /// The error of SQLite, or why the host made SQLite fail.
    pub(super) fn error(&mut self) -> Result<Stopped, Stopped> {
        let host = self.guest.store.data();
        if let Some(refused) = host.refused() {
            return Ok(refused.clone());
        }
        if let Some(denied) = &host.denied {
            return Ok(Stopped::NotAllowed(denied.clone()));
        }
        let code = self.guest.call(|functions| &functions.error_code, (self.connection,))?;
        match code & 0xff {
            code::NO_MEMORY => return Ok(self.guest.store.data().no_memory()),
            code::FULL => return Ok(Stopped::Full),
            _ => {}
        }
        let offset = self.guest.call(|functions| &functions.error_offset, (self.connection,))?;
        let message = self.guest.call(|functions| &functions.error_message, (self.connection,))?;
        let message = shortened(self.guest.text(message)?);
        if message.starts_with("cannot VACUUM") {
            return Ok(Stopped::NotAllowed(ONE_DATABASE.into()));
        }
        if message.starts_with("table pb_") && message.ends_with("may not be modified") {
            return Ok(Stopped::NotAllowed(OWN_TABLES.into()));
        }
        Ok(Stopped::Sql { message, offset: u32::try_from(offset).ok(), constraint: Constraint::of_code(code) })
    }
}
