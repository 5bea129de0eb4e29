import assert from 'node:assert/strict';
import test from 'node:test';
import { Payerbase, type Answer } from '../src/index.js';
import { newClient, newPayingClient, newProxy, newToken, unavailable } from './support.js';

test('a write whose answer is lost happens once', async () => {
  const proxy = await newProxy();
  const { counters } = new Payerbase({ url: proxy.url, token: newToken() });
  const answers: Answer[] = [];
  proxy.faults.push('lose', 'drop', 'lose');
  const counter = await counters.increment('visits', { onAnswer: answer => answers.push(answer) });
  assert.equal(counter.value, 1n);
  assert.deepEqual([answers[0]?.attempts, answers[0]?.isReplay, answers[0]?.status], [4, true, 200]);
  const keys = proxy.requests.map(({ headers }) => headers['idempotency-key']);
  assert.equal(keys.length, 4);
  assert.equal(new Set(keys).size, 1);
  assert.match(keys[0] as string, /^[0-9a-f-]{36}$/);
  assert.equal((await counters.increment('visits')).value, 2n);
});

test('a write is sent again after each error that may pass', async () => {
  const proxy = await newProxy();
  const { counters } = new Payerbase({ url: proxy.url, token: newToken(), retries: 5 });
  const limited = { status: 429, headers: { 'Retry-After': '0' }, body: '' };
  proxy.faults.push(
    unavailable('outcome-unknown'),
    unavailable('overloaded'),
    limited,
    { status: 502 },
    { status: 504 },
  );
  assert.equal((await counters.increment('visits')).value, 1n);
  assert.equal(proxy.requests.length, 6);
});

test('reads are sent again, too', async () => {
  const proxy = await newProxy();
  const { sql, account } = new Payerbase({ url: proxy.url, token: newToken() });
  proxy.faults.push('drop', unavailable('overloaded'));
  assert.deepEqual((await sql.query('select 1')).rows, [[1]]);
  proxy.faults.push('lose');
  await account.me();
  assert.equal(proxy.requests.length, 5);
});

test('errors that do not pass are not repeated', async () => {
  const proxy = await newProxy();
  const { counters, queues } = new Payerbase({ url: proxy.url, token: newToken() });
  await assert.rejects(counters.get('none'), { code: 'not-found', attempts: 1 });
  proxy.faults.push({ status: 408 }, { status: 500 });
  await assert.rejects(queues.push('mail', 1), { status: 408, attempts: 1 });
  await assert.rejects(queues.push('mail', 1), { status: 500, attempts: 1 });
  assert.equal(proxy.requests.length, 3);
});

test('attempts end after `retries`', async () => {
  const proxy = await newProxy();
  const { counters } = new Payerbase({ url: proxy.url, token: newToken(), retries: 2 });
  proxy.faults.push(unavailable('overloaded'), unavailable('overloaded'), unavailable('overloaded'));
  await assert.rejects(counters.increment('a'), { code: 'overloaded', attempts: 3 });
});

test('Retry-After is waited for, but not for long', async () => {
  const proxy = await newProxy();
  const { counters } = new Payerbase({ url: proxy.url, token: newToken() });
  proxy.faults.push(unavailable('overloaded', { 'Retry-After': '1' }));
  const startedAt = Date.now();
  await counters.increment('a');
  assert.ok(Date.now() - startedAt >= 990);
  proxy.faults.push(unavailable('overloaded', { 'Retry-After': '3600' }));
  await assert.rejects(counters.increment('a'), { code: 'overloaded', attempts: 1, retryAfterMs: 3_600_000 });
});

test('a call that shows a secret once is repeated only if nothing has happened', async () => {
  const proxy = await newProxy();
  const { tokens } = new Payerbase({ url: proxy.url, token: newToken() });
  proxy.faults.push(unavailable('overloaded'));
  await tokens.create();
  assert.equal(proxy.requests.length, 2);
  assert.equal(proxy.requests[0]?.headers['idempotency-key'], undefined);
  for (const fault of ['lose', unavailable('outcome-unknown'), { status: 503 }] as const) {
    proxy.faults.push(fault);
    await assert.rejects(tokens.create(), { attempts: 1 });
  }
});

test('a write without a key is repeated only if nothing has happened', async () => {
  const proxy = await newProxy();
  const { counters } = new Payerbase({ url: proxy.url, token: newToken() });
  proxy.faults.push(unavailable('overloaded'));
  await counters.increment('a', { idempotencyKey: null });
  assert.equal(proxy.requests[1]?.headers['idempotency-key'], undefined);
  proxy.faults.push('lose');
  await assert.rejects(counters.increment('a', { idempotencyKey: null }), { attempts: 1 });
});

test('the same key gets the first answer again, and another call is refused', async () => {
  const { counters } = newClient();
  const options = { idempotencyKey: 'order-4711' };
  let isReplay = false;
  const first = await counters.increment('orders', options);
  const second = await counters.increment('orders', { ...options, onAnswer: answer => (isReplay = answer.isReplay) });
  assert.deepEqual([second, isReplay], [first, true]);
  await assert.rejects(counters.increment('others', options), { code: 'idempotency-mismatch' });
});

test('a guard lets a write run only while the lock is held', async () => {
  const { counters, locks } = newClient();
  const lock = await locks.acquire('nightly report / é', { ttlMs: 60_000 });
  assert.equal((await counters.increment('a', { guard: lock })).value, 1n);
  await locks.release(lock);
  await assert.rejects(counters.increment('a', { guard: lock }), { code: 'stale-fence' });
});

test('a call ends at once when it is aborted', async () => {
  const proxy = await newProxy();
  const { counters, queues } = new Payerbase({ url: proxy.url, token: newToken() });
  const reason = new Error('enough');
  await assert.rejects(counters.increment('a', { signal: AbortSignal.abort(reason) }), reason);
  const inFlight = new AbortController();
  const pop = queues.pop('mail', { waitMs: 30_000, signal: inFlight.signal });
  setTimeout(() => inFlight.abort(reason), 50);
  await assert.rejects(pop, reason);
  const inBackoff = new AbortController();
  proxy.faults.push(unavailable('overloaded', { 'Retry-After': '30' }));
  const startedAt = Date.now();
  const waiting = counters.increment('a', { signal: inBackoff.signal });
  setTimeout(() => inBackoff.abort(reason), 200);
  await assert.rejects(waiting, reason);
  assert.ok(Date.now() - startedAt < 20_000);
});

test('a top-up is not repeated after a lost answer', async () => {
  const proxy = await newProxy();
  const { credit } = new Payerbase({ url: proxy.url, token: newToken() });
  for (const fault of ['lose', unavailable('outcome-unknown'), { status: 503 }] as const) {
    proxy.faults.push(fault);
    await assert.rejects(credit.topUp(1), { attempts: 1 });
  }
  proxy.faults.push(unavailable('overloaded'));
  await assert.rejects(credit.topUp(1), { code: 'not-found', attempts: 2 });
  await assert.rejects(credit.topUp(2 ** 60), RangeError);
});

test('a client whose `fetch` pays repeats no call after a lost answer', async () => {
  const proxy = await newProxy();
  const paying = newPayingClient(proxy.url);
  for (const fault of ['lose', { status: 502 }, unavailable('outcome-unknown')] as const) {
    proxy.faults.push(fault, fault);
    await assert.rejects(paying.counters.increment('a'), { attempts: 1 });
    await assert.rejects(paying.counters.list().all(), { attempts: 1 });
  }
  proxy.faults.push('lose');
  await assert.rejects(paying.counters.increment('a'), /the call may have been paid/);
  proxy.faults.push(unavailable('overloaded'));
  assert.equal((await paying.counters.increment('b')).value, 1n);
});

test('a call that was paid and not run is not repeated', async () => {
  const proxy = await newProxy();
  const { counters } = newPayingClient(proxy.url);
  const response = (success: boolean): Record<string, string> => ({
    'PAYMENT-RESPONSE': btoa(JSON.stringify({ success, transaction: '0x1', network: 'eip155:8453' })),
  });
  proxy.faults.push(unavailable('overloaded', response(true)));
  await assert.rejects(counters.increment('a'), { code: 'overloaded', attempts: 1 });
  proxy.faults.push(unavailable('facilitator-unavailable', response(false)));
  assert.equal((await counters.increment('a')).value, 1n);
});

test('a client whose `fetch` pays has more time', async () => {
  const timers: unknown[] = [];
  const { setTimeout: original } = globalThis;
  globalThis.setTimeout = ((run: () => void, ms: number) => (timers.push(ms), original(run, ms))) as typeof setTimeout;
  try {
    const answering = async (): Promise<Response> => Response.json({});
    await new Payerbase({ url: 'http://127.0.0.1:1', fetch: answering }).account.me();
    await new Payerbase({ url: 'http://127.0.0.1:1', fetch: answering, token: 'pb_live_x' }).account.me();
    await new Payerbase({ url: 'http://127.0.0.1:1', fetch: answering, token: 'pb_live_x', timeout: 2 ** 40 }).account.me();
  } finally {
    globalThis.setTimeout = original;
  }
  assert.deepEqual(timers, [90_000, 30_000, 2 ** 31 - 1]);
});

test('a header that cannot be sent is a mistake of the caller', async () => {
  const proxy = await newProxy();
  const token = newToken();
  const { counters } = new Payerbase({ url: proxy.url, token });
  await assert.rejects(counters.increment('a', { idempotencyKey: 'order-€' }), TypeError);
  await assert.rejects(counters.increment('a', { idempotencyKey: 'order\n4711' }), TypeError);
  assert.throws(() => new Payerbase({ url: proxy.url, token, headers: { 'a b': 'c' } }), TypeError);
  assert.equal(proxy.requests.length, 0);
});
