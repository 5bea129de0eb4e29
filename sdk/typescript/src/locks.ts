import { PayerbaseError } from './errors.js';
import { isLate, LeaseKeeper } from './lease.js';
import { randomKey } from './http.js';
import type { CallOptions, Guard, WriteOptions } from './options.js';
import { Pages } from './pages.js';
import type { Call } from './request.js';
import type { AcquireLock, ListOptions, Lock, LockLease } from './types.js';
import { now } from './waiting.js';

const WAIT_MS_MAX = 30_000;
/** Another holder has the lock, or had it before the lease could be extended. */
const HELD = ['lock-held', 'lock-expired', 'lock-wrong-token'];
/** The lease has ended before its release. */
const ENDED = ['lock-expired', 'lock-not-held', 'lock-wrong-token'];

/** A lock that `locks.with` holds. Pass it as `guard` to the writes that it protects. */
export interface HeldLock extends Guard {
  /** Fence of the lease: higher for every new lease of the lock. */
  readonly fence: bigint;
  /** Secret that proves ownership, as in `acquire`. Leave the release to `with`, which rejects if the lock is gone. */
  readonly token: string;
  /**
   * Is aborted when the lease is lost, when the `signal` of the call is aborted, and at the end. Stop the work then.
   */
  readonly signal: AbortSignal;
}

/** How `locks.with` acquires and holds a lock. */
export interface HoldOptions {
  /**
   * Time of the lease, in milliseconds, 1,000 to 86,400,000. It is extended in the background at a third of it.
   * Default: 30,000.
   */
  ttlMs?: number | undefined;
  /** Maximum time to wait for the lock, in milliseconds; it may be longer than 30,000. Default: 0. */
  waitMs?: number | undefined;
  /** Description of the holder, for others to see: any JSON of at most 4 KiB. */
  metadata?: unknown;
  /** Ends the wait, and aborts `lock.signal`. */
  signal?: AbortSignal | undefined;
}

type Work<T> = (lock: HeldLock) => T | Promise<T>;
type HoldArguments<T> = [work: Work<T>] | [options: HoldOptions, work: Work<T>];
type Timed<T> = T & { ttlMs: number };

/** Locks with leases: one holder at a time, and fences against late writes of an earlier one. */
export class Locks {
  readonly #call: Call;
  readonly #pays: boolean;

  /** @internal */
  constructor(call: Call, pays: boolean) {
    this.#call = call;
    this.#pays = pays;
  }

  /**
   * Acquires a lock for `ttlMs`, waits up to `waitMs` (at most 30,000) for it, and fails with `lock-held` otherwise.
   * Nothing extends or releases it: `with` does both.
   */
  acquire(name: string, options: AcquireLock & WriteOptions): Promise<LockLease> {
    return this.#call('acquireLock', { ...options, name });
  }

  /** Releases a lock. A lease that has ended is `lock-expired`, `lock-not-held` or `lock-wrong-token`. */
  release(lease: { name: string; token: string }, options?: WriteOptions): Promise<null> {
    return this.#call('releaseLock', { ...options, name: lease.name, token: lease.token });
  }

  /** Extends a lease: it ends `ttlMs` from now, 1,000 to 86,400,000. A lease that has ended cannot be extended. */
  extend(lease: { name: string; token: string }, ttlMs: number, options?: WriteOptions): Promise<LockLease> {
    return this.#call('extendLock', { ...options, name: lease.name, token: lease.token, ttlMs });
  }

  /** Returns the state of a lock. One that nobody has ever held is free. */
  get(name: string, options?: CallOptions): Promise<Lock> {
    return this.#call('checkLock', { ...options, name });
  }

  /** Lists the locks that are held, or were held within about the last hour. */
  list(options: ListOptions & CallOptions = {}): Pages<Lock> {
    return new Pages(cursor => this.#call('listLocks', { ...options, cursor }), options.cursor);
  }

  /**
   * Runs `work` while the lock is held: acquires it (or fails with `lock-held`), extends it, and releases it at the
   * end, also after an error. If the lease is lost meanwhile, `lock.signal` is aborted, and `with` rejects with the
   * reason, unless `work` has thrown an error of its own.
   */
  with<T>(name: string, work: (lock: HeldLock) => T | Promise<T>): Promise<T>;
  with<T>(name: string, options: HoldOptions, work: (lock: HeldLock) => T | Promise<T>): Promise<T>;
  with<T>(name: string, ...rest: HoldArguments<T>): Promise<T> {
    const [options, work]: [HoldOptions, Work<T>] = rest.length === 1 ? [{}, rest[0]] : rest;
    return this.#hold(name, { ...options, ttlMs: options.ttlMs ?? 30_000 }, work);
  }

  async #hold<T>(name: string, options: Timed<HoldOptions>, work: Work<T>): Promise<T> {
    const { ttlMs, signal } = options;
    const { lease, startedAt } = await this.#acquire(name, options);
    const keeper = new LeaseKeeper(ttlMs, startedAt, this.#pays, call => this.extend(lease, ttlMs, call));
    const ended = new AbortController();
    for (const source of [keeper.lost, signal]) {
      source?.addEventListener('abort', () => ended.abort(source.reason), { once: true, signal: ended.signal });
    }
    if (signal?.aborted) ended.abort(signal.reason);
    // The first error counts: of the work, of the lease, or of the release.
    let released: Promise<unknown> | undefined;
    const end = (): Promise<unknown> => {
      keeper.stop();
      ended.abort();
      return (released ??= this.release(lease));
    };
    try {
      const result = await work({ name, fence: lease.fence, token: lease.token, signal: ended.signal });
      keeper.lost.throwIfAborted();
      await end().catch(error => {
        // A lock that cannot be released ends by itself; but one that was lost has not protected the work.
        if (hasCode(error, ENDED)) throw error;
      });
      return result;
    } finally {
      await end().catch(() => undefined);
    }
  }

  /** Acquires a lock with a lease that has most of its time left. */
  async #acquire(name: string, options: Timed<HoldOptions>): Promise<{ lease: LockLease; startedAt: number }> {
    const { ttlMs, metadata, signal, waitMs = 0 } = options;
    const giveUpAt = now() + waitMs;
    for (;;) {
      // Chosen here, so that a lease whose answer is not waited for can be released.
      const token = randomKey();
      const left = Math.ceil(Math.max(0, giveUpAt - now()));
      let startedAt = now();
      try {
        const lease = await this.acquire(name, {
          ttlMs,
          token,
          metadata,
          waitMs: Math.min(left, WAIT_MS_MAX),
          signal,
        });
        if (isLate(startedAt, ttlMs)) {
          startedAt = now();
          await this.extend(lease, ttlMs, { signal });
        }
        return { lease, startedAt };
      } catch (error) {
        // Anything but a lock of another holder may have left a lease: its answer is lost, or it cannot be extended.
        // Where the release would be paid, the lease ends by itself.
        if (!this.#pays && !hasCode(error, ['lock-held'])) void this.release({ name, token }).catch(() => undefined);
        if (!hasCode(error, HELD) || now() >= giveUpAt) throw error;
      }
    }
  }
}

function hasCode(error: unknown, codes: string[]): boolean {
  return error instanceof PayerbaseError && codes.includes(error.code);
}
