import { Credits, Grants, Payments, Tokens } from './account.js';
import { Counters } from './counters.js';
import { decode } from './decode.js';
import { operations } from './generated/operations.js';
import { Links } from './links.js';
import { Locks } from './locks.js';
import { Memories } from './memories.js';
import type { WriteOptions } from './options.js';
import { Queues } from './queues.js';
import { encodeReferences, makeReference, resolve, type Resolved } from './references.js';
import type { Call, OperationId } from './request.js';
import { Sql } from './sql.js';
import type {
  CountersInTransaction,
  CreditInTransaction,
  GrantsInTransaction,
  LinksInTransaction,
  LocksInTransaction,
  MemoriesInTransaction,
  PaymentsInTransaction,
  QueuesInTransaction,
  SqlInTransaction,
  TokensInTransaction,
} from './transaction-groups.js';

/** The calls that a transaction may have: all writes, and the reads of one thing. They return references at once. */
export interface Transaction {
  readonly counters: CountersInTransaction;
  readonly links: LinksInTransaction;
  readonly locks: LocksInTransaction;
  readonly queues: QueuesInTransaction;
  readonly memories: MemoriesInTransaction;
  readonly sql: SqlInTransaction;
  readonly tokens: TokensInTransaction;
  readonly grants: GrantsInTransaction;
  readonly credit: CreditInTransaction;
  readonly payments: PaymentsInTransaction;
}

/** What is to be done after the commit of each transaction. */
const afterCommit = new WeakMap<Transaction, (() => void)[]>();

/** Calls a function after the commit of a transaction. */
export function onCommit(transaction: Transaction, action: () => void): void {
  afterCommit.get(transaction)?.push(action);
}

interface RecordedCall {
  method: OperationId;
  params: unknown;
  guard?: { lock: string; fence: number | bigint };
}

/** Records the calls of a function, sends them as one, and returns the value of its result. */
export async function transact<T>(
  call: Call,
  record: (transaction: Transaction) => T | Promise<T>,
  options: WriteOptions = {},
): Promise<Resolved<T>> {
  const calls: RecordedCall[] = [];
  let isSent = false;
  // The same classes as outside, with a call that writes itself down. Their types are those of `Transaction`.
  const recorder = ((method: OperationId, parameters: WriteOptions) => {
    if (isSent) throw new Error('the transaction was sent before this call');
    const { guard, idempotencyKey, signal, timeout, onAnswer, ...params } = parameters;
    calls.push({
      method,
      params: encodeReferences(params, calls),
      ...(guard && { guard: { lock: guard.name, fence: guard.fence } }),
    });
    return makeReference(calls, [String(calls.length - 1)]);
  }) as unknown as Call;
  const transaction = {
    counters: new Counters(recorder),
    links: new Links(recorder, ''),
    locks: new Locks(recorder, false),
    queues: new Queues(recorder, false),
    memories: new Memories(recorder),
    sql: new Sql(recorder),
    tokens: new Tokens(recorder),
    grants: new Grants(recorder),
    credit: new Credits(recorder),
    payments: new Payments(recorder),
  } as unknown as Transaction;
  const actions: (() => void)[] = [];
  afterCommit.set(transaction, actions);
  const result = await record(transaction);
  isSent = true;
  const showsSecret = calls.some(({ method }) => operations[method].repeat === 'never');
  const { idempotencyKey = showsSecret ? null : undefined } = options;
  const sent = await call<{ results: unknown[] }>('transact', { ...options, idempotencyKey, calls });
  for (const action of actions) action();
  const results = sent.results.map((value, index) => decode((calls[index] as RecordedCall).method, value));
  return resolve(result, calls, results) as Resolved<T>;
}
