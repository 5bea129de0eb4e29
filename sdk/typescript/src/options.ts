import type { Scope } from './types.js';

/** What may be said with each call. */
export interface CallOptions {
  /**
   * Ends the call as soon as it is aborted, also between two attempts. The call rejects with the reason of the signal.
   */
  signal?: AbortSignal | undefined;
  /** Time of one attempt, in milliseconds. Default: that of the client, and `waitMs` of the call in addition. */
  timeout?: number | undefined;
  /** Is called with the facts of the answer before the call resolves. */
  onAnswer?: ((answer: Answer) => void) | undefined;
}

/** What may be said with each write. */
export interface WriteOptions extends CallOptions {
  /**
   * Key that makes the write happen once, 8 to 128 characters of printable ASCII. For 24 hours, the same call with the
   * same key gets the first answer again. Default: a random key for each call, which all its attempts share. `null`: no
   * key; then the call is repeated only where the server says that nothing has happened.
   */
  idempotencyKey?: string | null | undefined;
  /** Lock that must be held while the write runs. Otherwise the write changes nothing and fails with `stale-fence`. */
  guard?: Guard | undefined;
}

/** A lease of a lock, as `locks.acquire` and `locks.with` give it. */
export interface Guard {
  /** Name of the lock. */
  readonly name: string;
  /** Fence of the lease. */
  readonly fence: number | bigint;
}

/** Facts of an answer beside its body. */
export interface Answer {
  /** HTTP status, 200 to 299. */
  status: number;
  /** Id of the request, as in the log of the server. */
  requestId: string;
  /** Whether the write ran before, with the same `idempotencyKey`, and this is its first answer again. */
  isReplay: boolean;
  /** Number of attempts that were made, at least 1. */
  attempts: number;
  /** All headers, such as `RateLimit` and `PAYMENT-RESPONSE`. */
  headers: Headers;
}

/** A wallet that signs in: an account of `viem`, or anything with these two members. */
export interface Wallet {
  /** Address of the wallet. */
  readonly address: string;
  /** Signs a message: with `personal_sign` (EIP-191), or as a message of Stacks. */
  signMessage(message: { message: string }): Promise<string>;
}

/** How a wallet signs in. */
export interface SignInOptions {
  /** Network of the wallet, by its CAIP-2 id. Default: `eip155:8453` (Base). */
  chain?: string | undefined;
  /** Scopes of the token, such as `counters:read`. Default: all rights. */
  scopes?: Scope[] | undefined;
  /** Lifetime of the token, in milliseconds, 60,000 to 31,622,400,000. Default: 86,400,000 (one day). */
  lifetimeMs?: number | undefined;
  /**
   * Domain in the public URL of the server, with its port if it has one, if `url` of the client has another one. The
   * wallet signs only messages for this domain. Default: the host of `url`, whose origin the message must name.
   */
  domain?: string | undefined;
}

/** Settings of a client. */
export interface PayerbaseOptions {
  /** URL of the server. It may have a path. */
  url: string;
  /** Token. Those of a server for others begin with `pb_`. */
  token?: string | undefined;
  /** Wallet that signs in at the first call, instead of a token. The token stays in memory and is renewed in time. */
  wallet?: Wallet | undefined;
  /** How the wallet signs in. */
  signIn?: SignInOptions | undefined;
  /** Address of another payer to act for, who has granted it. The account, tokens, grants and credit stay your own. */
  actFor?: string | undefined;
  /**
   * Time of one attempt, in milliseconds, without the `waitMs` of a call. Default: 30,000; 90,000 with neither
   * `token` nor `wallet`, because a payment takes its time.
   */
  timeout?: number | undefined;
  /**
   * Number of attempts after the first one. Default: 4. With neither `token` nor `wallet`, a call is repeated only where
   * the server says that nothing has happened, because each attempt may pay.
   */
  retries?: number | undefined;
  /** Function to send requests with, such as one that pays (`@x402/fetch`). Default: the `fetch` of the platform. */
  fetch?: Fetch | undefined;
  /** Headers to send with each request. */
  headers?: Record<string, string> | undefined;
}

/** A function like `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;
