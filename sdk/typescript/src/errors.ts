import { exactMembers } from './integers.js';
import type { Problem, ProblemCode } from './types.js';

/** A problem with a value of the request, or with one member of it. */
export type InvalidField = NonNullable<Problem['errors']>[number];

/** payerbase answered with a problem: the call failed, and `code` says why. */
export class PayerbaseError extends Error {
  override readonly name = 'PayerbaseError';
  /**
   * Stable code of this kind of problem, such as `counter-out-of-bounds`: branch on it.
   * A later server may send a code that this version does not list, so keep a default branch.
   */
  readonly code: ProblemCode;
  /** HTTP status, 400 to 599. */
  readonly status: number;
  /** What the code means, in one sentence. */
  readonly title: string;
  /** Explanation of this occurrence, or advice. */
  readonly detail: string;
  /** Invalid values of the request, each with a JSON pointer. Empty if the problem is of another kind. */
  readonly errors: readonly InvalidField[];
  /** Id of the request, as in the log of the server. */
  readonly requestId: string;
  /**
   * The whole problem with the members that its code brings, such as `value`, `min` and `max` of
   * `counter-out-of-bounds`, or `index` and `method` of a call in a transaction.
   */
  readonly problem: Problem;
  /** Time after which the server asks to try again, in milliseconds. `undefined` if it says nothing. */
  readonly retryAfterMs: number | undefined;
  /** Number of attempts that were made, at least 1. */
  readonly attempts: number;

  /** Whether the answer says that a payment was made: it is credit now. @internal */
  readonly isPaid: boolean;

  /** @internal */
  constructor(problem: Problem, attempts: number, retryAfterMs?: number, isPaid = false) {
    super(`${problem.code}: ${problem.detail || problem.title}`);
    this.problem = exactMembers(problem);
    this.code = problem.code;
    this.status = problem.status;
    this.title = problem.title;
    this.detail = problem.detail;
    this.errors = problem.errors ?? [];
    this.requestId = problem.instance;
    this.attempts = attempts;
    this.retryAfterMs = retryAfterMs;
    this.isPaid = isPaid;
  }
}

/**
 * No answer came: the connection failed, or an attempt took longer than its timeout. `cause` is the error of `fetch`.
 * A write may have happened; to repeat it safely, call again with the `idempotencyKey` that you gave.
 * A client that pays each call may have paid it.
 */
export class PayerbaseConnectionError extends Error {
  override readonly name = 'PayerbaseConnectionError';
  /** Number of attempts that were made, at least 1. */
  readonly attempts: number;

  /** @internal */
  constructor(message: string, attempts: number, options?: ErrorOptions) {
    super(message, options);
    this.attempts = attempts;
  }
}

/** The answer is not one of payerbase, such as a page of a proxy in HTML, or a redirect. */
export class PayerbaseAnswerError extends Error {
  override readonly name = 'PayerbaseAnswerError';
  /** HTTP status. */
  readonly status: number;
  /** Beginning of the body, at most 200 characters. */
  readonly body: string;
  /** Time after which the sender asks to try again, in milliseconds. `undefined` if it says nothing. */
  readonly retryAfterMs: number | undefined;
  /** Number of attempts that were made, at least 1. */
  readonly attempts: number;

  /** @internal */
  constructor(message: string, status: number, body: string, attempts: number, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.body = body.slice(0, 200);
    this.attempts = attempts;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whether an error may pass by itself: the server cannot be reached, is overloaded, or limits the rate of calls. */
export function isPassing(error: unknown): boolean {
  if (error instanceof PayerbaseConnectionError) return true;
  const answered = error instanceof PayerbaseError || error instanceof PayerbaseAnswerError;
  return answered && (error.status >= 500 || error.status === 429);
}

// No connection was made. Browsers do not tell.
const NOT_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'];

/** Whether an error of `fetch`, or one of its causes, says that the request was not sent. */
export function isOfNoRequest(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && NOT_SENT.includes(String(error.code))) || isOfNoRequest(error.cause);
}

/** Whether nobody knows what became of a call: no answer came, or one that does not say it. */
export function isUnknown(error: unknown): boolean {
  if (error instanceof PayerbaseConnectionError || error instanceof PayerbaseAnswerError) return true;
  if (!(error instanceof PayerbaseError) || error.status < 500) return false;
  return error.status !== 503 || error.code === 'outcome-unknown';
}

/**
 * Whether a failed call may have been paid by a client that pays each call. To send it again may pay again. Such a call ends
 * with the first attempt that may have been paid, so its last error tells.
 */
export function mayHavePaid(error: unknown): boolean {
  if (error instanceof PayerbaseConnectionError) return !isOfNoRequest(error.cause);
  return isUnknown(error) || (error instanceof PayerbaseError && error.isPaid);
}

/** Whether a value can never be sent: the server refuses it or finds it too large, or it has no JSON. */
export function isRefused(error: unknown): boolean {
  if (error instanceof PayerbaseConnectionError) return false;
  const answered = error instanceof PayerbaseError || error instanceof PayerbaseAnswerError;
  return !answered || [400, 413, 422].includes(error.status);
}
