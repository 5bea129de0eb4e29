import { exactMembers } from './integers.js';
import type { OperationId } from './request.js';
import { decodeSqlResult } from './sql-values.js';
import type { Page } from './types.js';

type Decoder = (value: never) => unknown;

const page = (value: Page<object>): Page<object> => ({ ...value, items: value.items.map(exactMembers) });
const batch = (value: { results: object[] }): object => ({ ...value, results: value.results.map(decodeSqlResult) });

/** How results are converted, where JSON cannot hold their values. */
const decoders: Partial<Record<OperationId, Decoder>> = {
  increment: exactMembers,
  decrement: exactMembers,
  resetCounter: exactMembers,
  getCounter: exactMembers,
  listCounters: page,
  acquireLock: exactMembers,
  extendLock: exactMembers,
  checkLock: exactMembers,
  listLocks: page,
  querySql: decodeSqlResult,
  executeSql: decodeSqlResult,
  batchSql: batch,
};

/** Converts the result of an operation: 64-bit integers to `bigint`, values of SQL to those of JavaScript. */
export function decode(id: OperationId, value: unknown): unknown {
  const decoder = decoders[id] as ((value: unknown) => unknown) | undefined;
  return decoder && value !== null ? decoder(value) : value;
}
