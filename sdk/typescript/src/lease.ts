import { isPassing, mayHavePaid } from './errors.js';
import type { CallOptions } from './options.js';
import { deadline, now, sleep } from './waiting.js';

/** Part of its time after which a lease is extended. */
const EXTENDED_AFTER = 1 / 3;

/** Whether an answer came so late that the lease should be extended at once. */
export function isLate(startedAt: number, leaseMs: number): boolean {
  return now() - startedAt >= leaseMs * EXTENDED_AFTER;
}

type Extend = (options: CallOptions) => Promise<unknown>;

/** Extends a lease in the background until `stop`, and says when it is lost. */
export class LeaseKeeper {
  readonly #lost = new AbortController();
  readonly #stopped = new AbortController();

  /**
   * `startedAt`: when the call that began the lease was sent, on the clock of `now`. `pays`: whether each extension may
   * be paid.
   */
  constructor(leaseMs: number, startedAt: number, pays: boolean, extend: Extend) {
    void this.#run(leaseMs, startedAt, pays, extend);
  }

  /** Is aborted when the lease is lost. The reason is the error that showed it. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Ends the extensions. `lost` is not aborted any more. */
  stop(): void {
    this.#stopped.abort();
  }

  async #run(leaseMs: number, startedAt: number, pays: boolean, extend: Extend): Promise<void> {
    const stopped = this.#stopped.signal;
    let next = startedAt + leaseMs * EXTENDED_AFTER;
    // The server begins a lease after the call was sent, so it ends after this. If the answer waited for long, the
    // first extension finds out.
    let end = (isLate(startedAt, leaseMs) ? now() : startedAt) + leaseMs;
    let sentAt = startedAt;
    while (!stopped.aborted) {
      try {
        await sleep(next - now(), stopped);
        sentAt = now();
        const late = (): Error => new Error('the lease ended before it could be extended');
        if (sentAt >= end) throw late();
        const limit = deadline(end - sentAt, late, stopped);
        // A payment may take longer than a part of the lease, and is not repeated.
        const timeout = pays ? undefined : leaseMs / 4;
        await extend({ signal: limit.signal, timeout }).finally(limit.end);
        end = sentAt + leaseMs;
        next = sentAt + leaseMs * EXTENDED_AFTER;
      } catch (error) {
        if (stopped.aborted) return;
        if (!isPassing(error) || now() >= end) return this.#lost.abort(error);
        // One that may have been paid is not repeated: the next one is due after the next third, as always.
        next = pays && mayHavePaid(error) ? sentAt + leaseMs * EXTENDED_AFTER : now() + leaseMs / 20;
      }
    }
  }
}
