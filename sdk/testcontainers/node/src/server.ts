import { randomBytes } from 'node:crypto';

/** A running `payerbase dev`. It needs no container. */
export class PayerbaseServer {
  readonly #url: string;

  /** `url` is the base URL, such as `http://localhost:4402`. */
  constructor(url: string) {
    this.#url = url.replace(/\/+$/, '');
  }

  /** The base URL, without a slash at the end. */
  url(): string {
    return this.#url;
  }

  /** A bearer token of `payer`, a wallet address. Without `payer`: of a new random payer. */
  token(payer: string = randomPayer()): string {
    return `pb_test_${payer}`;
  }

  /** Erases all data of `payer`, a wallet address. */
  async reset(payer: string): Promise<void> {
    await this.#send('DELETE', `/dev/payers/${encodeURIComponent(payer)}`);
  }

  /** Moves the clock of the server forward by `ms` milliseconds. Returns the new time, RFC 3339 in UTC. */
  async advanceClock(ms: number): Promise<string> {
    const response = await this.#send('POST', '/dev/clock', { advanceMs: ms });
    return ((await response.json()) as { now: string }).now;
  }

  /** Sets the URL that the server writes into short URLs and sign-in messages. It cannot be changed later. */
  async setPublicUrl(url: string): Promise<void> {
    await this.#send('PUT', '/dev/public-url', { url });
  }

  async #send(method: string, path: string, body?: object): Promise<Response> {
    const response = await fetch(this.#url + path, {
      method,
      signal: AbortSignal.timeout(30_000),
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    if (response.ok) return response;
    const text = await response.text();
    throw new Error(`${method} ${path}: ${response.status} ${detail(text)}`);
  }
}

/** A random wallet address: `0x` and 40 hexadecimal digits. */
export function randomPayer(): string {
  return `0x${randomBytes(20).toString('hex')}`;
}

/** Code and detail of a problem (RFC 9457), or the text itself if it is not one. */
function detail(text: string): string {
  try {
    const problem = JSON.parse(text) as { code: string; detail?: string; title: string };
    return `${problem.code}: ${problem.detail ?? problem.title}`;
  } catch {
    return text;
  }
}
