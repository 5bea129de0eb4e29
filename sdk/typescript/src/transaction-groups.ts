import type { WriteOptions } from './options.js';
import type { OrRef, Ref } from './references.js';
import type { SqlParameters, SqlResult, SqlRow, SqlRows, SqlStatement } from './sql-values.js';
import type {
  AcquireLock,
  AdjustedCounter,
  Adjustment,
  BatchedJob,
  BatchedMemory,
  Counter,
  CreatedToken,
  Credit,
  Grant,
  Integer,
  Job,
  JobStatus,
  JobWithErrors,
  LeasedJob,
  Link,
  LinkChanges,
  Lock,
  LockLease,
  Memory,
  MemoryChanges,
  NewGrant,
  NewJob,
  NewLink,
  NewMemory,
  NewToken,
  Payment,
  PopJob,
  PopJobs,
  Purged,
  PushedJob,
  RecordedClick,
  ResetCounter,
  Retried,
  SqlMigrated,
  SqlMigration,
  SqlSchema,
  StoredMemory,
  Visitor,
} from './types.js';

/** A lock that must be held when the call runs. */
type Guarded = Pick<WriteOptions, 'guard'>;
/** Members of which some may be references. */
type Referring<T, Names extends keyof T> = { [K in keyof T]: K extends Names ? OrRef<T[K]> : T[K] };
/** A job that was popped, a reference to one, or an id. */
type JobReference = OrRef<string> | { readonly id: OrRef<string>; readonly lease?: OrRef<string> | undefined };

/** `pb.counters` in a transaction. Names, amounts, bounds and values may be references. */
export interface CountersInTransaction {
  increment(
    name: OrRef<string>,
    options?: Referring<Adjustment, 'amount' | 'min' | 'max'> & Guarded,
  ): Ref<AdjustedCounter>;
  decrement(
    name: OrRef<string>,
    options?: Referring<Adjustment, 'amount' | 'min' | 'max'> & Guarded,
  ): Ref<AdjustedCounter>;
  reset(name: OrRef<string>, options?: { value?: OrRef<Integer> | undefined } & Guarded): Ref<ResetCounter>;
  get(name: OrRef<string>, options?: Guarded): Ref<Counter>;
  delete(name: OrRef<string>, options?: Guarded): Ref<null>;
}

/** `pb.links` in a transaction. A title may be a reference. */
export interface LinksInTransaction {
  create(url: string, options?: Referring<NewLink, 'title'> & Guarded): Ref<Link>;
  get(slug: string, options?: Guarded): Ref<Link>;
  update(slug: string, changes: Referring<LinkChanges, 'title'> & Guarded): Ref<Link>;
  delete(slug: string, options?: Guarded): Ref<null>;
  recordClick(slug: string, visitor?: Visitor & Guarded): Ref<RecordedClick>;
}

/** `pb.locks` in a transaction. Metadata may have references in it. A call cannot wait. */
export interface LocksInTransaction {
  acquire(name: string, options: Omit<AcquireLock, 'waitMs'> & Guarded): Ref<Omit<LockLease, 'token'>>;
  release(lease: { name: string; token: string }, options?: Guarded): Ref<null>;
  extend(lease: { name: string; token: string }, ttlMs: number, options?: Guarded): Ref<Omit<LockLease, 'token'>>;
  get(name: string, options?: Guarded): Ref<Lock>;
}

/**
 * `pb.queues` in a transaction. Payloads and results may have references in them; ids, leases, `dedupKey` and `group`
 * may be references. A call cannot wait.
 */
export interface QueuesInTransaction {
  push<Payload>(
    queue: string,
    payload: Payload,
    options?: Referring<NewJob, 'dedupKey' | 'group'> & Guarded,
  ): Ref<PushedJob>;
  pushMany(queue: string, jobs: readonly BatchedJob[], options?: Guarded): Ref<{ jobs: PushedJob[] }>;
  /** If there is no job, the result is `null`, and a later call that refers to it fails the transaction. */
  pop<Payload = unknown>(queue: string, options?: Omit<PopJob, 'waitMs'> & Guarded): Ref<LeasedJob<Payload> | null>;
  popMany<Payload = unknown>(
    queue: string,
    options: Omit<PopJobs, 'waitMs'> & Guarded,
  ): Ref<{ jobs: LeasedJob<Payload>[] }>;
  complete(job: JobReference, options?: { result?: unknown } & Guarded): Ref<Job>;
  fail(
    job: JobReference,
    options?: { error?: string | undefined; retry?: boolean | undefined; retryInMs?: number | undefined } & Guarded,
  ): Ref<Job>;
  extend(job: { id: OrRef<string>; lease: OrRef<string> }, leaseMs: number, options?: Guarded): Ref<Job>;
  getJob<Payload = unknown, Result = unknown>(
    id: OrRef<string>,
    options?: Guarded,
  ): Ref<JobWithErrors<Payload, Result>>;
  cancel(id: OrRef<string>, options?: Guarded): Ref<null>;
  purge(queue: string, options?: { status?: JobStatus | undefined } & Guarded): Ref<Purged>;
  retryDead(queue: string, options?: { limit?: number | undefined } & Guarded): Ref<Retried>;
}

/** `pb.memories` in a transaction. Ids may be references; metadata may have references in it. */
export interface MemoriesInTransaction {
  store(id: OrRef<string>, memory: NewMemory & Guarded): Ref<StoredMemory>;
  storeMany(memories: readonly BatchedMemory[], options?: Guarded): Ref<{ memories: StoredMemory[] }>;
  get(id: OrRef<string>, options?: { includeEmbedding?: boolean | undefined } & Guarded): Ref<Memory>;
  update(id: OrRef<string>, changes: MemoryChanges & Guarded): Ref<Memory>;
  delete(id: OrRef<string>, options?: Guarded): Ref<null>;
}

/** `pb.sql` in a transaction. SQL runs before the other calls: they can use its results, and it cannot use theirs. */
export interface SqlInTransaction {
  query<Row = SqlRow>(sql: string, params?: SqlParameters, options?: Guarded): Ref<SqlRows<Row>>;
  execute<Row = SqlRow>(sql: string, params?: SqlParameters, options?: Guarded): Ref<SqlResult<Row>>;
  batch(statements: readonly SqlStatement[], options?: Guarded): Ref<{ results: SqlResult[] }>;
  migrate(migrations: readonly SqlMigration[], options?: Guarded): Ref<SqlMigrated>;
  schema(options?: Guarded): Ref<SqlSchema>;
}

/**
 * `pb.tokens` in a transaction. A transaction with `create` or `rotate` shows a secret once: it takes no
 * `idempotencyKey`, and is repeated only where the server says that nothing has happened.
 */
export interface TokensInTransaction {
  create(token?: NewToken & Guarded): Ref<CreatedToken>;
  rotate(id: string, options?: { overlapMs?: number | undefined } & Guarded): Ref<CreatedToken>;
  revoke(id: string, options?: Guarded): Ref<null>;
}

/** `pb.grants` in a transaction. */
export interface GrantsInTransaction {
  create(grant: NewGrant & Guarded): Ref<Grant>;
  revoke(id: string, options?: Guarded): Ref<null>;
}

/** `pb.credit` in a transaction. */
export interface CreditInTransaction {
  get(options?: Guarded): Ref<Credit>;
}

/** `pb.payments` in a transaction. */
export interface PaymentsInTransaction {
  get(id: string, options?: Guarded): Ref<Payment>;
}
