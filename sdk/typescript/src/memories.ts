import type { CallOptions, WriteOptions } from './options.js';
import { Pages } from './pages.js';
import type { Call } from './request.js';
import type {
  BatchedMemory,
  Found,
  ListOptions,
  Memory,
  MemoryChanges,
  NewMemory,
  SearchMemories,
  StoredMemory,
} from './types.js';

/** Memories: texts with metadata and vectors, found by words, by meaning, or by both. */
export class Memories {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /** Stores a memory. It replaces the memory with the same id. `content` is 1 to 100,000 characters. */
  store(id: string, memory: NewMemory & WriteOptions): Promise<StoredMemory> {
    return this.#call('storeMemory', { ...memory, id });
  }

  /** Stores 1 to 100 memories, all or none. A memory without `id` gets a UUID. */
  storeMany(memories: readonly BatchedMemory[], options?: WriteOptions): Promise<{ memories: StoredMemory[] }> {
    return this.#call('storeMemories', { ...options, memories });
  }

  /**
   * Gets a memory; with `includeEmbedding`, its vector too. One that does not exist, or has expired, is `not-found`.
   */
  get(id: string, options?: { includeEmbedding?: boolean | undefined } & CallOptions): Promise<Memory> {
    return this.#call('recallMemory', { ...options, id });
  }

  /** Changes a memory: `null` clears a value, an absent member keeps it. `metadata` is merged (RFC 7396). */
  update(id: string, changes: MemoryChanges & WriteOptions): Promise<Memory> {
    return this.#call('updateMemory', { ...changes, id });
  }

  /** Deletes a memory. */
  delete(id: string, options?: WriteOptions): Promise<null> {
    return this.#call('forgetMemory', { ...options, id });
  }

  /**
   * Searches memories by `query`, by `embedding`, or by both; `filter`, `tags` and `namespace` apply before the
   * ranking. The best ones come first, at most `limit` (1 to 100, default 10).
   */
  search(search: SearchMemories & CallOptions): Promise<Found> {
    return this.#call('searchMemories', search);
  }

  /** Lists memories, sorted by id: all, or those of a namespace, with a tag, or whose ids begin with `prefix`. */
  list(
    options: {
      namespace?: string | undefined;
      tag?: string | undefined;
      prefix?: string | undefined;
    } & ListOptions &
      CallOptions = {},
  ): Pages<Memory> {
    return new Pages(cursor => this.#call('listMemories', { ...options, cursor }), options.cursor);
  }
}
