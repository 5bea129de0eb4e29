//! Limits of memories.

use crate::limits::limits;

limits! {
    /// Maximum size of the metadata of a memory in a request: compact JSON in UTF-8, with all digits of its numbers.
    MEMORY_METADATA_MAX: bytes = 16 << 10;
    /// Maximum size of the metadata of a memory, as the database writes it: with a space after each comma and colon.
    MEMORY_METADATA_STORED_MAX: bytes = 32 << 10;
    /// Maximum size of the contents and metadata of one page of `listMemories`, or of the results of one `searchMemories`. The last memory may
    /// exceed it.
    MEMORIES_BYTES_MAX: bytes = 4 << 20;
    /// Maximum size of a text whose words are indexed with their positions.
    POSITIONS_BYTES_MAX: number = 100_000;
    /// Memories whose words one call of the sweeper makes again, after an upgrade.
    MEMORIES_REWORDED: number = 50;
    /// Size of their contents after which such a call takes no further memory.
    REWORDED_BYTES: bytes = 64 << 10;
    /// Maximum number of words of a query that a search uses: the longest ones.
    QUERY_WORDS_MAX: number = 64;
    /// Maximum number of memories that a search by words ranks.
    RANKED_MAX: number = 50_000;
    /// Maximum number of memories that a search compares one by one beside or instead of the graph.
    COMPARED_MAX: number = 20_000;
    /// Maximum number of memories that a search looks up by their keys in a small space.
    KEYED_MAX: number = 5_000;
    /// Maximum number of spaces that the problem `dimension-mismatch` lists.
    SPACES_LISTED: number = 10;
    /// Expired memories that one call of the sweeper deletes.
    MEMORIES_SWEPT: number = 500;
}

/// Widths of the graph, in dimensions: one index each (`migrations/0010_memories.sql`). A vector is padded to the next width.
pub(super) const GRAPH_WIDTHS: [usize; 4] = [384, 768, 1_536, 3_072];
