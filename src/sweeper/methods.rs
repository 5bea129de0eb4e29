//! The methods of the sweeper. No payer can call them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Refused;
use crate::call::{Context, Entry, Method, NeededSlug, Needs, Spec, method};
use crate::pay::Tier;
use crate::problem::Problem;
use crate::quotas::Primitive;
use crate::search_text::{self, SearchText};

/// Assets whose usage one call books.
const ASSETS_PER_CALL: usize = 8;

/// All methods of the sweeper.
pub(crate) const METHODS: &[Entry] = &[
    Entry::of::<SweepQueues>(),
    Entry::of::<SweepJobs>(),
    Entry::of::<SweepLocks>(),
    Entry::of::<SweepIdempotency>(),
    Entry::of::<SweepMemories>(),
    Entry::of::<GrowGraph>(),
    Entry::of::<SweepLinks>(),
    Entry::of::<UnwordedMemories>(),
    Entry::of::<RewordMemories>(),
    Entry::of::<PostUsage>(),
    Entry::of::<AddWritten>(),
    Entry::of::<NoteRefusals>(),
    Entry::of::<MeasureRows>(),
    Entry::of::<SaveUsage>(),
    Entry::of::<SweepSql>(),
    Entry::of::<EraseData>(),
];

const fn free(spec: Spec) -> Spec {
    spec.by_sweeper().tier(Tier::Free)
}

const fn sweep(name: &'static str) -> Spec {
    free(Spec::write(name)).weight(100)
}

/// Applies expired leases and due jobs, and deletes queues without jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepQueues {}

method!(SweepQueues => u64, sweep("sweepQueues"));

/// Deletes finished jobs that are past their retention.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepJobs {}

method!(SweepJobs => u64, sweep("sweepJobs").primitive(Primitive::Jobs));

/// Deletes locks that are past their retention.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepLocks {}

method!(SweepLocks => u64, sweep("sweepLocks").primitive(Primitive::Locks));

/// Deletes pages that were put aside for writes that did not happen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepSql {}

method!(SweepSql => u64, sweep("sweepSql"));

/// Erases the next rows of the payer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EraseData {}

impl Method for EraseData {
    type Output = Erased;
    const SPEC: Spec = sweep("eraseData").apart();

    fn needs(&mut self) -> Needs<'_> {
        Needs { slug: Some(NeededSlug::RenewedForErasure), ..Needs::default() }
    }
}

/// What was erased, as `erasePayer` answers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Erased {
    pub deleted: u64,
    pub has_more: bool,
}

/// Deletes idempotency records that are past their retention.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepIdempotency {}

method!(SweepIdempotency => u64, sweep("sweepIdempotency"));

/// Deletes expired memories.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SweepMemories {}

method!(SweepMemories => u64, sweep("sweepMemories").primitive(Primitive::Memories));

/// Puts vectors of a large space into its graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct GrowGraph {
    pub model: String,
    pub dimensions: i32,
    /// Number of vectors.
    pub bite: u64,
}

method!(GrowGraph => u64, sweep("growGraph").apart());

/// Adds up the clicks of a link, and deletes clicks that are past their retention.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SweepLinks {
    pub slug: String,
    pub keep_ms: i64,
}

method!(SweepLinks => u64, sweep("sweepLinks").primitive(Primitive::Clicks));

/// Reads the next memories whose words an earlier version made. `None` if the payer has none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UnwordedMemories {}

method!(UnwordedMemories => Option<Unworded>, free(Spec::slow_read("unwordedMemories")));

/// The next memories to make the words of again. None at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Unworded {
    /// Where they begin.
    pub from: String,
    pub memories: Vec<UnwordedMemory>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnwordedMemory {
    pub id: String,
    pub content: String,
    #[serde(default)]
    pub search_text: SearchText,
}

/// Makes the words of memories again, as this version makes them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RewordMemories {
    pub from: String,
    pub memories: Vec<UnwordedMemory>,
}

impl Method for RewordMemories {
    type Output = u64;
    const SPEC: Spec = sweep("rewordMemories").apart();

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        for memory in &mut self.memories {
            memory.search_text = search_text::read(context.language, &memory.content);
        }
        Ok(())
    }
}

/// Books what calls have spent in the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PostUsage {
    /// Ids of the entries: one for each asset of the payer. Further assets wait for the next call.
    pub ids: Vec<Uuid>,
}

impl PostUsage {
    pub fn new() -> Self {
        Self { ids: std::iter::repeat_with(Uuid::now_v7).take(ASSETS_PER_CALL).collect() }
    }
}

method!(PostUsage => u64, sweep("postUsage"));

/// Adds what a server has written for the payer since it last did so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AddWritten {
    pub written: Vec<WrittenPart>,
}

method!(AddWritten => u64, free(Spec::write("addWritten")));

/// What was written to a primitive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WrittenPart {
    pub primitive: Primitive,
    pub writes: i64,
    pub bytes: i64,
}

/// Adds calls that a server has refused to the log of the payer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NoteRefusals {
    pub refused: Vec<Refused>,
}

method!(NoteRefusals => u64, free(Spec::write("noteRefusals")));

/// Counts the next rows of a primitive and their bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MeasureRows {
    pub primitive: Primitive,
    /// The end of the previous step. `None`: this is the first one.
    pub after: Option<Value>,
}

method!(MeasureRows => MeasuredRows, free(Spec::slow_read("measureRows")));

/// A step of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MeasuredRows {
    pub rows: i64,
    pub bytes: i64,
    /// The end of this step. `None`: it was the last one.
    pub after: Option<Value>,
}

/// Saves a measurement, and marks the primitive as full if one of its quotas is used up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SaveUsage {
    pub primitive: Primitive,
    pub rows: i64,
    pub bytes: i64,
    pub rows_max: Option<i64>,
    pub bytes_max: Option<i64>,
    /// What was written before the measurement began.
    pub writes: i64,
    pub written_bytes: i64,
}

method!(SaveUsage => u64, free(Spec::write("saveUsage")));
