/** Time of a clock that never jumps, in milliseconds. */
export const now = (): number => performance.now();

/** Longest time of a timer: with a longer one, it would end at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Waits for a time (at most 24 days), or rejects with the reason of the signal as soon as it is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      },
      Math.min(ms, TIMER_MAX_MS),
    );
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}

/** The result of a promise, or a rejection with the reason of the signal as soon as it is aborted. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 10_000;

/** Time before a further attempt: exponential, with full jitter. `attempt` counts from 1. */
export function backoffMs(attempt: number): number {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (attempt - 1));
}

/** A signal that is aborted with a reason some time after another one. `end` must be called when it is not needed. */
export function afterAbort(
  other: AbortSignal | undefined,
  ms: number,
  reason: () => unknown,
): { signal: AbortSignal; end: () => void } {
  const control = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = (): void => void (timer = setTimeout(() => control.abort(reason()), ms));
  if (other?.aborted) begin();
  else other?.addEventListener('abort', begin, { once: true });
  const end = (): void => {
    clearTimeout(timer);
    other?.removeEventListener('abort', begin);
  };
  return { signal: control.signal, end };
}

/**
 * A signal that is aborted with a reason after a time, or with another signal. `end` must be called when it is not
 * needed.
 */
export function deadline(
  ms: number,
  reason: () => unknown,
  other?: AbortSignal,
): { signal: AbortSignal; end: () => void } {
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(reason()), Math.min(ms, TIMER_MAX_MS));
  const abort = (): void => control.abort(other?.reason);
  if (other?.aborted) abort();
  other?.addEventListener('abort', abort, { once: true });
  const end = (): void => {
    clearTimeout(timer);
    other?.removeEventListener('abort', abort);
  };
  return { signal: control.signal, end };
}
