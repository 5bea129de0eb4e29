import { toJson } from './integers.js';
import { isReference } from './references.js';
import type { SqlColumn } from './types.js';

/**
 * A value of SQLite: NULL, INTEGER (`bigint` beyond 2^53 - 1), REAL, TEXT, BLOB.
 * A TEXT that is not UTF-8 is read as its bytes.
 */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** A parameter of a statement: a value, `true` (1), `false` (0), or other JSON, which is sent as a text. */
export type SqlParameter =
  SqlValue | boolean | undefined | Date | readonly unknown[] | { readonly [name: string]: unknown };

/** Values of the parameters: an array for `?` and `?1`, an object for `:name`, `@name` and `$name`. */
export type SqlParameters = readonly SqlParameter[] | { readonly [name: string]: SqlParameter };

/** A row as an object, by the names of its columns. */
export type SqlRow = Record<string, SqlValue>;

/** The rows of a query. */
export interface SqlRows<Row = SqlRow> {
  /** Columns, also if there are no rows. */
  columns: SqlColumn[];
  /** Rows, each an array with one value per column. At most 1,000. */
  rows: SqlValue[][];
  /** Number of rows. */
  rowCount: number;
  /** `true` if there are more rows, which are left out. */
  truncated: boolean;
  /** The rows as objects, by the names of the columns. Of columns with the same name, the last one counts. */
  readonly objects: Row[];
}

/** The result of a statement that may write. */
export interface SqlResult<Row = SqlRow> extends SqlRows<Row> {
  /** Number of rows that the statement has inserted, updated or deleted. */
  rowsAffected: number;
  /** Rowid of the last row that the statement has inserted; `null` if none. */
  lastInsertRowid: number | bigint | null;
}

/** A statement with the values of its parameters. */
export interface SqlStatement {
  /** One statement in the dialect of SQLite, 1 to 100,000 bytes. */
  sql: string;
  /** Values of its parameters, at most 1,000. */
  params?: SqlParameters | undefined;
}

/** Converts a statement to what the server takes. */
export function encodeStatement(statement: SqlStatement): { sql: string; params?: unknown } {
  const { sql, params } = statement;
  if (params === undefined) return { sql };
  if (Array.isArray(params)) return { sql, params: params.map(encodeValue) };
  return {
    sql,
    params: Object.fromEntries(Object.entries(params).map(([name, value]) => [name, encodeValue(value)])),
  };
}

function encodeValue(value: unknown): unknown {
  if (typeof value === 'bigint') return { $int: String(value) };
  if (value === Infinity || value === -Infinity) return { $real: String(value) };
  if (value instanceof Uint8Array) return { $blob: toBase64(value) };
  if (typeof value === 'string' && value.includes('\0')) return { $text: toBase64(new TextEncoder().encode(value)) };
  if (isReference(value))
    throw new TypeError('a parameter of SQL cannot be a reference: SQL runs before the other calls');
  if (value instanceof Date) return value.toJSON();
  return typeof value === 'object' && value !== null ? toJson(value) : (value ?? null);
}

function decodeValue(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const [[kind, text]] = Object.entries(value) as [[string, string]];
  if (kind === '$int') return BigInt(text);
  if (kind === '$real') return Number(text);
  const bytes = fromBase64(text);
  if (kind === '$blob') return bytes;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes;
  }
}

/** Converts the values of a result, and adds `objects`. */
export function decodeSqlResult(result: object): object {
  const { columns, rows, ...rest } = result as { columns: SqlColumn[]; rows: unknown[][]; lastInsertRowid?: unknown };
  if (rest.lastInsertRowid !== undefined) rest.lastInsertRowid = decodeValue(rest.lastInsertRowid);
  const decoded = { columns, rows: rows.map(row => row.map(decodeValue)), ...rest };
  // Made when it is read, and not a member of the JSON of the result.
  return Object.defineProperty(decoded, 'objects', {
    get: () => decoded.rows.map(row => Object.fromEntries(row.map((value, index) => [columns[index]?.name, value]))),
  });
}

// `String.fromCharCode` takes a limited number of arguments.
const CHUNK = 8_192;

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let start = 0; start < bytes.length; start += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(start, start + CHUNK));
  }
  return btoa(text);
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), character => character.charCodeAt(0));
}
