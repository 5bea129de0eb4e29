import { Account, Credits, Grants, Payments, Tokens } from './account.js';
import { Counters } from './counters.js';
import { type Credentials, Http } from './http.js';
import { Links } from './links.js';
import { Locks } from './locks.js';
import { Memories } from './memories.js';
import type { PayerbaseOptions, WriteOptions } from './options.js';
import { Queues } from './queues.js';
import type { Resolved } from './references.js';
import type { Call } from './request.js';
import { Auth, Server } from './server.js';
import { WalletCredentials } from './session.js';
import { Sql } from './sql.js';
import { transact, type Transaction } from './transaction.js';

/** A client of a payerbase server, for one payer. It holds no connection, and needs no end. */
export class Payerbase {
  /** Counters with bounds: credits, quotas, statistics. */
  readonly counters: Counters;
  /** Short links with clicks and QR codes. */
  readonly links: Links;
  /** Locks with leases and fences. */
  readonly locks: Locks;
  /** Queues of jobs. */
  readonly queues: Queues;
  /** Texts, found by words and by meaning. */
  readonly memories: Memories;
  /** A private SQLite database. */
  readonly sql: Sql;
  /** The account of the caller. */
  readonly account: Account;
  /** Tokens for your programs. */
  readonly tokens: Tokens;
  /** Rights of other payers. */
  readonly grants: Grants;
  /** Credit of the payer. */
  readonly credit: Credits;
  /** Payments of the payer. */
  readonly payments: Payments;
  /** Sign-in, step by step. */
  readonly auth: Auth;
  /** What the server says about itself. */
  readonly server: Server;
  readonly #call: Call;

  /** `url` is needed, and one of `token`, `wallet` and a `fetch` that pays. */
  constructor(options: PayerbaseOptions) {
    const base = checkUrl(options.url);
    const http = new Http(base, this.#credentials(options, base), options);
    const { call, pays } = http;
    this.#call = call;
    this.counters = new Counters(call);
    this.links = new Links(call, base);
    this.locks = new Locks(call, pays);
    this.queues = new Queues(call, pays);
    this.memories = new Memories(call);
    this.sql = new Sql(call);
    this.account = new Account(call);
    this.tokens = new Tokens(call);
    this.grants = new Grants(call);
    this.credit = new Credits(call);
    this.payments = new Payments(call);
    this.auth = new Auth(call);
    this.server = new Server(call);
  }

  /**
   * Runs up to 50 calls in one transaction: all of them happen, or none. `record` makes the calls on its parameter;
   * each returns a reference, which later calls may use. Returns the result of `record` with the values of its
   * references.
   *
   *     const left = await pb.transact((t) => {
   *       const spent = t.counters.decrement("credits", { min: 0, onBound: "reject" });
   *       t.queues.push("mail", { left: spent.value });
   *       return spent.value;
   *     });
   *
   * If a call fails, nothing is changed: the error has the `index` and the `method` of that call in `problem`.
   */
  transact<T>(record: (transaction: Transaction) => T | Promise<T>, options?: WriteOptions): Promise<Resolved<T>> {
    return transact(this.#call, record, options);
  }

  #credentials(options: PayerbaseOptions, base: string): Credentials {
    if (options.token) return new FixedToken(checkToken(options.token));
    if (options.wallet) return new WalletCredentials(options.wallet, options.signIn ?? {}, base, () => this.auth);
    if (options.fetch) return new FixedToken(undefined);
    throw new TypeError('the token is missing: pass `token`, or `wallet`, or a `fetch` that pays');
  }
}

/** A token that the caller gave, or none. */
class FixedToken implements Credentials {
  readonly #token: string | undefined;

  constructor(token: string | undefined) {
    this.#token = token;
  }

  token(): Promise<string | undefined> {
    return Promise.resolve(this.#token);
  }

  refused(): boolean {
    return false;
  }
}

function checkToken(token: string): string {
  if (!/^[!-~]{8,}$/.test(token))
    throw new TypeError('the token is malformed: it must be the whole text, without spaces');
  return token;
}

/** The URL of the server without a slash at its end. */
function checkUrl(url: string): string {
  if (!url) throw new TypeError('the URL of the server is missing');
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new TypeError(`the URL of the server is malformed: ${url}`);
  }
  if (!/^https?:$/.test(parsed.protocol))
    throw new TypeError(`the URL of the server must begin with https:// or http://: ${url}`);
  if (parsed.search || parsed.hash || parsed.username || parsed.password) {
    throw new TypeError('the URL of the server must have no user, query or fragment');
  }
  return parsed.origin + parsed.pathname.replace(/\/+$/, '');
}
