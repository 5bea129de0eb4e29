//! Limits of memories.

use crate::limits::limits;

limits! {
    /// Size of the metadata of a memory, as JSON text of the caller.
    METADATA_BYTES_MAX: bytes = 16 << 10;
    /// Size of the metadata of a memory, as the database writes it: with spaces and all digits of its numbers.
    METADATA_STORED_BYTES_MAX: bytes = 32 << 10;
    /// Size of a text whose words are indexed with their positions.
    POSITIONS_BYTES_MAX: number = 100_000;
    /// Number of words of a query that a search uses: the longest ones.
    QUERY_WORDS_MAX: number = 64;
    /// Number of memories that a search by words ranks.
    RANKED_MAX: number = 50_000;
    /// Number of memories that a search compares one by one beside or instead of the graph.
    COMPARED_MAX: number = 20_000;
    /// Number of memories that a search looks up by their keys in a small space.
    KEYED_MAX: number = 5_000;
    /// Number of spaces that the problem `dimension-mismatch` lists.
    SPACES_LISTED: number = 10;
    /// Expired memories that one call of the sweeper deletes.
    MEMORIES_SWEPT: number = 500;
}

/// Widths of the graph, in dimensions: one index each (`migrations/0010_memories.sql`). A vector is padded to the next width.
pub(super) const GRAPH_WIDTHS: [usize; 4] = [384, 768, 1_536, 3_072];
