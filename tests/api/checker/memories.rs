//! Memories: each client writes one, and all clients of the payer read and search.

use std::collections::HashMap;
use std::time::Instant;

use rand::RngExt as _;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

use super::payer::{Call, History, Outcome, Payer};

#[derive(Default)]
pub struct Memories {
    writes: History<Write>,
    reads: History<Read>,
}

/// A write of a memory. The writes of a memory do not overlap; the later has the higher version.
struct Write {
    writer: usize,
    version: i64,
    start: Instant,
    end: Instant,
    is_done: bool,
    is_forgotten: bool,
}

/// A memory that was read. No version: there was none.
struct Read {
    writer: usize,
    version: Option<i64>,
    start: Instant,
    end: Instant,
}

/// The client that writes a memory.
pub struct Writer {
    number: usize,
    version: i64,
    has_unknown: bool,
}

impl Writer {
    pub fn new(number: usize) -> Self {
        Self { number, version: 0, has_unknown: false }
    }

    /// Stores a new version, and perhaps searches for it. Now and then, forgets the memory.
    pub async fn write(&mut self, payer: &Payer, random: &mut StdRng) {
        self.version += 1;
        let (writer, version, path) = (self.number, self.version, path(self.number));
        let is_forgotten = random.random_bool(0.1);
        let word = word(writer, version);
        let call = if is_forgotten {
            payer.send(random, Method::DELETE, &path, None, &[]).await
        } else {
            let memory = json!({"content": format!("{version} of {writer} is {word}")});
            payer.send(random, Method::PUT, &path, Some(&memory), &[]).await
        };
        self.has_unknown |= call.is_unknown();
        if !call.is_done() && !call.is_unknown() {
            return;
        }
        let is_done = call.is_done();
        payer.memories.writes.add(Write { writer, version, start: call.start, end: call.end, is_done, is_forgotten });
        // A write whose outcome is unknown may replace this one later.
        if is_done && !is_forgotten && !self.has_unknown && random.random_bool(0.5) {
            let query = json!({"query": word, "mode": "text"});
            let Some(found) = payer.post(random, "/v1/memories/search", &query).await.done() else { return };
            let found: Vec<i64> = found["results"].as_array().unwrap().iter().map(version_of).collect();
            if found != [version] {
                payer.is_wrong(format!("a search for version {version} of memory {writer} found {found:?}"));
            }
        }
    }
}

fn path(writer: usize) -> String {
    format!("/v1/memories/memory{writer}")
}

/// A word that is in no other memory.
fn word(writer: usize, version: i64) -> String {
    format!("word{writer}x{version}")
}

/// The version in the content of a memory.
fn version_of(memory: &Value) -> i64 {
    memory["content"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap()
}

pub async fn read(payer: &Payer, random: &mut StdRng, writers: usize) {
    let writer = random.random_range(0..writers);
    let call = payer.get(random, &path(writer)).await;
    add_read(payer, writer, &call);
}

fn add_read(payer: &Payer, writer: usize, call: &Call) {
    let version = match &call.outcome {
        Outcome::Done(_) => call.done().map(|memory| version_of(&memory)),
        Outcome::Refused(404, _) => None,
        Outcome::Refused(..) | Outcome::Unknown => return,
    };
    payer.memories.reads.add(Read { writer, version, start: call.start, end: call.end });
}

/// What is impossible in the answers.
pub async fn check(payer: &Payer, random: &mut StdRng, writers: usize, wrong: &mut Vec<String>) {
    for writer in 0..writers {
        add_read(payer, writer, &payer.get(random, &path(writer)).await);
    }
    let mut writes: HashMap<usize, Vec<Write>> = HashMap::new();
    for write in payer.memories.writes.take() {
        writes.entry(write.writer).or_default().push(write);
    }
    for read in payer.memories.reads.take() {
        let writes = writes.get(&read.writer).map_or(&[][..], Vec::as_slice);
        if !is_possible(&read, writes) {
            wrong.push(format!("memory {} was read at version {:?}, which is impossible", read.writer, read.version));
        }
    }
}

/// Whether a read can find a version: its write has begun, and no later write was done before the read began.
///   writes: those of the memory, in their order
fn is_possible(read: &Read, writes: &[Write]) -> bool {
    let before = writes.partition_point(|write| write.end < read.start);
    let newest = writes[..before].iter().rev().find(|write| write.is_done).map_or(0, |write| write.version);
    let fits = |write: &Write| match read.version {
        Some(version) => write.version == version && !write.is_forgotten,
        None => write.is_forgotten,
    };
    let begun = writes.partition_point(|write| write.start < read.end);
    let is_found = |write: &Write| fits(write) && (write.version >= newest || !write.is_done);
    read.version.is_none() && newest == 0 || writes[..begun].iter().rev().any(is_found)
}
