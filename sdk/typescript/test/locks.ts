import assert from 'node:assert/strict';
import test from 'node:test';
import { Payerbase } from '../src/index.js';
import { newClient, newPayingClient, newProxy, newToken, notingFetch, until } from './support.js';

test('a lock is acquired, extended, seen and released', async () => {
  const { locks } = newClient();
  const lease = await locks.acquire('a/b é', { ttlMs: 60_000, metadata: { host: 'one' } });
  assert.equal(typeof lease.fence, 'bigint');
  await assert.rejects(locks.acquire('a/b é', { ttlMs: 1_000 }), { code: 'lock-held' });
  assert.equal((await locks.extend(lease, 90_000)).fence, lease.fence);
  const lock = await locks.get('a/b é');
  assert.deepEqual([lock.locked, lock.fence, lock.metadata], [true, lease.fence, { host: 'one' }]);
  assert.deepEqual(
    (await locks.list().all()).map(({ fence }) => fence),
    [lease.fence],
  );
  assert.equal(await locks.release(lease), null);
  assert.equal((await locks.get('a/b é')).fence, null);
});

test('`with` holds the lock beyond its lease, and releases it', async () => {
  const { counters, locks } = newClient();
  const result = await locks.with('nightly', { ttlMs: 3_000 }, async lock => {
    const { expiresAt } = await locks.get('nightly');
    await until(async () => (await locks.get('nightly')).expiresAt !== expiresAt);
    assert.equal(lock.signal.aborted, false);
    await counters.increment('runs', { guard: lock });
    return lock.fence;
  });
  assert.equal(typeof result, 'bigint');
  assert.equal((await locks.get('nightly')).locked, false);
});

test('`with` releases the lock after an error', async () => {
  const { locks } = newClient();
  const error = new Error('broken');
  await assert.rejects(
    locks.with('nightly', () => Promise.reject(error)),
    error,
  );
  assert.equal((await locks.get('nightly')).locked, false);
});

test('`with` waits for the lock, or fails with `lock-held`', async () => {
  const { locks } = newClient();
  const lease = await locks.acquire('gpu', { ttlMs: 60_000 });
  await assert.rejects(
    locks.with('gpu', { ttlMs: 1_000, waitMs: 100 }, () => 0),
    { code: 'lock-held' },
  );
  const waiting = locks.with('gpu', { ttlMs: 5_000, waitMs: 60_000 }, lock => lock.fence);
  await locks.release(lease);
  assert.ok((await waiting) > lease.fence);
});

test('a lease that another holder takes away is lost', async () => {
  const { locks } = newClient();
  const held = locks.with('nightly', { ttlMs: 3_000 }, async lock => {
    await locks.release(lock);
    await locks.acquire('nightly', { ttlMs: 60_000 });
    await until(() => lock.signal.aborted);
    assert.equal(lock.signal.reason.code, 'lock-wrong-token');
  });
  await assert.rejects(held, { code: 'lock-wrong-token' });
  assert.equal((await locks.get('nightly')).locked, true);
});

test('a lease that cannot be extended is lost at its end', async () => {
  const proxy = await newProxy();
  const { locks } = new Payerbase({ url: proxy.url, token: newToken() });
  const held = locks.with('nightly', { ttlMs: 2_000 }, async lock => {
    proxy.isDown = true;
    await until(() => lock.signal.aborted);
    proxy.isDown = false;
    return 'late';
  });
  await assert.rejects(held);
});

test('`with` ends its wait when it is aborted, and tells the work', async () => {
  const { locks } = newClient();
  const reason = new Error('enough');
  const lease = await locks.acquire('gpu', { ttlMs: 60_000 });
  const waiting = locks.with('gpu', { ttlMs: 1_000, waitMs: 60_000, signal: AbortSignal.timeout(100) }, () => 0);
  await assert.rejects(waiting, { name: 'TimeoutError' });
  await locks.release(lease);
  const stop = new AbortController();
  await locks.with('gpu', { ttlMs: 60_000, waitMs: 60_000, signal: stop.signal }, lock => {
    stop.abort(reason);
    assert.equal(lock.signal.reason, reason);
  });
});

test('a lock that is acquired late and cannot be extended is released', async () => {
  const { locks } = newClient({
    retries: 0,
    fetch: async (target, init) => {
      if (target.endsWith('/extend')) return Response.json({ status: 500, code: 'internal' }, { status: 500 });
      const response = await notingFetch(target, init);
      if (target.endsWith('/acquire')) await new Promise(resolve => setTimeout(resolve, 5_100));
      return response;
    },
  });
  const startedAt = Date.now();
  await assert.rejects(
    locks.with('late', { ttlMs: 15_000 }, () => 0),
    { code: 'internal' },
  );
  await until(async () => !(await locks.get('late')).locked);
  // Before the end of its lease.
  assert.ok(Date.now() - startedAt < 14_000);
});

test('a lock whose outcome is unknown is released', async () => {
  const { locks } = newClient({
    retries: 0,
    fetch: async (target, init) => {
      const response = await notingFetch(target, init);
      if (!target.endsWith('/acquire')) return response;
      return Response.json({ status: 503, code: 'outcome-unknown' }, { status: 503 });
    },
  });
  await assert.rejects(
    locks.with('unknown', { ttlMs: 86_400_000 }, () => 0),
    { code: 'outcome-unknown' },
  );
  await until(async () => !(await locks.get('unknown')).locked);
});

test('a client that pays each call pays for no release after a lost answer', async () => {
  const proxy = await newProxy();
  const { locks } = newPayingClient(proxy.url);
  proxy.faults.push('lose');
  await assert.rejects(
    locks.with('a', () => assert.fail('the lock was not got')),
    /the call may have been paid/,
  );
  await new Promise(resolve => setTimeout(resolve, 300));
  assert.equal(proxy.requests.length, 1);
});

test('`with` rejects if another holder has the lock at its end', async () => {
  const { locks } = newClient();
  const held = locks.with('nightly', async lock => {
    await locks.release(lock);
    await locks.acquire('nightly', { ttlMs: 60_000 });
  });
  await assert.rejects(held, { code: 'lock-wrong-token' });
  const error = new Error('broken');
  const broken = locks.with('weekly', async lock => {
    await locks.release(lock);
    throw error;
  });
  await assert.rejects(broken, error);
});
