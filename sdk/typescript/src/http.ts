import { decode } from './decode.js';
import { isOfNoRequest, mayHavePaid, PayerbaseAnswerError, PayerbaseConnectionError, PayerbaseError } from './errors.js';
import { operations } from './generated/operations.js';
import type { CallOptions, Fetch, PayerbaseOptions, WriteOptions } from './options.js';
import { pageOfLines } from './pages.js';
import { encoded, prepare, type Operation, type OperationId, type PreparedRequest } from './request.js';
import type { Problem } from './types.js';
import { backoffMs, deadline, sleep } from './waiting.js';

/** What authorizes the calls of a client. */
export interface Credentials {
  /** The token to send now, or nothing. */
  token(signal: AbortSignal | undefined): Promise<string | undefined>;
  /** Notes that the server has refused a token. Answers whether another one can be had. */
  refused(token: string | undefined): boolean;
}

/** Time of one attempt. */
const TIMEOUT_MS = 30_000;
/** Time of one attempt that may pay: a payment may take 75 seconds. */
const PAYING_TIMEOUT_MS = 90_000;
/** Longest time that a server can ask to wait before a retry. If it asks for more, the call fails. */
const RETRY_AFTER_MAX_MS = 60_000;

/** Sends the calls of a client, each until it has an answer. */
export class Http {
  readonly #base: string;
  readonly #credentials: Credentials;
  readonly #fetch: Fetch;
  readonly #headers: Headers;
  readonly #actFor: string | undefined;
  readonly #timeout: number;
  readonly #retries: number;
  /** Whether each attempt may pay: there is neither a token nor a wallet that signs in. */
  readonly pays: boolean;

  constructor(base: string, credentials: Credentials, options: PayerbaseOptions) {
    this.#base = base;
    this.#credentials = credentials;
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
    this.#headers = new Headers(options.headers);
    this.#actFor = options.actFor;
    this.pays = !options.token && !options.wallet;
    this.#timeout = options.timeout ?? (this.pays ? PAYING_TIMEOUT_MS : TIMEOUT_MS);
    this.#retries = options.retries ?? 4;
  }

  /** Sends a call. `parameters` has the parameters of path, query and body, and the options of the call. */
  readonly call = async <T>(id: OperationId, parameters: object): Promise<T> => {
    const { signal, timeout, onAnswer, idempotencyKey, guard, ...rest } = parameters as WriteOptions;
    const operation: Operation = idempotencyKey === null ? { ...operations[id], repeat: 'never' } : operations[id];
    const request = prepare(operation, rest);
    // Made before the attempts: a header that cannot be sent is a mistake of the caller, and no lost connection.
    const headers = this.#headersOf(request, operation, { idempotencyKey, guard });
    const isSafe = operation.repeat !== 'never' && !this.pays;
    let refusals = 0;
    for (let attempts = 1; ; attempts += 1) {
      signal?.throwIfAborted();
      const token = operation.isPublic ? undefined : await this.#credentials.token(signal);
      if (token) headers.set('Authorization', `Bearer ${token}`);
      try {
        const options = { signal, timeout: timeout ?? this.#timeout + request.waitMs, onAnswer };
        return decode(id, await this.#attempt(operation, request, headers, attempts, options)) as T;
      } catch (error) {
        signal?.throwIfAborted();
        if (!operation.isPublic && isRefusal(error) && this.#credentials.refused(token) && refusals === 0) {
          refusals += 1;
          continue;
        }
        if (attempts > this.#retries || !canRepeat(isSafe, error)) throw error;
        const askedMs = 'retryAfterMs' in error ? (error.retryAfterMs ?? 0) : 0;
        if (askedMs > RETRY_AFTER_MAX_MS) throw error;
        await sleep(askedMs + backoffMs(attempts), signal);
      }
    }
  };

  #headersOf(request: PreparedRequest, operation: Operation, options: WriteOptions): Headers {
    const headers = new Headers(this.#headers);
    for (const [name, value] of Object.entries(request.headers)) headers.set(name, value);
    if (operation.hasIntegers) headers.set('Payerbase-Integers', 'string');
    if (operation.actsFor && this.#actFor !== undefined) headers.set('Payerbase-Act-For', this.#actFor);
    const { guard, idempotencyKey = operation.repeat === 'keyed' ? randomKey() : undefined } = options;
    if (typeof idempotencyKey === 'string') headers.set('Idempotency-Key', idempotencyKey);
    if (guard) headers.set('Payerbase-Guard', `${encoded('guard.name', guard.name)}; fence=${guard.fence}`);
    return headers;
  }

  async #attempt(
    operation: Operation,
    request: PreparedRequest,
    sent: Headers,
    attempts: number,
    options: CallOptions & { timeout: number },
  ): Promise<unknown> {
    const { timeout } = options;
    const paid = this.pays ? '; the call may have been paid' : '';
    const late = (): Error => new PayerbaseConnectionError(`no answer within ${timeout} ms${paid}`, attempts);
    const { signal, end } = deadline(timeout, late, options.signal);
    let response: Response;
    let body: string | Uint8Array;
    try {
      const send = this.#fetch;
      response = await send(this.#base + request.path, {
        method: operation.verb,
        headers: Object.fromEntries(sent),
        ...(request.body !== undefined && { body: request.body }),
        signal,
        // A redirect would turn a POST into a GET, and could carry the token to another host.
        redirect: 'manual',
      });
      const isFile = response.ok && operation.answer === 'bytes';
      body = isFile ? new Uint8Array(await response.arrayBuffer()) : await response.text();
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      const outcome = isOfNoRequest(cause) ? '' : paid;
      throw new PayerbaseConnectionError(`no answer: ${messages(cause)}${outcome}`, attempts, { cause });
    } finally {
      end();
    }
    const answer = read(operation, response, body, attempts);
    const { status, headers } = response;
    const isReplay = headers.get('Idempotent-Replay') === 'true';
    options.onAnswer?.({ status, requestId: headers.get('X-Request-Id') ?? '', isReplay, attempts, headers });
    return answer;
  }
}

/** The messages of an error and of its causes. */
function messages(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${messages(error.cause)}`;
}

/** The content of an answer, or an error. */
function read(operation: Operation, response: Response, body: string | Uint8Array, attempts: number): unknown {
  const { status, headers } = response;
  if (body instanceof Uint8Array || (response.ok && operation.answer === 'text')) return body;
  if (response.ok && operation.answer === 'lines') {
    const page = pageOfLines(body);
    if (page) return page;
    throw new PayerbaseAnswerError('the page is not complete: its last line is missing', status, body, attempts);
  }
  const location = headers.get('Location');
  if (operation === operations.followLink && status === 302 && location) return location;
  if (status === 204) return null;
  const parsed = parse(body);
  const retryAfterMs = retryAfter(headers.get('Retry-After'));
  if (response.ok && parsed !== undefined) return parsed;
  if (!response.ok && isProblem(parsed)) throw new PayerbaseError(parsed, attempts, retryAfterMs, isPaid(headers));
  const what =
    status === 0 || (status >= 300 && status < 400) ? `a redirect${location ? ` to ${location}` : ''}` : `${status}`;
  const message = `the answer is ${what}, and is not from payerbase: ${body.slice(0, 100) || 'it has no body'}`;
  throw new PayerbaseAnswerError(message, status, body, attempts, retryAfterMs);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && has(value, 'code', 'string') && has(value, 'status', 'number');
}

function has(value: object, name: string, type: string): boolean {
  return typeof (value as Record<string, unknown>)[name] === type;
}

/** The time of a header `Retry-After`, in milliseconds. */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** Whether an answer says that a payment was made. */
function isPaid(headers: Headers): boolean {
  try {
    return (JSON.parse(atob(headers.get('PAYMENT-RESPONSE') ?? '')) as { success?: unknown }).success === true;
  } catch {
    return false;
  }
}

/** Whether the server has refused the token. */
function isRefusal(error: unknown): boolean {
  return error instanceof PayerbaseError && error.status === 401;
}

/** Whether an error may pass, and the call may be sent again. `isSafe`: also if it may have happened. */
function canRepeat(
  isSafe: boolean,
  error: unknown,
): error is PayerbaseError | PayerbaseAnswerError | PayerbaseConnectionError {
  if (error instanceof PayerbaseConnectionError) return isSafe || !mayHavePaid(error);
  if (error instanceof PayerbaseAnswerError) return isSafe && [429, 502, 503, 504].includes(error.status);
  // These statuses say that nothing was changed, with one exception. But a payment may have been made.
  const isPassing = error instanceof PayerbaseError && (error.status === 429 || error.status === 503);
  return isPassing && (isSafe || !mayHavePaid(error));
}

/** A random key. `randomUUID` exists in secure contexts only, so not on a page from `http://`. */
export function randomKey(): string {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
}
