// A real server for the tests, clients for new payers, and a proxy that makes faults.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { operations } from '../src/generated/operations.js';
import { Payerbase, type Fetch, type PayerbaseOptions } from '../src/index.js';

const BIN = process.env['PAYERBASE_BIN'];
if (!BIN) throw new Error('PAYERBASE_BIN must be the path of the program payerbase');

// payerbase refuses settings that it does not know.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PAYERBASE_')));
const dataDir = mkdtempSync(join(tmpdir(), 'payerbase-typescript-'));
// As root, payerbase runs PostgreSQL as another user, who must get into the folder.
chmodSync(dataDir, 0o755);
const server = spawn(BIN, ['dev', '--json', '--port', '0', '--data-dir', dataDir], {
  env,
  stdio: ['ignore', 'pipe', 'pipe'],
});
let log = '';
server.stderr.on('data', chunk => (log += chunk));
server.once('exit', code => {
  if (code) throw new Error(`payerbase ended with ${code}: ${log}`);
});
const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string];
/** URL of the server. */
export const url = (JSON.parse(line) as { url: string }).url;

after(async () => {
  server.kill('SIGTERM');
  await once(server, 'exit');
  rmSync(dataDir, { recursive: true, force: true });
});

let payers = 0;

/** A token of a payer that nobody has used. */
export function newToken(payer = `0x${String((payers += 1)).padStart(40, '0')}`): string {
  const args = ['token', 'create', '--payer', payer, '--data-dir', dataDir];
  return execFileSync(BIN as string, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}

/** The operations that the tests have called. */
export const called = new Set<string>();

const patterns = Object.entries(operations).map(([id, { verb, path }]) => ({
  id,
  verb,
  pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+').replace(/\./g, '\\.')}$`),
}));

/** `fetch`, which notes the operation. */
export const notingFetch: Fetch = (target, init) => {
  const { pathname } = new URL(target);
  const found = patterns.find(({ verb, pattern }) => verb === init.method && pattern.test(pathname));
  if (found) called.add(found.id);
  return fetch(target, init);
};

/** A client of a new payer. */
export function newClient(options: Partial<PayerbaseOptions> = {}): Payerbase {
  return new Payerbase({ token: newToken(), fetch: notingFetch, ...options, url });
}

/** A client whose `fetch` pays each call, as far as the client can see: it has no token, but its `fetch` sends one. */
export function newPayingClient(target: string, options: Partial<PayerbaseOptions> = {}): Payerbase {
  const token = newToken();
  const paying: Fetch = (to, init) => {
    const headers = new Headers(init.headers);
    headers.set('Authorization', `Bearer ${token}`);
    return fetch(to, { ...init, headers });
  };
  return new Payerbase({ ...options, url: target, fetch: paying });
}

/** A problem with status 503, as an answer of the proxy. */
export function unavailable(code: string, headers: Record<string, string> = {}): Fault {
  const problem = { type: `/problems#${code}`, title: 'Title.', status: 503, detail: 'Detail.', instance: 'id', code };
  return {
    status: 503,
    headers: { 'Content-Type': 'application/problem+json', ...headers },
    body: JSON.stringify(problem),
  };
}

/** Waits until a condition holds, and fails after 30 seconds. */
export async function until(condition: () => unknown): Promise<void> {
  for (const end = Date.now() + 30_000; !(await condition());) {
    if (Date.now() > end) throw new Error('the condition did not hold within 30 seconds');
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** What the proxy does with one request instead of passing it on. */
export type Fault =
  | 'pass' // none
  | 'drop' // the request does not arrive
  | 'lose' // the request arrives, and the answer is lost
  | 'hang' // the request arrives, and no answer comes
  | { status: number; headers?: Record<string, string>; body?: string };

/** A proxy in front of the server. `faults` are for the next requests, one each. */
export interface Proxy {
  url: string;
  faults: Fault[];
  /** The requests that came, in order. */
  requests: { method: string; path: string; headers: IncomingMessage['headers']; at: number }[];
  /** While true, each request is dropped. */
  isDown: boolean;
}

/** Starts a proxy. */
export async function newProxy(): Promise<Proxy> {
  const listener = createServer((incoming, outgoing) => {
    const { method = '', url: path = '', headers } = incoming;
    proxy.requests.push({ method, path, headers, at: Date.now() });
    const fault = proxy.isDown ? 'drop' : proxy.faults.shift();
    if (fault === 'drop') return void incoming.socket.destroy();
    if (typeof fault === 'object') return void outgoing.writeHead(fault.status, fault.headers).end(fault.body);
    pass(incoming, outgoing, fault);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const proxy: Proxy = { url: `http://127.0.0.1:${port}`, faults: [], requests: [], isDown: false };
  after(() => {
    listener.closeAllConnections();
    listener.close();
  });
  return proxy;
}

function pass(incoming: IncomingMessage, outgoing: ServerResponse, fault: 'pass' | 'lose' | 'hang' | undefined): void {
  const { method, headers, url: path } = incoming;
  const onward = request(url + path, { method, headers }, answer => {
    if (fault === 'hang') return void answer.resume();
    if (fault === 'lose') return void answer.resume().on('end', () => incoming.socket.destroy());
    outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.pipe(outgoing);
  });
  // A server that is gone, or a caller who has left.
  onward.on('error', () => incoming.socket.destroy());
  outgoing.on('close', () => onward.destroy());
  incoming.pipe(onward);
}
