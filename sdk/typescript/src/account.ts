import { checkSafe } from './integers.js';
import type { CallOptions, WriteOptions } from './options.js';
import { Pages } from './pages.js';
import type { Call } from './request.js';
import type {
  AuditEntry,
  CreatedToken,
  Credit,
  Erased,
  ExportedItem,
  Grant,
  Integer,
  LedgerEntry,
  ListOptions,
  Me,
  NewGrant,
  NewToken,
  Payment,
  Token,
} from './types.js';

/** The account of the caller. With `actFor`, it is still the account of the caller. */
export class Account {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /** Returns the payer, the token with its rights, the usage and the limits. */
  me(options?: CallOptions): Promise<Me> {
    return this.#call('getMe', { ...options });
  }

  /**
   * Erases the data of the payer, up to 1,000 rows or so a call: call again until `hasMore` is false. It cannot be undone.
   * `payer` is the payer of the token, so that nothing is erased by mistake.
   */
  erase(payer: string, options?: WriteOptions): Promise<Erased> {
    return this.#call('erasePayer', { ...options, payer });
  }

  /**
   * Lists all that the payer has, kind by kind. Values of counters and fences are strings of digits, so that each item
   * can be written as JSON. The `nextCursor` of a page goes on with an export that was interrupted.
   */
  export(options: ListOptions & CallOptions = {}): Pages<ExportedItem> {
    return new Pages(cursor => this.#call('exportPayer', { ...options, cursor }), options.cursor);
  }

  /** Lists the log of the account, newest first: sign-ins, tokens, grants, payments, refused calls. */
  audit(options: ListOptions & CallOptions = {}): Pages<AuditEntry> {
    return new Pages(cursor => this.#call('listAudit', { ...options, cursor }), options.cursor);
  }
}

/** Tokens that a token makes: with at most its rights and its lifetime. */
export class Tokens {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /**
   * Makes a token. The answer is the only copy of it, so the call takes no `idempotencyKey`, and is repeated only where
   * the server says that nothing has happened. If the answer is lost, revoke the token that `list` shows and make
   * another.
   */
  create(token: NewToken & Omit<WriteOptions, 'idempotencyKey'> = {}): Promise<CreatedToken> {
    return this.#call('createToken', token);
  }

  /** Lists the tokens, without their secrets. */
  list(options: ListOptions & CallOptions = {}): Pages<Token> {
    return new Pages(cursor => this.#call('listTokens', { ...options, cursor }), options.cursor);
  }

  /** Ends a token by its public id, and all that were made with it. Servers know within 5 seconds. */
  revoke(id: string, options?: WriteOptions): Promise<null> {
    return this.#call('revokeToken', { ...options, id });
  }

  /**
   * Replaces a token by its public id. The old one stays valid for `overlapMs`, 0 to 86,400,000, which is the default.
   * The answer is the only copy of the new one, as in `create`.
   */
  rotate(
    id: string,
    options?: { overlapMs?: number | undefined } & Omit<WriteOptions, 'idempotencyKey'>,
  ): Promise<CreatedToken> {
    return this.#call('rotateToken', { ...options, id });
  }
}

/** Grants: rights that other payers have. They call with their own token, and `actFor` this payer. */
export class Grants {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /** Lets another payer call for this one. */
  create(grant: NewGrant & WriteOptions): Promise<Grant> {
    return this.#call('createGrant', grant);
  }

  /** Lists the grants. */
  list(options: ListOptions & CallOptions = {}): Pages<Grant> {
    return new Pages(cursor => this.#call('listGrants', { ...options, cursor }), options.cursor);
  }

  /** Ends a grant: after the answer, no write under it takes effect. */
  revoke(id: string, options?: WriteOptions): Promise<null> {
    return this.#call('revokeGrant', { ...options, id });
  }
}

/** Credit: what payments of this payer have brought. Amounts are texts, in the smallest unit of the asset. */
export class Credits {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /** Returns the balances. */
  get(options?: CallOptions): Promise<Credit> {
    return this.#call('getCredit', { ...options });
  }

  /**
   * Pays in advance, with a client whose `fetch` pays: at least `amount`, in the smallest unit of the asset. The client
   * takes the first offer that it can pay. On a server whose calls are free, it is `not-found`. It is never
   * repeated after a lost answer, because it may have paid: look into `ledger` then.
   */
  async topUp(amount: Integer, options?: WriteOptions): Promise<Credit> {
    checkSafe('amount', amount);
    return this.#call('topUp', { ...options, amount });
  }

  /** Lists what came and went, newest first. */
  ledger(options: ListOptions & CallOptions = {}): Pages<LedgerEntry> {
    return new Pages(cursor => this.#call('listLedger', { ...options, cursor }), options.cursor);
  }
}

/** Payments of this payer. */
export class Payments {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /** Gets a payment and its state. */
  get(id: string, options?: CallOptions): Promise<Payment> {
    return this.#call('getPayment', { ...options, id });
  }

  /** Lists the payments, newest first. */
  list(options: ListOptions & CallOptions = {}): Pages<Payment> {
    return new Pages(cursor => this.#call('listPayments', { ...options, cursor }), options.cursor);
  }
}
