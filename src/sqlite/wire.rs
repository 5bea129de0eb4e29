//! Messages between the server and its workers: a length in 4 bytes, then the message in the format of `postcard`.

use std::io::{self, Read};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use uuid::Uuid;

use super::engine::{Page, Stopped};
use super::limits::{PAGE_BYTES, PAGES_MAX};
use super::statement::Task;

/// Maximum size of a message: a whole database, and the results of a call.
const MESSAGE_BYTES_MAX: usize = 20 << 20;

/// A version of a database: its number is for order, its id is unique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub version: i64,
    pub id: Uuid,
    pub page_count: u32,
}

/// A page and its number, from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SentPage {
    pub number: u32,
    pub data: ByteBuf,
}

impl SentPage {
    pub fn new(number: u32, page: &[u8]) -> Self {
        Self { number, data: ByteBuf::from(page) }
    }

    /// The page, unless its number or its size is wrong.
    pub fn checked(self) -> Option<(u32, Page)> {
        let page: Page = Box::new(*self.data.first_chunk::<PAGE_BYTES>()?);
        ((1..=PAGES_MAX).contains(&self.number) && self.data.len() == PAGE_BYTES).then_some((self.number, page))
    }
}

/// To a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    Run(Run),
    /// The page that a call needs, and more that it may need. `None`: it has changed, so that the call must end.
    Pages {
        id: u64,
        pages: Option<Vec<SentPage>>,
    },
    /// Tables of primitives that a call needs.
    Tables {
        id: u64,
        tables: SentTables,
    },
    /// Nobody waits for the call any more: it ends.
    Cancel {
        id: u64,
    },
}

/// Tables of primitives, with their numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum SentTables {
    /// The rows of each as a JSON array.
    Rows(Vec<(usize, String)>),
    /// They have more rows or bytes than a call may read.
    TooLarge,
    /// The database has changed, so that the call must end.
    Moved,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Its id in the messages.
    pub id: u64,
    /// The database, which the worker keeps open under this name.
    pub database: String,
    /// The version that the call reads.
    pub head: Head,
    /// The id of the version that it makes if it writes pages.
    pub next: Uuid,
    pub may_write: bool,
    /// Time of the processor, in microseconds.
    pub time_us: u64,
    /// Maximum number of rows of each result.
    pub rows_max: usize,
    /// Maximum size of all rows as JSON.
    pub bytes_max: usize,
    pub tasks: Vec<Task>,
}

/// The open databases of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub databases: u32,
    /// Their memory.
    pub bytes: u64,
    /// How many were closed since the start because there were too many.
    pub evictions: u64,
}

/// From a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// The worker takes calls. `weaker`: what its sandbox lacks on this machine.
    Ready { weaker: Vec<String> },
    /// The worker cannot start.
    NotReady { why: String },
    /// What the worker keeps has changed.
    Kept(Kept),
    /// A call needs a page.
    Need { id: u64, page: u32 },
    /// A call needs tables of primitives.
    NeedTables { id: u64, tables: Vec<usize> },
    /// A call has ended.
    Done {
        id: u64,
        /// The result of each task, a `TaskResult` as JSON.
        results: Vec<String>,
        /// The pages that it has written.
        pages: Vec<SentPage>,
        page_count: u32,
    },
    /// A call was stopped at a task. Nothing was changed.
    Stopped { id: u64, index: usize, stopped: Stopped },
}

impl FromWorker {
    /// The message instead of one that is too long.
    pub fn too_long(&self) -> Option<Self> {
        match self {
            Self::Ready { .. } | Self::NotReady { .. } | Self::Kept(_) => None,
            Self::Need { id, .. } | Self::NeedTables { id, .. } | Self::Done { id, .. } | Self::Stopped { id, .. } => {
                Some(Self::Stopped { id: *id, index: 0, stopped: Stopped::TooLarge })
            }
        }
    }
}

/// Encodes a message with its length.
pub(crate) fn encode<M: Serialize>(message: &M) -> io::Result<Vec<u8>> {
    let mut bytes = postcard::to_extend(message, vec![0; 4]).map_err(io::Error::other)?;
    let length = bytes.len() - 4;
    let length = u32::try_from(length).ok().filter(|_| length <= MESSAGE_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("the message is too long"))?;
    if let Some(head) = bytes.first_chunk_mut::<4>() {
        *head = length.to_le_bytes();
    }
    Ok(bytes)
}

/// The length of the message after these 4 bytes.
pub(crate) fn length(head: [u8; 4]) -> io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(head)).ok().filter(|length| *length <= MESSAGE_BYTES_MAX);
    length.ok_or_else(|| io::Error::other("a message is too long"))
}

/// Decodes a message without its length.
pub(crate) fn decode<M: DeserializeOwned>(bytes: &[u8]) -> io::Result<M> {
    postcard::from_bytes(bytes).map_err(io::Error::other)
}

/// Reads a message. `None` at the end.
pub(crate) fn read<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<M>> {
    let mut head = [0; 4];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut bytes = vec![0; length(head)?];
    from.read_exact(&mut bytes)?;
    decode(&bytes).map(Some)
}
