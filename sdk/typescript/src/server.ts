import type { CallOptions } from './options.js';
import type { Call } from './request.js';
import type { Challenge, Health, NewChallenge, PaidRoutes, SignedChallenge, SignedIn } from './types.js';

/** Sign-in with a wallet, step by step. A client with a `wallet` does it by itself. */
export class Auth {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /** Begins to sign in: returns a message for the wallet to sign. It works once, within five minutes. */
  challenge(challenge: NewChallenge, options?: CallOptions): Promise<Challenge> {
    return this.#call('createChallenge', { ...challenge, ...options });
  }

  /**
   * Signs in with the signature of a challenge. The answer is the only copy of the token. If it is lost, begin again:
   * this call is repeated only where the server says that nothing has happened.
   */
  verify(signed: SignedChallenge, options?: CallOptions): Promise<SignedIn> {
    return this.#call('verifyChallenge', { ...signed, ...options });
  }
}

/** What the server says about itself. No call needs a token. */
export class Server {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /** Says that the server is alive. */
  health(options?: CallOptions): Promise<Health> {
    return this.#call('healthz', { ...options });
  }

  /** Says that the server can take calls; else it fails. */
  ready(options?: CallOptions): Promise<Health> {
    return this.#call('readyz', { ...options });
  }

  /** Returns its metrics, as a text for Prometheus. */
  metrics(options?: CallOptions): Promise<string> {
    return this.#call('metrics', { ...options });
  }

  /** Returns its OpenAPI document, in the given version of OpenAPI. Default: 3.1. */
  openapi(options: { version?: '3.0' | '3.1' | undefined } & CallOptions = {}): Promise<Record<string, unknown>> {
    const { version, ...others } = options;
    return this.#call(version === '3.0' ? 'openapi30' : 'openapi', others);
  }

  /** Returns the page about all problems, in Markdown. */
  problems(options?: CallOptions): Promise<string> {
    return this.#call('problems', { ...options });
  }

  /** Lists the routes that cost something, with their prices. */
  paidRoutes(options?: CallOptions): Promise<PaidRoutes> {
    return this.#call('listPaidRoutes', { ...options });
  }
}
