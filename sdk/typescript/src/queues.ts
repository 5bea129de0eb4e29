import type { CallOptions, WriteOptions } from './options.js';
import { Pages } from './pages.js';
import type { Call } from './request.js';
import type {
  BatchedJob,
  Job,
  JobStatus,
  JobWithErrors,
  LeasedJob,
  ListOptions,
  NewJob,
  PopJob,
  PopJobs,
  Purged,
  PushedJob,
  QueueStatus,
  Retried,
} from './types.js';
import { type JobHandler, type JobInHand, Worker, type WorkOptions } from './worker.js';

/** A job that was popped, or the id of a job. Without its lease, a call means the running attempt, whichever it is. */
export type JobReference = string | { readonly id: string; readonly lease?: string | undefined };

function reference(job: JobReference): { id: string; lease?: string | undefined } {
  return typeof job === 'string' ? { id: job } : { id: job.id, lease: job.lease };
}

/**
 * Queues of jobs with priority, delay, retries, groups and deduplication. The first push makes a queue.
 * Jobs run at least once: a worker that goes silent loses its lease, and another one gets the job.
 */
export class Queues {
  readonly #call: Call;
  /** Whether each call may be paid. @internal */
  readonly pays: boolean;

  /** @internal */
  constructor(call: Call, pays: boolean) {
    this.#call = call;
    this.pays = pays;
  }

  /**
   * Pushes a job. `payload` is any JSON of at most 256 KiB. While the queue has an unfinished job with the same
   * `dedupKey`, that job is returned instead, with `deduplicated: true`.
   */
  push<Payload>(queue: string, payload: Payload, options?: NewJob & WriteOptions): Promise<PushedJob<Payload>> {
    return this.#call('pushJob', { ...options, queue, payload });
  }

  /** Pushes 1 to 100 jobs, all or none. */
  pushMany(queue: string, jobs: readonly BatchedJob[], options?: WriteOptions): Promise<{ jobs: PushedJob[] }> {
    return this.#call('pushJobs', { ...options, queue, jobs });
  }

  /**
   * Pops the next job for `leaseMs` (default 60,000); waits up to `waitMs` (at most 30,000) for one. `null`: no job.
   * `work` pops, extends and completes jobs by itself.
   */
  pop<Payload = unknown>(queue: string, options?: PopJob & WriteOptions): Promise<LeasedJob<Payload> | null> {
    return this.#call('popJob', { ...options, queue });
  }

  /** Pops up to `count` jobs (1 to 100), each with its own lease; waits up to `waitMs` for the first one. */
  popMany<Payload = unknown>(queue: string, options: PopJobs & WriteOptions): Promise<{ jobs: LeasedJob<Payload>[] }> {
    return this.#call('popJobs', { ...options, queue });
  }

  /** Completes a job, with a `result` of at most 256 KiB. A lease that has ended is `lease-lost`. */
  complete(job: JobReference, options?: { result?: unknown } & WriteOptions): Promise<Job> {
    return this.#call('completeJob', { ...options, ...reference(job) });
  }

  /**
   * Reports that an attempt has failed. The job is retried after `retryInMs`, or after its back-off. It is dead if its
   * attempts are used up, or with `retry: false`. A long `error` is cut at 8 KiB.
   */
  fail(
    job: JobReference,
    options?: {
      error?: string | undefined;
      retry?: boolean | undefined;
      retryInMs?: number | undefined;
    } & WriteOptions,
  ): Promise<Job> {
    return this.#call('failJob', { ...options, ...reference(job) });
  }

  /** Extends the lease of a job: it ends `leaseMs` from now, 1,000 to 86,400,000. */
  extend(job: { readonly id: string; readonly lease: string }, leaseMs: number, options?: WriteOptions): Promise<Job> {
    return this.#call('extendJob', { ...options, id: job.id, lease: job.lease, leaseMs });
  }

  /** Gets a job by its id, with the errors of its failed attempts. */
  getJob<Payload = unknown, Result = unknown>(
    id: string,
    options?: CallOptions,
  ): Promise<JobWithErrors<Payload, Result>> {
    return this.#call('getJob', { ...options, id });
  }

  /** Deletes a pending job by its id. One that runs or is finished is `job-not-pending`. */
  cancel(id: string, options?: WriteOptions): Promise<null> {
    return this.#call('cancelJob', { ...options, id });
  }

  /** Lists the jobs of a queue: all, or those with a status. */
  listJobs<Payload = unknown>(
    queue: string,
    options: { status?: JobStatus | undefined } & ListOptions & CallOptions = {},
  ): Pages<Job<Payload>> {
    return new Pages(cursor => this.#call('listJobs', { ...options, queue, cursor }), options.cursor);
  }

  /** Deletes up to 1,000 jobs with a status, or all but the running ones. `hasMore`: call again. */
  purge(queue: string, options?: { status?: JobStatus | undefined } & WriteOptions): Promise<Purged> {
    return this.#call('purgeQueue', { ...options, queue });
  }

  /** Returns the numbers of jobs of a queue, by status. */
  status(queue: string, options?: CallOptions): Promise<QueueStatus> {
    return this.#call('queueStatus', { ...options, queue });
  }

  /** Lists the queues with their numbers of jobs. */
  list(options: ListOptions & CallOptions = {}): Pages<QueueStatus> {
    return new Pages(cursor => this.#call('listQueues', { ...options, cursor }), options.cursor);
  }

  /** Makes up to `limit` dead jobs (1 to 1,000, default 100) pending again. */
  retryDead(queue: string, options?: { limit?: number | undefined } & WriteOptions): Promise<Retried> {
    return this.#call('retryDead', { ...options, queue });
  }

  /**
   * Works on the jobs of a queue until `options.signal` is aborted, up to `concurrency` at a time. A job is completed
   * with the result of `handler`, and fails with its error, to be retried. Leases are extended meanwhile. While the
   * server cannot be reached, it tries again, with back-off.
   *
   * Resolves after the last handler when the signal is aborted, and rejects with an error that does not pass, such as
   * `missing-scope`, or a lost answer if the client pays each call.
   */
  work<Payload = unknown>(queue: string, handler: JobHandler<Payload>, options?: WorkOptions): Promise<void>;
  /**
   * The jobs of a queue, one after the other: complete or fail each in the body of the loop. Leases are extended until
   * then.
   *
   * `concurrency` is the number of jobs that may be unfinished at once: if the body hands jobs to others and goes on,
   * the loop waits at that number. Abort `signal` to end the loop; jobs in hand may finish. A loop that is left by
   * `break` or an error extends no lease any more. If the client pays each call, a lost answer ends the loop with its
   * error.
   */
  work<Payload = unknown>(queue: string, options?: WorkOptions): AsyncIterableIterator<JobInHand<Payload>>;
  work<Payload>(
    queue: string,
    first?: JobHandler<Payload> | WorkOptions,
    second?: WorkOptions,
  ): Promise<void> | AsyncIterableIterator<JobInHand<Payload>> {
    if (typeof first === 'function') return new Worker<Payload>(this, queue, second).run(first);
    return new Worker<Payload>(this, queue, first).jobs();
  }
}
