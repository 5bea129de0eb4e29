//! The functions that `sqlite.wasm` imports: pages, time, chance, and the authorizer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use rand::Rng as _;
use rustix::thread::ClockId;
use wasmtime::{Caller, Extern, Linker, Memory, Trap, UpdateDeadline};

use super::memory::{Address, range, text};
use super::memory_share::MemoryShare;
use super::rules::{Action, Allowed, RULES, action};
use super::stopped::{Stopped, shortened};
use crate::sqlite::limits::{PAGE_BYTES, PAGES_MAX};
use crate::sqlite::tables::{self, Rows};

/// How many times longer than its time of the processor a call may take on a busy machine, where others come first.
const BUSY_FACTOR: u32 = 4;
/// How long each call may take at least.
const BUSY_TIME_MIN: Duration = Duration::from_secs(1);

/// A page of a database.
pub(crate) type Page = Box<[u8; PAGE_BYTES]>;

/// Where an instance gets the pages of its database.
pub(crate) trait Pages: Send {
    /// A page, from 1. `None` if it has changed since the version that the call reads.
    fn page(&mut self, number: u32) -> Option<Page>;

    /// Tables of primitives, by their numbers.
    fn tables(&mut self, numbers: &[usize]) -> Result<Vec<(usize, Rows)>, Stopped>;

    /// Whether the call was cancelled.
    fn is_cancelled(&self) -> bool;
}

/// The state of an instance outside of its memory.
pub(crate) struct Host {
    /// The pages of the call in progress.
    pub pages: Option<Box<dyn Pages>>,
    /// The number of pages of the database before the call.
    pub base_pages: u32,
    /// The pages that the call has written.
    pub written: BTreeMap<u32, Page>,
    /// The tables of primitives that the statements of the call have named.
    pub named: BTreeSet<usize>,
    /// Those that were read for the call.
    pub tables: HashMap<usize, Rows>,
    /// Whether the call may write.
    pub may_write: bool,
    /// Whether the statement is payerbase's own, which may do anything.
    pub is_own: bool,
    /// Why the statement was denied.
    pub denied: Option<String>,
    /// Whether the statement calls `last_insert_rowid()`.
    pub reads_last_insert_rowid: bool,
    /// Whether the call has changed a table's definition.
    pub has_altered: bool,
    /// The rules of what statements may do.
    pub rules: &'static [(i32, Allowed)],
    pub memory: MemoryShare,
    /// When the call must end, in time of the processor.
    deadline: Duration,
    /// When it must end although it had little of the processor.
    last: Instant,
    stopped: Option<Stopped>,
}

impl Host {
    pub fn new(memory: MemoryShare) -> Self {
        Self {
            pages: None,
            base_pages: 0,
            written: BTreeMap::new(),
            named: BTreeSet::new(),
            tables: HashMap::new(),
            may_write: false,
            is_own: false,
            denied: None,
            reads_last_insert_rowid: false,
            has_altered: false,
            rules: RULES,
            memory,
            deadline: Duration::MAX,
            last: Instant::now() + BUSY_TIME_MIN,
            stopped: None,
        }
    }

    /// Gives the call this much time of the processor.
    pub fn begin(&mut self, pages: Box<dyn Pages>, may_write: bool, time: Duration) {
        self.pages = Some(pages);
        self.may_write = may_write;
        self.deadline = processor_time().saturating_add(time);
        self.last = Instant::now() + (time * BUSY_FACTOR).max(BUSY_TIME_MIN);
        self.written.clear();
        self.named.clear();
        self.tables.clear();
        self.denied = None;
        self.has_altered = false;
        self.stopped = None;
    }

    /// Why a function of the guest did not return.
    pub fn stopped(&self, trap: &wasmtime::Error) -> Stopped {
        let of_trap = || match trap.downcast_ref::<Trap>() {
            // A deep schema, such as a thousand views of each other, needs more stack than there is.
            Some(Trap::StackOverflow | Trap::MemoryOutOfBounds) => Stopped::TooLarge,
            _ => Stopped::Broken,
        };
        self.stopped.clone().unwrap_or_else(of_trap)
    }

    /// What the host has refused during the call.
    pub fn refused(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// Why the guest got no memory.
    pub fn no_memory(&self) -> Stopped {
        if self.memory.is_crowded() { Stopped::Crowded } else { Stopped::TooLarge }
    }

    /// Ends the call if its time is over. Called every few milliseconds while the guest runs.
    pub fn tick(&mut self) -> UpdateDeadline {
        let is_cancelled = self.pages.as_ref().is_some_and(|pages| pages.is_cancelled());
        self.stopped = Some(if processor_time() >= self.deadline {
            Stopped::Timeout
        } else if is_cancelled || Instant::now() >= self.last {
            Stopped::Late
        } else {
            return UpdateDeadline::Continue(1);
        });
        UpdateDeadline::Interrupt
    }

    /// The rows of a table of a primitive. The first time, all tables that were named are read together.
    pub fn rows(&mut self, number: usize) -> Option<Rows> {
        if !self.tables.contains_key(&number) {
            self.named.insert(number);
            let numbers: Vec<usize> =
                self.named.iter().copied().filter(|number| !self.tables.contains_key(number)).collect();
            match self.pages.as_mut()?.tables(&numbers) {
                Ok(read) => self.tables.extend(read),
                Err(stopped) => self.stopped = Some(stopped),
            }
        }
        self.tables.get(&number).cloned()
    }

    fn page(&mut self, number: u32) -> Option<Page> {
        if let Some(page) = self.written.get(&number) {
            return Some(page.clone());
        }
        if number > self.base_pages {
            // SQLite reads a page again that it has added and freed, and so did not write: a hole in its file.
            return Some(Box::new([0; PAGE_BYTES]));
        }
        let page = self.pages.as_mut()?.page(number);
        if page.is_none() {
            self.stopped = Some(Stopped::Moved);
        }
        page
    }
}

/// The time that this thread has run on a processor.
fn processor_time() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(ClockId::ThreadCPUTime)).unwrap_or(Duration::MAX)
}

/// The function that returns the number of the row that was inserted last.
const LAST_ROWID: &str = "last_insert_rowid";

/// SQLite's error, for a function that returns `int`.
pub(super) const FAILED: i32 = 1;

/// The imports of `sqlite.wasm`.
pub(super) fn add_to(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap("host", "read_page", read_page)?;
    linker.func_wrap("host", "write_page", write_page)?;
    linker.func_wrap("host", "truncate", |mut caller: Caller<'_, Host>, pages: i32| {
        caller.data_mut().written.retain(|number, _page| i32::try_from(*number).is_ok_and(|number| number <= pages));
    })?;
    linker.func_wrap("host", "now", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
    })?;
    linker.func_wrap("host", "random", |mut caller: Caller<'_, Host>, into: Address, length: i32| {
        if let Some(into) = memory_of(&mut caller)
            .zip(range(into, length))
            .and_then(|(memory, range)| memory.data_mut(&mut caller).get_mut(range))
        {
            rand::rng().fill_bytes(into);
        }
    })?;
    linker.func_wrap("host", "authorize", authorize)?;
    Ok(())
}

pub(super) fn memory_of(caller: &mut Caller<'_, Host>) -> Option<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory)
}

/// Copies a part of a page into the guest.
fn read_page(mut caller: Caller<'_, Host>, number: i32, from: i32, length: i32, into: Address) -> i32 {
    let copy = |caller: &mut Caller<'_, Host>| {
        let memory = memory_of(caller)?;
        let page = caller.data_mut().page(u32::try_from(number).ok()?)?;
        let page = page.get(range(from, length)?)?;
        memory.data_mut(caller).get_mut(range(into, length)?)?.copy_from_slice(page);
        Some(())
    };
    if copy(&mut caller).is_some() { 0 } else { FAILED }
}

/// Takes a page from the guest.
fn write_page(mut caller: Caller<'_, Host>, number: i32, data: Address) -> i32 {
    let take = |caller: &mut Caller<'_, Host>| {
        let memory = memory_of(caller)?;
        let number = u32::try_from(number).ok().filter(|number| (1..=PAGES_MAX).contains(number))?;
        let page: Page = Box::new(*memory.data(&*caller).get(range(data, 0)?.start..)?.first_chunk()?);
        let host = caller.data_mut();
        if !host.may_write {
            return None;
        }
        host.written.insert(number, page);
        Some(())
    };
    if take(&mut caller).is_some() { 0 } else { FAILED }
}

/// Whether a statement may do something.
fn authorize(
    mut caller: Caller<'_, Host>,
    action: i32,
    first: Address,
    second: Address,
    third: Address,
    _view: Address,
) -> i32 {
    if caller.data().is_own {
        return 0;
    }
    let Some(memory) = memory_of(&mut caller) else { return FAILED };
    let read = |address: Address| if address == 0 { None } else { text(&memory, &caller, address) };
    let (first, second, third) = (read(first), read(second), read(third));
    let asked = Action { action, first: first.as_deref(), second: second.as_deref(), third: third.as_deref() };
    let may_write = caller.data().may_write;
    if asked.is_allowed(caller.data().rules, may_write) {
        if action == action::ALTER_TABLE {
            caller.data_mut().has_altered = true;
        }
        if action == action::READ {
            caller.data_mut().named.extend(first.as_deref().and_then(tables::number));
        }
        if action == action::FUNCTION && second.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(LAST_ROWID)) {
            caller.data_mut().reads_last_insert_rowid = true;
        }
        return 0;
    }
    let reason = shortened(asked.reason());
    caller.data_mut().denied.get_or_insert(reason);
    FAILED
}
