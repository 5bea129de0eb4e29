import { isPassing, isRefused, isUnknown, mayHavePaid, PayerbaseConnectionError } from './errors.js';
import { randomKey } from './http.js';
import { LeaseKeeper } from './lease.js';
import type { WriteOptions } from './options.js';
import type { Queues } from './queues.js';
import type { Ref } from './references.js';
import { onCommit, type Transaction } from './transaction.js';
import type { Job, LeasedJob, PopJobs } from './types.js';
import { afterAbort, backoffMs, deadline, now, sleep, untilAborted } from './waiting.js';

/** How to work on a queue. */
export interface WorkOptions {
  /** Maximum number of jobs in hand, 1 to 100. Default: 1. */
  concurrency?: number | undefined;
  /** Time of each lease, in milliseconds, 1,000 to 86,400,000; extended in the background. Default: 60,000. */
  leaseMs?: number | undefined;
  /**
   * Time of one call that waits for a job, in milliseconds, 0 to 30,000, and so the time that a stop may take while no
   * job comes. Default: 5,000.
   */
  waitMs?: number | undefined;
  /**
   * Ends the work. A call for jobs that is under way is not cut: the jobs that it brings are worked on, and those in hand
   * may finish.
   */
  signal?: AbortSignal | undefined;
  /**
   * Is called when a handler throws, when a job cannot be completed or failed, and, without a job, when a call for jobs
   * fails and is tried again. An error that it throws is ignored.
   */
  onError?: ((error: unknown, job: LeasedJob | undefined) => unknown) | undefined;
}

/** Works on a job. Its result becomes that of the job, and its error that of the attempt. */
export type JobHandler<Payload> = (job: JobInHand<Payload>) => unknown;

/** How to fail a job. */
export interface FailOptions extends WriteOptions {
  /** Whether to retry the job if attempts are left. Default: `true`. */
  retry?: boolean | undefined;
  /** Delay before the retry, in milliseconds. Default: the back-off of the job. */
  retryInMs?: number | undefined;
}

const CONCURRENCY_MAX = 100;
/** Least time between two pops without a job: `waitMs` may be short. */
const IDLE_MS = 500;
/** How much longer than `waitMs` a stopping worker waits for the answer to its last call for jobs. */
const LAST_ANSWER_MS = 5_000;
/** How long it then asks for the jobs of an answer that was lost. */
const LOST_ANSWER_MS = 1_000;

// The members of the job are those of the class, too.
export interface JobInHand<Payload = unknown> extends LeasedJob<Payload> {}

/**
 * A job that a worker has in hand, with the members of the job. Its lease is extended until it is completed or failed.
 */
export class JobInHand<Payload = unknown> {
  /** Is aborted when the lease is lost: stop the work, because another worker may have the job. */
  readonly signal: AbortSignal;
  /** Whether the job was completed or failed through this object. */
  isFinished = false;
  readonly #queues: Queues;
  readonly #keeper: LeaseKeeper;
  readonly #done: () => void;

  /** @internal */
  constructor(queues: Queues, job: LeasedJob<Payload>, keeper: LeaseKeeper, done: () => void) {
    Object.assign(this, job);
    this.signal = keeper.lost;
    this.#queues = queues;
    this.#keeper = keeper;
    this.#done = done;
    keeper.lost.addEventListener('abort', done, { once: true });
  }

  /** Completes the job, with a result of at most 256 KiB. */
  async complete(result?: unknown, options?: WriteOptions): Promise<Job> {
    const job = await this.#queues.complete(this, { ...options, result });
    this.#finish();
    return job;
  }

  /**
   * Completes the job in a transaction, so that its effects and its completion happen together, exactly once, or not
   * at all: `await pb.transact((t) => { t.counters.increment("sent"); job.completeIn(t); })`.
   */
  completeIn(transaction: Transaction, result?: unknown): Ref<Job> {
    const handle = transaction.queues.complete(this, { result });
    onCommit(transaction, () => this.#finish());
    return handle;
  }

  /** Fails the attempt, with an error to store. The job is retried if attempts are left. */
  async fail(error: unknown, options?: FailOptions): Promise<Job> {
    const job = await this.#queues.fail(this, { ...options, error: String(error) });
    this.#finish();
    return job;
  }

  /** Ends the extensions of the lease. @internal */
  letGo(): void {
    this.#keeper.stop();
    this.#done();
  }

  #finish(): void {
    this.isFinished = true;
    this.letGo();
  }
}

/** Takes the jobs of one queue. */
export class Worker<Payload> {
  readonly #queues: Queues;
  readonly #queue: string;
  readonly #options: WorkOptions;
  readonly #concurrency: number;
  readonly #leaseMs: number;
  /** Jobs in hand, each with a promise that resolves when it is finished or lost. */
  readonly #inHand = new Map<JobInHand<Payload>, Promise<void>>();
  /** The error of a failed call that may have been paid. It ends the work. */
  #lost: { error: unknown } | undefined;

  constructor(queues: Queues, queue: string, options: WorkOptions = {}) {
    this.#queues = queues;
    this.#queue = queue;
    this.#options = options;
    this.#concurrency = options.concurrency ?? 1;
    this.#leaseMs = options.leaseMs ?? 60_000;
  }

  #check(): void {
    const count = this.#concurrency;
    if (Number.isInteger(count) && count >= 1 && count <= CONCURRENCY_MAX) return;
    throw new RangeError(`concurrency must be an integer from 1 to ${CONCURRENCY_MAX}. It is ${count}.`);
  }

  /** The jobs, for a loop. */
  async *jobs(): AsyncGenerator<JobInHand<Payload>, void, undefined> {
    this.#check();
    const { signal } = this.#options;
    let isStopped = false;
    try {
      for (;;) {
        while (this.#inHand.size >= this.#concurrency && !signal?.aborted) {
          await untilAborted(Promise.race(this.#inHand.values()), signal).catch(() => undefined);
        }
        const [job] = await this.#take(1);
        isStopped = !job;
        if (!job) return;
        yield job;
      }
    } finally {
      // The caller has left the loop, and may have forgotten its jobs.
      if (!isStopped) for (const job of this.#inHand.keys()) job.letGo();
    }
  }

  /** Calls a handler for each job, until the work ends. */
  async run(handler: JobHandler<Payload>): Promise<void> {
    this.#check();
    const running = new Set<Promise<void>>();
    try {
      for (;;) {
        while (running.size >= this.#concurrency) await Promise.race(running);
        const jobs = await this.#take(this.#concurrency - running.size);
        if (jobs.length === 0) break;
        for (const job of jobs) {
          const handled: Promise<void> = this.#handle(job, handler).finally(() => running.delete(handled));
          running.add(handled);
        }
      }
    } finally {
      await Promise.all(running);
    }
    if (this.#lost) throw this.#lost.error;
  }

  async #handle(job: JobInHand<Payload>, handler: JobHandler<Payload>): Promise<void> {
    try {
      const result = await handler(job);
      if (!job.isFinished) await this.#complete(job, result);
    } catch (error) {
      await this.#fail(job, error);
    }
  }

  async #complete(job: JobInHand<Payload>, result: unknown): Promise<void> {
    try {
      await job.complete(result);
    } catch (error) {
      // A result that is too large, or cannot be sent, will not be better: it is an error of the handler.
      if (isRefused(error)) throw error;
      this.#drop(job, error);
    }
  }

  async #fail(job: JobInHand<Payload>, error: unknown): Promise<void> {
    let failure: { error: unknown } | undefined;
    try {
      if (!job.isFinished) await job.fail(error);
    } catch (refusal) {
      failure = { error: refusal };
    }
    this.#report(error, job);
    if (failure) this.#drop(job, failure.error);
  }

  /** Leaves a job that can be neither completed nor failed: its lease ends by itself, and it is tried again. */
  #drop(job: JobInHand<Payload>, error: unknown): void {
    job.letGo();
    if (this.#mayHavePaid(error)) this.#lost ??= { error };
    this.#report(error, job);
  }

  /** Whether a failed call may have been paid: the work ends, because its next calls would pay again. */
  #mayHavePaid(error: unknown): boolean {
    return this.#queues.pays && mayHavePaid(error);
  }

  #report(error: unknown, job?: LeasedJob): void {
    // Asynchronous, so that neither an error that it throws nor a promise that it rejects ends the program.
    const tell = async (): Promise<unknown> => this.#options.onError?.(error, job);
    void tell().catch(() => undefined);
  }

  /** Waits for jobs, at most `count`. None: the work ends. */
  async #take(count: number): Promise<JobInHand<Payload>[]> {
    const { signal, waitMs = 5_000 } = this.#options;
    const late = (): Error => new PayerbaseConnectionError('no answer after the stop', 1);
    for (let failures = 0; !signal?.aborted && !this.#lost;) {
      const startedAt = now();
      const request = { count, leaseMs: this.#leaseMs, waitMs, idempotencyKey: randomKey() };
      // The stop does not cut the call: a job that was popped for it would have spent an attempt.
      const limit = afterAbort(signal, waitMs + LAST_ANSWER_MS, late);
      try {
        const { jobs } = await this.#queues.popMany<Payload>(this.#queue, { ...request, signal: limit.signal });
        if (jobs.length > 0) return jobs.map(job => this.#hold(job, startedAt));
        failures = 0;
        await sleep(startedAt + IDLE_MS - now(), signal).catch(() => undefined);
      } catch (error) {
        if (this.#mayHavePaid(error) || !isPassing(error)) throw error;
        if (signal?.aborted) return isUnknown(error) ? this.#lostJobs(request) : [];
        this.#report(error);
        failures += 1;
        await sleep(backoffMs(failures), signal).catch(() => undefined);
      } finally {
        limit.end();
      }
    }
    return [];
  }

  /** Gets the jobs of the last call, whose answer is lost: the same key gets them again. */
  async #lostJobs(request: PopJobs & WriteOptions): Promise<JobInHand<Payload>[]> {
    const startedAt = now();
    const limit = deadline(LOST_ANSWER_MS, () => new Error('no job was popped'));
    try {
      const { jobs } = await this.#queues.popMany<Payload>(this.#queue, { ...request, signal: limit.signal });
      return jobs.map(job => this.#hold(job, startedAt));
    } catch {
      // No job was popped. Or nobody is there to ask, and the lease ends by itself.
      return [];
    } finally {
      limit.end();
    }
  }

  #hold(job: LeasedJob<Payload>, startedAt: number): JobInHand<Payload> {
    const leaseMs = this.#leaseMs;
    // Without a key: the server would keep each answer for a day.
    const keeper = new LeaseKeeper(leaseMs, startedAt, this.#queues.pays, call =>
      this.#queues.extend(job, leaseMs, { ...call, idempotencyKey: null }),
    );
    let done = (): void => undefined;
    const finished = new Promise<void>(resolve => (done = resolve));
    const held = new JobInHand(this.#queues, job, keeper, () => {
      this.#inHand.delete(held);
      done();
    });
    this.#inHand.set(held, finished);
    return held;
  }
}
