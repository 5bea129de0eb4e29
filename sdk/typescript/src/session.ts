import { isPassing } from './errors.js';
import type { Credentials } from './http.js';
import type { SignInOptions, Wallet } from './options.js';
import type { Auth } from './server.js';
import { checkMessage } from './sign-in-message.js';
import { now, untilAborted } from './waiting.js';

const DAY_MS = 86_400_000;
/** Part of its lifetime after which a token is replaced. */
const RENEWED_AFTER = 0.9;
const SIGN_INS_MAX = 3;

interface Session {
  token: string;
  renewAt: number;
}

/** The token of a wallet, which signs in when it is needed. */
export class WalletCredentials implements Credentials {
  readonly #wallet: Wallet;
  readonly #options: SignInOptions;
  readonly #base: string;
  readonly #auth: () => Auth;
  /** The session, or the sign-in that is under way: calls share it. */
  #session: Promise<Session> | undefined;
  #current: Session | undefined;

  /** `base` is the URL of the server. */
  constructor(wallet: Wallet, options: SignInOptions, base: string, auth: () => Auth) {
    this.#wallet = wallet;
    this.#options = options;
    this.#base = base;
    this.#auth = auth;
  }

  async token(signal: AbortSignal | undefined): Promise<string> {
    if (this.#current && now() >= this.#current.renewAt) this.refused(this.#current.token);
    this.#session ??= this.#signIn();
    return (await untilAborted(this.#session, signal)).token;
  }

  refused(token: string | undefined): boolean {
    // Another call may have signed in since.
    if (this.#current?.token === token) this.#session = this.#current = undefined;
    return true;
  }

  async #signIn(): Promise<Session> {
    const { chain = 'eip155:8453', scopes, lifetimeMs = DAY_MS, domain } = this.#options;
    const { address } = this.#wallet;
    try {
      for (let attempts = 1; ; attempts += 1) {
        const startedAt = now();
        const { message, nonce } = await this.#auth().challenge({ address, chain, scopes, lifetimeMs });
        checkMessage(message, { address, chain, nonce, domain, base: this.#base });
        const signature = await this.#wallet.signMessage({ message });
        try {
          const { token } = await this.#auth().verify({ nonce, signature });
          return (this.#current = { token, renewAt: startedAt + lifetimeMs * RENEWED_AFTER });
        } catch (error) {
          // A challenge works once: if the answer is lost, only a new one helps.
          if (attempts >= SIGN_INS_MAX || !isPassing(error)) throw error;
        }
      }
    } catch (error) {
      this.#session = undefined;
      throw error;
    }
  }
}
