import type { components } from './generated/schemas.js';
import type { Exact, Integer64 } from './integers.js';

type Schemas = components['schemas'];

/** A 64-bit integer of a caller. Numbers beyond 2^53 - 1 are refused: pass a `bigint`. */
export type Integer = number | bigint;

/** Members of a request: optional ones may be `undefined`, and 64-bit integers may be `bigint`. */
export type Input<T> = {
  [K in keyof T]:
    | (K extends Integer64 | 'amount' ? Exclude<T[K], string> | bigint : T[K])
    | ({} extends Pick<T, K> ? undefined : never);
};

/** Replaces the type of some members. */
type With<T, Members> = { [K in keyof T]: K extends keyof Members ? Members[K] : T[K] };

/** One page of a list. */
export interface Page<Item> {
  /** Items of the page, in the order of the list. */
  items: Item[];
  /** Cursor of the next page; `null` on the last page. */
  nextCursor: string | null;
}

/** Part of a list to begin with. */
export interface ListOptions {
  /** Maximum number of items in a page, 1 to 1,000. Default: 100. */
  limit?: number | undefined;
  /** `nextCursor` of an earlier page, to continue after it. Default: the first page. */
  cursor?: string | undefined;
}

/** A problem (RFC 9457) with the members that its code brings. */
export type Problem = Exact<Schemas['Problem']>;
/** Code of a problem. */
export type ProblemCode = Schemas['ProblemCode'];

/** A counter: a 64-bit signed integer with optional bounds. */
export type Counter = Exact<Schemas['Counter']>;
/** A counter after an increment or a decrement. */
export type AdjustedCounter = Exact<Schemas['AdjustedCounter']>;
/** A counter after a reset. */
export type ResetCounter = Exact<Schemas['ResetCounter']>;
/** A change of a counter, with new bounds if given. */
export type Adjustment = Input<Schemas['Adjustment']>;

/** A short link. */
export type Link = Schemas['Link'];
/** Statistics of a link. */
export type LinkStats = Schemas['LinkStats'];
/** Result of recording a click. */
export type RecordedClick = Schemas['RecordedClick'];
/** Members of a new link beside its URL. */
export type NewLink = Input<Omit<Schemas['CreateLink'], 'url'>>;
/** Changes of a link: `null` clears a value, an absent member keeps it. */
export type LinkChanges = Input<Schemas['UpdateLink']>;
/** A visitor whom your own server redirects. */
export type Visitor = Input<Schemas['RecordClick']>;

/** The lease of a lock, for its holder. It can be the `guard` of a write. */
export type LockLease = Exact<Schemas['Lease']>;
/** The state of a lock. */
export type Lock = Exact<Schemas['Lock']>;
/** How to acquire a lock. */
export type AcquireLock = Input<Schemas['AcquireLock']>;

/** Status of a job. */
export type JobStatus = Schemas['JobStatus'];
/** A job. */
export type Job<Payload = unknown, Result = unknown> = With<Schemas['Job'], { payload: Payload; result: Result }>;
/** A job with the errors of its failed attempts. */
export type JobWithErrors<Payload = unknown, Result = unknown> = With<
  Schemas['JobWithErrors'],
  { payload: Payload; result: Result }
>;
/** A job that was pushed, or the unfinished one with the same `dedupKey`. */
export type PushedJob<Payload = unknown> = With<Schemas['PushedJob'], { payload: Payload }>;
/** A job with its lease. */
export type LeasedJob<Payload = unknown> = With<Schemas['LeasedJob'], { payload: Payload }>;
/** Members of a new job beside its payload. */
export type NewJob = Input<Omit<Schemas['PushJob'], 'payload'>>;
/** A job of a batch. */
export type BatchedJob = Input<Schemas['BatchedJob']>;
/** How to pop a job. */
export type PopJob = Input<Schemas['PopJob']>;
/** How to pop a batch of jobs. */
export type PopJobs = Input<Schemas['PopJobs']>;
/** Result of `retryDead`. */
export type Retried = Schemas['Retried'];
/** Result of `purge`. */
export type Purged = Schemas['Purged'];
/** Numbers of jobs of a queue. */
export type QueueStatus = Schemas['QueueStatus'];

/** A memory. */
export type Memory = Schemas['Memory'];
/** A memory after it was stored. */
export type StoredMemory = Schemas['StoredMemory'];
/** Result of a search. */
export type Found = Schemas['Found'];
/** Members of a memory to store. */
export type NewMemory = Input<Schemas['StoreMemory']>;
/** A memory of a batch. */
export type BatchedMemory = Input<Schemas['BatchedMemory']>;
/** Changes of a memory: `null` clears a value, an absent member keeps it. */
export type MemoryChanges = Input<Schemas['UpdateMemory']>;
/** What to search for. */
export type SearchMemories = Input<Schemas['SearchMemories']>;

/** A migration: its statements run once. */
export type SqlMigration = Schemas['SqlMigration'];
/** Result of migrations. */
export type SqlMigrated = Schemas['SqlMigrated'];
/** Tables and views of the database, and its size. */
export type SqlSchema = Schemas['SqlSchema'];
/** Result of an import. */
export type SqlImported = Schemas['SqlImported'];
/** A column of a result. */
export type SqlColumn = Schemas['SqlColumn'];

/** The account of the caller. */
export type Me = Schemas['Me'];
export type Erased = Schemas['Erased'];
/** A counter, a link, a job and so on, as the calls for it show it. */
export type ExportedItem = { type: string } & Record<string, unknown>;
/** An entry of the log of the account. */
export type AuditEntry = Schemas['AuditEntry'];
/** A token, without its secret. */
export type Token = Schemas['Token'];
/** A right of a token. */
export type Scope = Schemas['Scope'];
/** A new token with its secret. */
export type CreatedToken = Schemas['CreatedToken'];
/** Rights and limits of a new token. */
export type NewToken = Input<Schemas['CreateToken']>;
/** Rights that another payer has. */
export type Grant = Schemas['Grant'];
/** Rights and limits of a new grant. */
export type NewGrant = Input<Schemas['CreateGrant']>;
/** Credit of the payer. */
export type Credit = Schemas['Credit'];
/** An entry of the ledger. */
export type LedgerEntry = Schemas['LedgerEntry'];
/** A payment. */
export type Payment = Schemas['Payment'];

/** A message that a wallet signs. */
export type Challenge = Schemas['Challenge'];
/** A wallet and the rights of its new token. */
export type NewChallenge = Input<Schemas['CreateChallenge']>;
/** A signed challenge. */
export type SignedChallenge = Schemas['VerifyChallenge'];
/** A token of a wallet that has signed in. */
export type SignedIn = Schemas['SignedIn'];
/** Whether the server is alive, or ready. */
export type Health = Schemas['Health'];
/** The routes that cost something. */
export type PaidRoutes = Schemas['PaidRoutes'];
