import { isPassing, isRefused } from './errors.js';
import { randomKey } from './http.js';
import { LeaseKeeper } from './lease.js';
import type { WriteOptions } from './options.js';
import type { Queues } from './queues.js';
import type { Ref } from './references.js';
import { onCommit, type Transaction } from './transaction.js';
import type { Job, LeasedJob, PopJobs } from './types.js';
import { backoffMs, deadline, now, sleep, untilAborted } from './waiting.js';

/** How to work on a queue. */
export interface WorkOptions {
  /** Maximum number of jobs in hand, 1 to 100. Default: 1. */
  concurrency?: number | undefined;
  /** Time of each lease, in milliseconds, 1,000 to 86,400,000; extended in the background. Default: 60,000. */
  leaseMs?: number | undefined;
  /** Time of one call that waits for a job, in milliseconds, 0 to 30,000. Default: 20,000. */
  waitMs?: number | undefined;
  /**
   * Ends the work. Jobs in hand may finish, and so may jobs that the last call for jobs brings, up to a second later.
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
/** How long a stopping worker looks for jobs that were popped for it at the last moment. */
const LAST_POP_MS = 1_000;

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
        if (jobs.length === 0) return;
        for (const job of jobs) {
          const handled: Promise<void> = this.#handle(job, handler).finally(() => running.delete(handled));
          running.add(handled);
        }
      }
    } finally {
      await Promise.all(running);
    }
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
    this.#report(error, job);
  }

  #report(error: unknown, job?: LeasedJob): void {
    // Asynchronous, so that neither an error that it throws nor a promise that it rejects ends the program.
    const tell = async (): Promise<unknown> => this.#options.onError?.(error, job);
    void tell().catch(() => undefined);
  }

  /** Waits for jobs, at most `count`. None: the work ends. */
  async #take(count: number): Promise<JobInHand<Payload>[]> {
    const { signal, waitMs = 20_000 } = this.#options;
    for (let failures = 0; !signal?.aborted;) {
      const startedAt = now();
      const request = { count, leaseMs: this.#leaseMs, waitMs, idempotencyKey: randomKey() };
      try {
        const { jobs } = await this.#queues.popMany<Payload>(this.#queue, { ...request, signal });
        if (jobs.length > 0) return jobs.map(job => this.#hold(job, startedAt));
        failures = 0;
        await sleep(startedAt + IDLE_MS - now(), signal).catch(() => undefined);
      } catch (error) {
        if (signal?.aborted) return this.#lastJobs(request);
        if (!isPassing(error)) throw error;
        this.#report(error);
        failures += 1;
        await sleep(backoffMs(failures), signal).catch(() => undefined);
      }
    }
    return [];
  }

  /** Gets the jobs that were popped just before the end, whose answer is lost: the same key gets them again. */
  async #lastJobs(request: PopJobs & WriteOptions): Promise<JobInHand<Payload>[]> {
    const startedAt = now();
    const limit = deadline(LAST_POP_MS, () => new Error('no job was popped'));
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
    // Without a key: the server would keep each answer, with the payload, for a day.
    const keeper = new LeaseKeeper(leaseMs, startedAt, call =>
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
