import type { CallOptions, WriteOptions } from './options.js';
import { Pages } from './pages.js';
import { pathSegment, type Call } from './request.js';
import type { Link, LinkChanges, LinkStats, ListOptions, NewLink, RecordedClick, Visitor } from './types.js';

/** Short links at `/l/{slug}`, with clicks and QR codes. All payers share the slugs. */
export class Links {
  readonly #call: Call;
  readonly #base: string;

  /** @internal */
  constructor(call: Call, base: string) {
    this.#call = call;
    this.#base = base;
  }

  /**
   * Creates a link to an absolute `http` or `https` URL of at most 2,048 bytes. Without `slug` it gets a random one.
   * It ends at `expiresAt`, after `ttlMs`, or after `maxClicks` clicks by people. A slug in use is `slug-taken`.
   */
  create(url: string, options?: NewLink & WriteOptions): Promise<Link> {
    return this.#call('createLink', { ...options, url });
  }

  /** Gets a link, also one that has ended. */
  get(slug: string, options?: CallOptions): Promise<Link> {
    return this.#call('getLink', { ...options, slug });
  }

  /** Changes a link: `null` clears `title`, `expiresAt` or `maxClicks`, an absent member keeps its value. */
  update(slug: string, changes: LinkChanges & WriteOptions): Promise<Link> {
    return this.#call('updateLink', { ...changes, slug });
  }

  /** Deletes a link with its clicks. */
  delete(slug: string, options?: WriteOptions): Promise<null> {
    return this.#call('deleteLink', { ...options, slug });
  }

  /** Records a click of a visitor whom your own server redirects. A link that has ended is `link-gone`. */
  recordClick(slug: string, visitor?: Visitor & WriteOptions): Promise<RecordedClick> {
    return this.#call('recordClick', { ...visitor, slug });
  }

  /** Returns clicks by day, referrer, country and browser, for the last `days` days (1 to 366, default 30). */
  stats(slug: string, options?: { days?: number | undefined } & CallOptions): Promise<LinkStats> {
    return this.#call('getLinkStats', { ...options, slug });
  }

  /** Lists the links. */
  list(options: ListOptions & CallOptions = {}): Pages<Link> {
    return new Pages(cursor => this.#call('listLinks', { ...options, cursor }), options.cursor);
  }

  /** Returns the URL of the QR code of a link, an image in SVG, for `<img src>`. */
  qrUrl(slug: string): string {
    return `${this.#base}/l/${pathSegment('slug', slug)}/qr.svg`;
  }

  /** Fetches the QR code of a link, an image in SVG. */
  qr(slug: string, options?: CallOptions): Promise<string> {
    return this.#call('linkQr', { ...options, slug });
  }

  /**
   * Follows a link as a visitor: returns the URL that it leads to. It counts as a click of a bot, and is never
   * repeated. A browser hides the URL from programs, so there it fails.
   */
  follow(slug: string, options?: CallOptions): Promise<string> {
    return this.#call('followLink', { ...options, slug });
  }
}
