import assert from 'node:assert/strict';
import test from 'node:test';
import { Payerbase, PayerbaseError } from '../src/index.js';
import { newClient, newProxy, newToken } from './support.js';

test('calls of a transaction use results of earlier ones', async () => {
  const pb = newClient();
  await pb.counters.increment('credits', { amount: 12 });
  const { spent, job, left } = await pb.transact(t => {
    const spent = t.counters.decrement('credits', { amount: 5, min: 0, onBound: 'reject' });
    const job = t.queues.push('mail', { paid: spent.applied, lines: [{ left: spent.value }] });
    return { spent, job, left: [spent.value] };
  });
  assert.deepEqual([spent.value, spent.applied, left], [7n, 5n, [7n]]);
  assert.deepEqual(job.payload, { paid: 5, lines: [{ left: 7 }] });
});

test('a transaction that fails changes nothing, and names the call', async () => {
  const pb = newClient();
  const failed = pb.transact(t => {
    t.queues.push('mail', 1);
    t.counters.decrement('credits', { min: 0, onBound: 'reject' });
  });
  await assert.rejects(failed, error => {
    assert.ok(error instanceof PayerbaseError);
    assert.deepEqual(
      [error.code, error.problem.index, error.problem.method],
      ['counter-out-of-bounds', 1, 'decrement'],
    );
    return true;
  });
  assert.equal((await pb.queues.status('mail')).total, 0);
});

test('payloads that look like references stay as they are', async () => {
  const pb = newClient();
  const payload = { $ref: '0.value', a: [{ $ref: 'b' }, { $literal: { $ref: 1 } }], at: new Date(0) };
  const job = await pb.transact(t => t.queues.push('mail', payload));
  assert.deepEqual(job.payload, { ...payload, at: '1970-01-01T00:00:00.000Z' });
});

test('64-bit integers are exact in a transaction', async () => {
  const pb = newClient();
  const big = 2n ** 63n - 1n;
  const [counter, lock] = await pb.transact(t => [
    t.counters.reset('big', { value: big }),
    t.locks.acquire('nightly', { ttlMs: 60_000 }),
  ]);
  assert.deepEqual([counter?.value, typeof lock?.fence], [big, 'bigint']);
});

test('a transaction is sent again with one key', async () => {
  const proxy = await newProxy();
  const pb = new Payerbase({ url: proxy.url, token: newToken() });
  proxy.faults.push('lose');
  assert.equal(await pb.transact(async t => t.counters.increment('visits').value), 1n);
  assert.equal((await pb.counters.get('visits')).value, 1n);
});

test('guards hold for one call or for all', async () => {
  const pb = newClient();
  const lock = await pb.locks.acquire('gpu', { ttlMs: 60_000 });
  await pb.transact(t => t.counters.increment('a', { guard: lock }), { guard: lock });
  await pb.locks.release(lock);
  await assert.rejects(
    pb.transact(t => t.counters.increment('a', { guard: lock })),
    { code: 'stale-fence' },
  );
  await assert.rejects(
    pb.transact(t => t.counters.increment('a'), { guard: lock }),
    { code: 'stale-fence' },
  );
});

test('every call that a transaction may have can be made in one', async () => {
  const pb = newClient();
  const pushed = await pb.queues.pushMany(
    'old',
    [1, 2].map(payload => ({ payload })),
  );
  const { slug } = await pb.links.create('https://shop.example/old');
  const lease = await pb.locks.acquire('held', { ttlMs: 60_000 });
  await pb.counters.increment('old');
  await pb.memories.store('old', { content: 'old' });
  const { rows, id } = await pb.transact(t => {
    t.sql.migrate([{ id: '1', sql: 'create table orders (id integer primary key, wei integer)' }]);
    const order = t.sql.execute('insert into orders (wei) values (?) returning id, wei', [2n ** 60n]);
    t.sql.batch([{ sql: 'select 1' }]);
    t.sql.query('select 1');
    t.sql.schema();
    t.counters.get(t.counters.reset('new', { value: 3 }).name);
    t.counters.delete('old');
    const link = t.links.create('https://shop.example/new', { title: t.counters.increment('new').name });
    t.links.get(slug);
    t.links.update(slug, { title: link.slug });
    t.links.recordClick(slug);
    t.links.delete(slug);
    t.locks.extend(lease, 60_000);
    t.locks.get('held');
    t.locks.release(lease);
    t.locks.acquire('free', { ttlMs: 1_000, metadata: { order: order.rows[0]?.[0] } });
    const job = t.queues.pop('old');
    t.queues.extend({ id: job.id, lease: job.lease }, 60_000);
    t.queues.complete(job, { result: { order: order.lastInsertRowid } });
    const [, second] = pushed.jobs;
    t.queues.cancel(second?.id ?? '');
    t.queues.getJob(job.id);
    t.queues.pushMany('new', [{ payload: 1 }]);
    const { jobs } = t.queues.popMany('new', { count: 2 });
    t.queues.fail(jobs[0] ?? '', { error: 'no', retry: false });
    t.queues.retryDead('new');
    t.queues.purge('new');
    t.memories.get(t.memories.store('m', { content: 'new', metadata: { order: order.rows[0]?.[0] } }).id);
    t.memories.update('m', { tags: ['new'] });
    t.memories.storeMany([{ content: 'more' }]);
    t.memories.delete('old');
    const grant = t.grants.create({ grantee: `0x${'9'.repeat(40)}`, scopes: ['counters:read'] });
    t.credit.get();
    return { rows: order.rows, id: grant.id };
  });
  assert.deepEqual(rows, [[1, 2n ** 60n]]);
  await pb.transact(t => {
    t.grants.revoke(id);
  });
});

test('a transaction that shows a secret has no key', async () => {
  const proxy = await newProxy();
  const pb = new Payerbase({ url: proxy.url, token: newToken() });
  const { token, id } = await pb.transact(t => t.tokens.create({ scopes: ['counters:read'] }));
  assert.match(token, /^pb_/);
  assert.equal(proxy.requests[0]?.headers['idempotency-key'], undefined);
  proxy.faults.push('lose');
  await assert.rejects(
    pb.transact(t => t.tokens.rotate(id)),
    { attempts: 1 },
  );
  assert.equal(await pb.transact(t => t.tokens.revoke(id)), null);
  await assert.rejects(
    pb.transact(t => t.payments.get('0192f0c1-0000-7000-8000-000000000000')),
    { code: 'not-found' },
  );
});

test('a reference in SQL is refused before it is sent', async () => {
  const pb = newClient();
  const wrong = pb.transact(t => t.sql.execute('select ?', [t.counters.increment('a').value]));
  await assert.rejects(wrong, /SQL runs before the other calls/);
});

test('a call after the end is refused', async () => {
  const pb = newClient();
  const t = await new Promise<Parameters<Parameters<typeof pb.transact>[0]>[0]>(resolve => {
    void pb.transact(transaction => {
      transaction.counters.increment('a');
      resolve(transaction);
    });
  });
  assert.throws(() => t.counters.increment('a'), /was sent before this call/);
});

test('a payload looks like a reference by the members that JSON has', async () => {
  const pb = newClient();
  const gone = { toJSON: () => undefined };
  const payload = { $ref: '0.value', note: undefined, run: () => 0, mark: Symbol('mark'), gone };
  const [counter, job] = await pb.transact(t => [t.counters.increment('a'), t.queues.push('mail', payload)]);
  assert.equal(counter?.value, 1n);
  assert.deepEqual(job?.payload as unknown, { $ref: '0.value' });
});

test('a reference is refused where it cannot be', async () => {
  const pb = newClient();
  const wrong = /used where it cannot be/;
  const nested = pb.transact(t => t.sql.execute('select ?', [{ left: t.counters.increment('a').value }]));
  await assert.rejects(nested, wrong);
  let kept: unknown;
  await pb.transact(t => void (kept = t.counters.increment('a')));
  await assert.rejects(pb.queues.push('mail', { kept }), wrong);
  assert.throws(() => Object.keys(kept as object), wrong);
  await assert.rejects(
    pb.transact(t => t.queues.push('mail', { kept })),
    wrong,
  );
  assert.equal((await pb.queues.status('mail')).total, 0);
});
