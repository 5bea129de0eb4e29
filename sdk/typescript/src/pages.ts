import type { Page } from './types.js';

/** The page that lines of JSON are. `undefined`: it has not its last line, which has the cursor or ends the list. */
export function pageOfLines(text: string): Page<unknown> | undefined {
  try {
    const items = text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line));
    const last = items.pop();
    return ['next', 'end'].includes(last.type) ? { items, nextCursor: last.cursor ?? null } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A list. `for await` goes through all items and fetches pages as they are needed; `page()` fetches one.
 * Nothing is sent before either.
 */
export class Pages<Item> implements AsyncIterable<Item> {
  readonly #fetch: (cursor: string | undefined) => Promise<Page<Item>>;
  readonly #first: string | undefined;

  /** @internal */
  constructor(fetch: (cursor: string | undefined) => Promise<Page<Item>>, first: string | undefined) {
    this.#fetch = fetch;
    this.#first = first;
  }

  /**
   * Fetches one page: the first, or the one after `cursor`.
   * Its `nextCursor` is the cursor of the next page, and `null` on the last page.
   */
  page(cursor: string | undefined = this.#first): Promise<Page<Item>> {
    return this.#fetch(cursor);
  }

  /** Fetches all items into an array. */
  async all(): Promise<Item[]> {
    const items: Item[] = [];
    for await (const item of this) items.push(item);
    return items;
  }

  /** Goes through all items. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    let page = await this.page();
    yield* page.items;
    while (page.nextCursor !== null) {
      page = await this.page(page.nextCursor);
      yield* page.items;
    }
  }
}
