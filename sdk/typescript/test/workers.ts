import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import test from 'node:test';
import { Payerbase, PayerbaseConnectionError, type JobInHand } from '../src/index.js';
import { newClient, newPayingClient, newProxy, newToken, unavailable, until } from './support.js';

test('a worker runs handlers at once, and completes or fails their jobs', async () => {
  const { queues } = newClient();
  await queues.pushMany(
    'mail',
    [0, 1, 2, 3, 4].map(number => ({ payload: { number }, maxAttempts: 1 })),
  );
  const stop = new AbortController();
  const errors: unknown[] = [];
  let running = 0;
  let most = 0;
  const worked = queues.work<{ number: number }>(
    'mail',
    async job => {
      most = Math.max(most, (running += 1));
      // The first three are not done before all of them have begun.
      await until(() => most === 3);
      running -= 1;
      if (job.payload.number === 4) throw new Error('no route');
      return { sent: job.payload.number };
    },
    { concurrency: 3, waitMs: 500, signal: stop.signal, onError: error => errors.push(error) },
  );
  await until(async () => (await queues.status('mail')).completed === 4);
  await until(async () => (await queues.status('mail')).dead === 1);
  stop.abort();
  await worked;
  assert.equal(most, 3);
  assert.deepEqual(errors.map(String), ['Error: no route']);
  const [dead] = await queues.listJobs('mail', { status: 'dead' }).all();
  assert.equal(dead?.error, 'Error: no route');
  const done = await queues.listJobs('mail', { status: 'completed' }).all();
  assert.deepEqual(done.map(job => (job.result as { sent: number }).sent).sort(), [0, 1, 2, 3]);
});

test('a lease is extended while the handler works', async () => {
  const { queues } = newClient();
  await queues.push('slow', 1, { maxAttempts: 1 });
  const stop = new AbortController();
  await queues.work(
    'slow',
    async job => {
      await until(async () => (await queues.getJob(job.id)).leaseExpiresAt !== job.leaseExpiresAt);
      assert.equal(job.signal.aborted, false);
      stop.abort();
    },
    { leaseMs: 3_000, signal: stop.signal },
  );
  assert.equal((await queues.status('slow')).completed, 1);
});

test('a loop has one job after the other, and ends when it is stopped', async () => {
  const { queues } = newClient();
  const stop = new AbortController();
  await queues.pushMany('mail', [{ payload: 'a' }, { payload: 'b' }]);
  const seen: string[] = [];
  for await (const job of queues.work<string>('mail', { signal: stop.signal })) {
    seen.push(job.payload);
    if (job.payload === 'a') await job.complete();
    else await job.fail('broken', { retry: false });
    assert.equal(job.isFinished, true);
    if (seen.length === 2) stop.abort();
  }
  assert.deepEqual(seen, ['a', 'b']);
  const { completed, dead } = await queues.status('mail');
  assert.deepEqual([completed, dead], [1, 1]);
});

test('a loop waits when `concurrency` jobs are unfinished', async () => {
  const { queues } = newClient();
  await queues.pushMany(
    'mail',
    [1, 2, 3].map(payload => ({ payload })),
  );
  const stop = new AbortController();
  const inHand: JobInHand[] = [];
  const loop = (async () => {
    for await (const job of queues.work('mail', { concurrency: 2, signal: stop.signal })) inHand.push(job);
  })();
  await until(() => inHand.length === 2);
  await new Promise(resolve => setTimeout(resolve, 300));
  assert.equal((await queues.status('mail')).pending, 1);
  await inHand[0]?.complete();
  await until(() => inHand.length === 3);
  stop.abort();
  await loop;
  // Jobs in hand may finish after the stop.
  await inHand[1]?.complete();
  await inHand[2]?.complete();
  assert.equal((await queues.status('mail')).completed, 3);
});

test('a loop that is left extends no lease', async () => {
  const { queues } = newClient();
  await queues.push('mail', 1);
  for await (const job of queues.work('mail', { leaseMs: 1_000 })) {
    assert.equal(job.attempts, 1);
    break;
  }
  const again = await queues.pop('mail', { waitMs: 30_000 });
  assert.equal(again?.attempts, 2);
});

test('a stop does not cut the call for jobs, whose jobs are worked on', async () => {
  const { queues } = newClient();
  for (const isLoop of [false, true]) {
    const stop = new AbortController();
    const options = { waitMs: 10_000, signal: stop.signal };
    const worked = isLoop
      ? (async () => {
          for await (const job of queues.work('mail', options)) await job.complete();
        })()
      : queues.work('mail', () => 'done', options);
    await new Promise(resolve => setTimeout(resolve, 300));
    stop.abort();
    await new Promise(resolve => setTimeout(resolve, 1_500));
    await queues.push('mail', 1, { maxAttempts: 1 });
    await worked;
  }
  const { completed, total } = await queues.status('mail');
  assert.deepEqual([completed, total], [2, 2]);
});

test('a stop ends the work after `waitMs`, and no job that comes later is popped', async () => {
  const { queues } = newClient();
  const stop = new AbortController();
  const worked = queues.work('mail', () => assert.fail('there is no job'), { waitMs: 1_000, signal: stop.signal });
  await new Promise(resolve => setTimeout(resolve, 200));
  const stoppedAt = Date.now();
  stop.abort();
  await worked;
  assert.ok(Date.now() - stoppedAt < 10_000);
  await queues.push('mail', 1, { maxAttempts: 1 });
  await new Promise(resolve => setTimeout(resolve, 300));
  assert.equal((await queues.status('mail')).pending, 1);
});

for (const fault of ['hang', 'lose'] as const) {
  test(`jobs whose answer comes to ${fault} after the stop are run`, async () => {
    const proxy = await newProxy();
    const { queues } = new Payerbase({ url: proxy.url, token: newToken(), retries: 0 });
    const stop = new AbortController();
    proxy.faults.push(fault);
    const seen: unknown[] = [];
    const options = { waitMs: 2_000, signal: stop.signal };
    const worked = queues.work('mail', job => seen.push(job.payload), options);
    await until(() => proxy.requests.length === 1);
    stop.abort();
    await queues.push('mail', 'at the last moment', { maxAttempts: 1 });
    await worked;
    assert.deepEqual(seen, ['at the last moment']);
    assert.equal((await queues.status('mail')).completed, 1);
  });
}

test('a worker that pays each call ends after a lost answer', async () => {
  const proxy = await newProxy();
  const { queues } = newPayingClient(proxy.url);
  const pops = (): number => proxy.requests.filter(({ path }) => path.endsWith('/pop/batch')).length;
  await queues.push('mail', 1);
  for (const fault of ['lose', { status: 502 }, unavailable('outcome-unknown')] as const) {
    const before = pops();
    proxy.faults.push(fault);
    const options = { waitMs: 0, signal: AbortSignal.timeout(10_000) };
    const worked = queues.work('mail', () => assert.fail('no job was got'), options);
    await assert.rejects(worked, fault === 'lose' ? /the call may have been paid/ : { attempts: 1 });
    assert.equal(pops(), before + 1);
  }
  // The server says that nothing was done.
  const stop = new AbortController();
  await queues.push('mail', 2);
  proxy.faults.push(unavailable('overloaded'));
  await queues.work('mail', () => stop.abort(), { waitMs: 0, signal: stop.signal });
  assert.equal((await queues.status('mail')).completed, 1);
});

test('a worker that pays each call waits for a server that cannot be reached', async () => {
  const stop = new AbortController();
  const told: unknown[] = [];
  const onError = (error: unknown): void => {
    if (told.push(error) === 2) stop.abort();
  };
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  const { queues } = new Payerbase({ url: `http://127.0.0.1:${port}`, fetch: (url, init) => fetch(url, init), retries: 1 });
  await queues.work('mail', () => assert.fail('no job was got'), { waitMs: 0, signal: stop.signal, onError });
  assert.equal(told.length, 2);
  for (const error of told) {
    assert.ok(error instanceof PayerbaseConnectionError && error.attempts === 2);
    assert.doesNotMatch(error.message, /paid/);
  }
});

test('a worker that pays each call ends when the answer to a completion is lost', async () => {
  const proxy = await newProxy();
  const { queues } = newPayingClient(proxy.url);
  await queues.pushMany('mail', [{ payload: 1 }, { payload: 2 }]);
  const told: unknown[] = [];
  const handler = (): void => void proxy.faults.push('lose');
  const options = { waitMs: 0, signal: AbortSignal.timeout(10_000) };
  const worked = queues.work('mail', handler, { ...options, onError: error => told.push(error) });
  await assert.rejects(worked, /the call may have been paid/);
  assert.equal(told.length, 1);
  const { completed, pending } = await queues.status('mail');
  assert.deepEqual([completed, pending], [1, 1]);
  const paths = proxy.requests.map(({ path }) => path.split('/').pop());
  assert.deepEqual(paths, ['batch', 'batch', 'complete', 'mail']);
});

test('a paid extension is not repeated before the next one is due', async () => {
  const proxy = await newProxy();
  const { queues } = newPayingClient(proxy.url);
  await queues.push('slow', 1);
  const stop = new AbortController();
  const extensions = (): number[] =>
    proxy.requests.filter(({ path }) => path.endsWith('/extend')).map(({ at }) => at);
  const handler = async (): Promise<void> => {
    proxy.faults.push('lose');
    await until(() => extensions().length === 2);
    stop.abort();
  };
  await queues.work('slow', handler, { leaseMs: 6_000, waitMs: 0, signal: stop.signal });
  const [first, second] = extensions() as [number, number];
  assert.ok(second - first >= 1_900, `${second - first} ms`);
  assert.equal((await queues.status('slow')).completed, 1);
});

test('a worker goes on when the server is back', async () => {
  const proxy = await newProxy();
  const { queues } = new Payerbase({ url: proxy.url, token: newToken(), retries: 0 });
  await queues.push('mail', 1);
  proxy.isDown = true;
  const stop = new AbortController();
  const worked = queues.work('mail', () => stop.abort(), { signal: stop.signal });
  await until(() => proxy.requests.length >= 4);
  proxy.isDown = false;
  await worked;
  assert.equal((await queues.status('mail')).completed, 1);
});

test('a worker ends with an error that does not pass', async () => {
  const pb = newClient();
  const { token } = await pb.tokens.create({ scopes: ['counters:read'] });
  const { queues } = new Payerbase({ url: new URL(pb.links.qrUrl('x')).origin, token });
  await assert.rejects(
    queues.work('mail', () => 0),
    { code: 'missing-scope' },
  );
});

test('a job that another worker has got is lost', async () => {
  const { queues } = newClient();
  await queues.push('mail', 1);
  const stop = new AbortController();
  const errors: unknown[] = [];
  await queues.work(
    'mail',
    async job => {
      await queues.fail(job.id, { retryInMs: 60_000 });
      await until(() => job.signal.aborted);
      stop.abort();
    },
    { leaseMs: 3_000, signal: stop.signal, onError: error => errors.push(error) },
  );
  assert.deepEqual(
    errors.map(error => (error as { code: string }).code),
    ['lease-lost'],
  );
});

test('a job is completed together with its effects', async () => {
  const pb = newClient();
  await pb.queues.push('mail', 1);
  const stop = new AbortController();
  await pb.queues.work(
    'mail',
    async job => {
      const sent = await pb.transact(t => {
        const counter = t.counters.increment('sent');
        job.completeIn(t, { number: counter.value });
        return counter.value;
      });
      assert.deepEqual([sent, job.isFinished], [1n, true]);
      stop.abort();
    },
    { signal: stop.signal, onError: error => assert.fail(String(error)) },
  );
  const [job] = await pb.queues.listJobs('mail').all();
  assert.deepEqual([job?.status, job?.result], ['completed', { number: 1 }]);
});

test('an `onError` that throws harms neither the worker nor its jobs', async () => {
  const { queues } = newClient();
  for (const onError of [() => assert.fail('thrown'), () => Promise.reject(new Error('rejected'))]) {
    const stop = new AbortController();
    await queues.push('mail', 1, { maxAttempts: 1 });
    const handler = (): never => {
      stop.abort();
      throw new Error('no route');
    };
    await queues.work('mail', handler, { signal: stop.signal, onError });
  }
  assert.equal((await queues.status('mail')).dead, 2);
});

test('failed calls for jobs are told', async () => {
  const proxy = await newProxy();
  const { queues } = new Payerbase({ url: proxy.url, token: newToken(), retries: 0 });
  const told: unknown[] = [];
  const stop = new AbortController();
  proxy.faults.push('drop');
  const onError = (error: unknown, job: unknown): void => {
    told.push((error as Error).name, job);
    stop.abort();
  };
  await queues.work('mail', () => 0, { signal: stop.signal, onError });
  assert.deepEqual(told, ['PayerbaseConnectionError', undefined]);
});

test('a result that cannot be sent fails the job', async () => {
  const { queues } = newClient();
  const circular: { self?: unknown } = {};
  circular.self = circular;
  for (const result of [circular, 'x'.repeat(300 * 1_024), 'x'.repeat(2 ** 21)]) {
    await queues.push('mail', 1, { maxAttempts: 1 });
    const stop = new AbortController();
    const handler = (): unknown => (stop.abort(), result);
    await queues.work('mail', handler, { signal: stop.signal });
  }
  assert.equal((await queues.status('mail')).dead, 3);
});

test('a wrong concurrency is refused', async () => {
  const { queues } = newClient();
  for (const concurrency of [0, 101, 1.5, NaN]) {
    await assert.rejects(
      queues.work('mail', () => 0, { concurrency }),
      RangeError,
    );
    await assert.rejects(async () => {
      for await (const job of queues.work('mail', { concurrency })) assert.fail(job.id);
    }, RangeError);
  }
});
