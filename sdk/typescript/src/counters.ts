import { checkInteger64 } from './integers.js';
import type { CallOptions, WriteOptions } from './options.js';
import { Pages } from './pages.js';
import type { Call } from './request.js';
import type { AdjustedCounter, Adjustment, Counter, Integer, ListOptions, ResetCounter } from './types.js';

/**
 * Counters: 64-bit signed integers with optional bounds. The first write makes a counter, from 0.
 * Names are 1 to 256 bytes of UTF-8 without control characters.
 */
export class Counters {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /**
   * Adds `amount` (default 1) to a counter. At a bound it stops; with `onBound: "reject"` it changes nothing and fails
   * with `counter-out-of-bounds` instead. New bounds `min` and `max` hold for later calls too; `null` removes one.
   */
  increment(name: string, options: Adjustment & WriteOptions = {}): Promise<AdjustedCounter> {
    return this.#adjust('increment', name, options);
  }

  /** Subtracts `amount` (default 1) from a counter. The rules are those of `increment`. */
  decrement(name: string, options: Adjustment & WriteOptions = {}): Promise<AdjustedCounter> {
    return this.#adjust('decrement', name, options);
  }

  /** Sets a counter to `value` (default 0), within its bounds: a value beyond a bound is `counter-out-of-bounds`. */
  reset(name: string, options: { value?: Integer | undefined } & WriteOptions = {}): Promise<ResetCounter> {
    checkInteger64('value', options.value);
    return this.#call('resetCounter', { ...options, name });
  }

  /** Gets a counter. One that was never written is `not-found`. */
  get(name: string, options?: CallOptions): Promise<Counter> {
    return this.#call('getCounter', { ...options, name });
  }

  /** Deletes a counter with its bounds. One that does not exist is `not-found`. */
  delete(name: string, options?: WriteOptions): Promise<null> {
    return this.#call('deleteCounter', { ...options, name });
  }

  /** Lists the counters whose names begin with `prefix` (default: all), sorted by name. */
  list(options: { prefix?: string | undefined } & ListOptions & CallOptions = {}): Pages<Counter> {
    return new Pages(cursor => this.#call('listCounters', { ...options, cursor }), options.cursor);
  }

  #adjust(id: 'increment' | 'decrement', name: string, options: Adjustment & WriteOptions): Promise<AdjustedCounter> {
    checkInteger64('amount', options.amount);
    checkInteger64('min', options.min);
    checkInteger64('max', options.max);
    return this.#call(id, { ...options, name });
  }
}
