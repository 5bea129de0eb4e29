//! Memories: what an agent should remember, found again by words and by meaning.
//!
//! `rpc.sql` says what the methods do, `search.sql` how memories are found (`nearest.sql`, `worded.sql`), `graph.sql` how large
//! spaces get an index for approximate search. Limits: 100,000 characters of content, vectors of 4,096 dimensions, metadata of 16 KiB, 32 tags, 100
//! memories and 256 KiB of contents in a batch, 100 results of a search; filters of 16 levels and 256 conditions.

pub mod filter;
pub mod routes;
pub mod search;
pub mod searchable;
pub mod types;

use crate::auth::Scope;
use crate::name::Name;
use crate::page::Page;
use crate::problem::{Code, Problem};
use crate::turn::{Entry, Method, Path, Seed, Spec};
use crate::vector::Vector;
use search::{Found, Mode, SearchMemories};
use types::{
    ForgetMemory, ListMemories, Memory, RecallMemory, StoreMemories, StoreMemory, StoredMemories, StoredMemory,
    UpdateMemory,
};

/// The methods of memories.
pub const METHODS: &[Entry] = &[
    Entry::of::<StoreMemory>(),
    Entry::of::<StoreMemories>(),
    Entry::of::<RecallMemory>(),
    Entry::of::<UpdateMemory>(),
    Entry::of::<SearchMemories>(),
    Entry::of::<ForgetMemory>(),
    Entry::of::<ListMemories>(),
];

/// So many bytes of text are as much work as a call: their words are found and put into the index.
const WEIGHT_BYTES: usize = 250;

/// Most bytes of text in a batch, as words are found in it: finding and indexing those of so much takes a fifth of a second.
const BATCH_TEXT_BYTES_MAX: usize = 256 << 10;

const fn write(name: &'static str, problems: &'static [Code]) -> Spec {
    Spec { name, path: Path::Write, scope: Some(Scope::MemoriesWrite), problems }
}

const fn read(name: &'static str, path: Path, problems: &'static [Code]) -> Spec {
    Spec { name, path, scope: Some(Scope::MemoriesRead), problems }
}

fn invalid(pointer: &str, detail: &str) -> Problem {
    Problem::new(Code::InvalidValue).field(pointer, detail)
}

fn check_pairs(has_ttl: bool, has_end: bool, has_model: bool, has_vector: bool) -> Result<(), Problem> {
    if has_ttl && has_end {
        return Err(invalid("/ttlMs", "must not be given with `expiresAt`"));
    }
    if has_model && !has_vector {
        return Err(invalid("/embeddingModel", "must be given with `embedding`"));
    }
    Ok(())
}

impl StoreMemory {
    fn wants_vector(&self) -> bool {
        self.embedding.is_none()
    }

    fn take_vector(&mut self, vector: Option<Vector>, model: &Name) {
        (self.embedding, self.embedding_model) = (Some(vector), Some(model.clone()));
        self.is_made = true;
    }
}

impl Method for StoreMemory {
    type Output = StoredMemory;
    const SPEC: Spec = write("storeMemory", &[Code::InvalidVector, Code::EmbeddingFailed]);
    const REFS: &'static [(&'static str, &'static str)] = &[("id", "\"a\""), ("metadata", "{}")];

    fn prepare(&mut self, seed: &Seed<'_>) -> Result<(), Problem> {
        let has_vector = matches!(self.embedding, Some(Some(_)));
        check_pairs(self.ttl_ms.is_some(), self.expires_at.is_some(), self.embedding_model.is_some(), has_vector)?;
        self.reading = searchable::read(seed.language, &self.content.0);
        Ok(())
    }

    fn weight(&self) -> usize {
        1 + self.reading.bytes(&self.content.0) / WEIGHT_BYTES
    }

    fn texts(&self) -> Vec<&str> {
        self.wants_vector().then_some(self.content.0.as_str()).into_iter().collect()
    }

    fn embedded(&mut self, vectors: Vec<Vector>, model: &Name) {
        self.take_vector(vectors.into_iter().next(), model);
    }
}

impl Method for StoreMemories {
    type Output = StoredMemories;
    const SPEC: Spec = write("storeMemories", StoreMemory::SPEC.problems);
    /// A hundred vectors of 1,536 dimensions are 3 MiB as JSON.
    const BODY_BYTES_MAX: usize = 8 << 20;

    fn prepare(&mut self, seed: &Seed<'_>) -> Result<(), Problem> {
        let mut memories = self.memories.iter_mut().enumerate();
        memories.try_for_each(|(place, memory)| {
            Method::prepare(memory, seed).map_err(|problem| problem.within(&format!("/memories/{place}")))
        })?;
        let bytes: usize = self.memories.iter().map(|memory| memory.reading.bytes(&memory.content.0)).sum();
        if bytes > BATCH_TEXT_BYTES_MAX {
            let detail = format!(
                "must have contents of at most {BATCH_TEXT_BYTES_MAX} bytes together, as words are found in them"
            );
            return Err(invalid("/memories", &detail));
        }
        Ok(())
    }

    fn weight(&self) -> usize {
        self.memories.iter().map(Method::weight).sum()
    }

    fn texts(&self) -> Vec<&str> {
        self.memories.iter().flat_map(Method::texts).collect()
    }

    fn embedded(&mut self, vectors: Vec<Vector>, model: &Name) {
        let without = self.memories.iter_mut().filter(|memory| memory.wants_vector());
        for (memory, vector) in without.zip(vectors) {
            memory.take_vector(Some(vector), model);
        }
    }
}

impl Method for RecallMemory {
    type Output = Memory;
    const SPEC: Spec = read("recallMemory", Path::Read, &[Code::NotFound]);
    const REFS: &'static [(&'static str, &'static str)] = &[("id", "\"a\"")];
}

impl Method for UpdateMemory {
    type Output = Memory;
    const SPEC: Spec = write("updateMemory", &[Code::NotFound, Code::InvalidVector, Code::EmbeddingFailed]);
    const REFS: &'static [(&'static str, &'static str)] = &[("id", "\"a\""), ("metadata", "{}")];

    fn prepare(&mut self, seed: &Seed<'_>) -> Result<(), Problem> {
        let has_vector = matches!(self.embedding, Some(Some(_)));
        let (has_ttl, has_end) = (matches!(self.ttl_ms, Some(Some(_))), matches!(self.expires_at, Some(Some(_))));
        check_pairs(has_ttl, has_end, self.embedding_model.is_some(), has_vector)?;
        if let Some(content) = &self.content {
            self.reading = searchable::read(seed.language, &content.0);
        }
        // What null stands for.
        self.tags = self.tags.take().map(|tags| Some(tags.unwrap_or_default()));
        self.importance = self.importance.take().map(|importance| Some(importance.unwrap_or_default()));
        self.namespace = self.namespace.take().map(|namespace| Some(namespace.unwrap_or_default()));
        Ok(())
    }

    fn weight(&self) -> usize {
        1 + self.content.as_ref().map_or(0, |content| self.reading.bytes(&content.0)) / WEIGHT_BYTES
    }

    fn texts(&self) -> Vec<&str> {
        self.content.iter().filter(|_| self.embedding.is_none()).map(|content| content.0.as_str()).collect()
    }

    fn embedded(&mut self, vectors: Vec<Vector>, model: &Name) {
        (self.embedding, self.embedding_model) = (Some(vectors.into_iter().next()), Some(model.clone()));
        self.is_made = true;
    }
}

impl Method for SearchMemories {
    type Output = Found;
    const SPEC: Spec = read(
        "searchMemories",
        Path::SlowRead,
        &[Code::InvalidVector, Code::DimensionMismatch, Code::NoEmbeddingModel, Code::EmbeddingFailed],
    );

    fn prepare(&mut self, seed: &Seed<'_>) -> Result<(), Problem> {
        check_pairs(false, false, self.embedding_model.is_some(), self.embedding.is_some())?;
        let can_embed = self.embedding.is_some() || seed.can_embed;
        self.is_default = self.mode.is_none();
        let mode = self.mode.unwrap_or(match (self.query.is_some(), can_embed) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::Text,
            (false, _) => Mode::Vector,
        });
        if self.query.is_none() && (mode != Mode::Vector || self.embedding.is_none()) {
            let detail =
                if mode == Mode::Vector { "must be given, or `embedding`" } else { "must be given in this mode" };
            return Err(invalid("/query", detail));
        }
        if mode != Mode::Text && !can_embed {
            return Err(Problem::new(Code::NoEmbeddingModel));
        }
        if mode == Mode::Text && self.embedding.is_some() {
            return Err(invalid("/embedding", "must not be given in mode `text`"));
        }
        let best = match mode {
            Mode::Vector => 1.0,
            Mode::Hybrid => 2.0 / 61.0,
            Mode::Text => f64::INFINITY,
        };
        if self.min_score.is_some_and(|score| score > best) {
            let detail = format!("must be at most {best:.4} in this mode: no memory can have a higher score");
            return Err(invalid("/minScore", &detail));
        }
        self.mode = Some(mode);
        self.equals = self.filter.as_ref().map(|filter| filter.equals().to_vec()).unwrap_or_default();
        if let Some(query) = &self.query {
            self.reading = searchable::read(seed.language, &query.0);
        }
        Ok(())
    }

    fn texts(&self) -> Vec<&str> {
        let wants_vector = self.embedding.is_none() && self.mode != Some(Mode::Text);
        self.query.iter().filter(|_| wants_vector).map(|query| query.0.as_str()).collect()
    }

    fn embedded(&mut self, vectors: Vec<Vector>, model: &Name) {
        (self.embedding, self.embedding_model) = (vectors.into_iter().next(), Some(model.clone()));
        self.is_made = true;
    }
}

impl Method for ForgetMemory {
    type Output = ();
    const SPEC: Spec = write("forgetMemory", &[Code::NotFound]);
    const REFS: &'static [(&'static str, &'static str)] = &[("id", "\"a\"")];
}

impl Method for ListMemories {
    type Output = Page<Memory>;
    const SPEC: Spec = read("listMemories", Path::SlowRead, &[]);
}
