//! Messages of workers and files to import, for fuzz targets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::engine::{Engine, Page, Pages, Stopped};
use super::running_call::{SqlCall, checked};
use super::statement::{Params, Statement, Task};
use super::tables::Rows;
use super::wire::{self, FromWorker, ToWorker};

/// Time after which an import looks at its time.
const TICK: Duration = Duration::from_millis(2);
/// Time of the processor for an import.
const TIME: Duration = Duration::from_secs(2);
/// Memory of all databases.
const MEMORY_MAX: usize = 512 << 20;

/// The end of a call that a server accepts.
pub struct Taken {
    /// The numbers of the pages that it stores.
    pub pages: Vec<u32>,
    /// The number of pages of the database.
    pub page_count: u32,
    /// How many results it returns.
    pub results: usize,
}

/// Reads the messages of a worker, up to the first malformed one. Returns the ends of calls that a server accepts. Each call has
/// one statement.
#[must_use]
pub fn taken_from_worker(mut bytes: &[u8], may_write: bool) -> Vec<Taken> {
    let statement = Statement { sql: String::new(), params: Params::default(), only_reads: !may_write };
    let call = SqlCall { tasks: vec![Task::Statement(statement)], may_write, must_be_newest: true, readable: vec![] };
    let mut taken = Vec::new();
    while let Ok(Some(message)) = wire::read::<FromWorker>(&mut bytes) {
        if let FromWorker::Done { results, pages, page_count, .. } = message
            && let Ok(done) = checked(&call, Uuid::nil(), &results, pages, page_count)
        {
            let pages = done.pages.iter().map(|(number, _page)| *number).collect();
            taken.push(Taken { pages, page_count: done.page_count, results: done.results.len() });
        }
    }
    taken
}

/// The first message to a worker and the first from one, each encoded, and encoded again after it was decoded.
#[must_use]
pub fn messages_again(bytes: &[u8]) -> [Option<[Vec<u8>; 2]>; 2] {
    [again::<ToWorker>(bytes), again::<FromWorker>(bytes)]
}

fn again<M: Serialize + DeserializeOwned>(mut bytes: &[u8]) -> Option<[Vec<u8>; 2]> {
    let message: M = wire::read(&mut bytes).ok()??;
    let once = wire::encode(&message).ok()?;
    let message: M = wire::read(&mut once.as_slice()).ok()??;
    let twice = wire::encode(&message).ok()?;
    Some([once, twice])
}

/// Imports files.
pub struct Importer(Arc<Engine>);

/// The pages of a database in memory.
struct Image(BTreeMap<u32, Page>);

impl Pages for Image {
    fn page(&mut self, number: u32) -> Option<Page> {
        self.0.get(&number).cloned()
    }

    fn tables(&mut self, _numbers: &[usize]) -> Result<Vec<(usize, Rows)>, Stopped> {
        Ok(Vec::new())
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

impl Importer {
    /// Compiles SQLite. `None` if that fails.
    #[must_use]
    pub fn new() -> Option<Self> {
        let engine = Arc::new(Engine::compile(8, MEMORY_MAX).ok()?);
        let ticking = Arc::clone(&engine);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(TICK);
                ticking.tick();
            }
        });
        Some(Self(engine))
    }

    /// Imports a file. Returns what `integrity_check` says of the database that is made; `None` if the file is refused.
    ///
    /// # Errors
    /// If SQLite does not behave as SQLite.
    pub fn import(&self, file: &[u8]) -> Result<Option<Vec<String>>, String> {
        let line = || -> Box<dyn Pages> { Box::new(Image(BTreeMap::new())) };
        let done = match self.0.import(file, TIME, [line(), line()]) {
            Ok(done) => done,
            Err(Stopped::Broken) => return Err("the import broke SQLite".to_owned()),
            Err(_refused) => return Ok(None),
        };
        let words = |stopped: Stopped| format!("{stopped:?}");
        let mut made = self.0.open(done.page_count, Box::new(Image(done.pages)), TIME).map_err(words)?;
        made.integrity_check().map(Some).map_err(words)
    }
}
