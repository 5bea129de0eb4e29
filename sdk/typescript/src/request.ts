import { operations } from './generated/operations.js';
import { toJson } from './integers.js';
import type { CallOptions, WriteOptions } from './options.js';

/** The `operationId` of an operation. */
export type OperationId = keyof typeof operations;

/** How an operation is sent. */
export interface Operation {
  verb: string;
  path: string;
  /** Whether it may be sent again: with its key, freely, or only if it cannot have happened. */
  repeat: 'keyed' | 'free' | 'never';
  /** Whether it can be called for another payer. */
  actsFor?: true;
  /** Whether it answers 64-bit integers, which it can write as texts. */
  hasIntegers?: true;
  /** Whether it needs no token. */
  isPublic?: true;
  /** What it answers instead of JSON. */
  answer?: 'text' | 'lines' | 'bytes';
}

/** The parameters of a call: those of path, query and body, and its options, in one object. */
export type Parameters = CallOptions & WriteOptions & Record<string, unknown>;

/** Sends a call, or records it in a transaction. */
export type Call = <T>(id: OperationId, parameters: object) => Promise<T>;

/** A request without the headers of the client. */
export interface PreparedRequest {
  path: string;
  headers: Record<string, string>;
  body: RequestInit['body'];
  /** Time that the server may wait before it answers, in milliseconds. */
  waitMs: number;
}

export const FILE_TYPE = 'application/vnd.sqlite3';

/** Makes the request of a call from its parameters, without its options. */
export function prepare(operation: Operation, parameters: Record<string, unknown>): PreparedRequest {
  const rest = { ...parameters };
  let path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const segment = rest[name];
    delete rest[name];
    return pathSegment(name, segment);
  });
  const headers: Record<string, string> = {};
  let body: PreparedRequest['body'] = undefined;
  if (rest['file'] !== undefined) {
    body = rest['file'] as Blob;
    headers['Content-Type'] = FILE_TYPE;
  } else if (operation.verb === 'GET' || operation.verb === 'DELETE') {
    path += queryString(rest);
  } else if (Object.values(rest).some(value => value !== undefined)) {
    body = toJson(rest);
    headers['Content-Type'] = 'application/json';
  }
  return { path, headers, body, waitMs: typeof rest['waitMs'] === 'number' ? rest['waitMs'] : 0 };
}

/** Percent-encodes a segment of a path, which must not be empty, `.` or `..`. */
export function pathSegment(name: string, value: unknown): string {
  const text = String(value ?? '');
  if (text === '' || text === '.' || text === '..') {
    throw new TypeError(`${name} must not be ${text ? `"${text}", which URLs cannot carry` : 'empty'}`);
  }
  return encoded(name, text);
}

/** Percent-encodes a text. */
export function encoded(name: string, text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    throw new TypeError(`${name} must be well-formed Unicode`);
  }
}

function queryString(parameters: Record<string, unknown>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
  if (given.length === 0) return '';
  return `?${given.map(([name, value]) => `${name}=${encoded(name, String(value))}`).join('&')}`;
}
