import assert from 'node:assert/strict';
import test from 'node:test';
import { newClient } from './support.js';

test('a job is pushed, popped, extended and completed', async () => {
  const { queues } = newClient();
  const pushed = await queues.push('mail', { to: 'ada@example.com' }, { priority: 5, dedupKey: 'ada' });
  assert.equal((await queues.push('mail', {}, { dedupKey: 'ada' })).deduplicated, true);
  const job = await queues.pop<{ to: string }>('mail', { leaseMs: 5_000 });
  assert.ok(job);
  assert.deepEqual([job.id, job.payload.to], [pushed.id, 'ada@example.com']);
  assert.ok((await queues.extend(job, 60_000)).leaseExpiresAt);
  const completed = await queues.complete(job, { result: { sent: true } });
  assert.deepEqual([completed.status, completed.result], ['completed', { sent: true }]);
  await assert.rejects(queues.complete(job), { code: 'lease-lost' });
  assert.equal(await queues.pop('mail'), null);
});

test('a job fails, is retried, and dies', async () => {
  const { queues } = newClient();
  await queues.push('mail', 1);
  const first = await queues.pop('mail');
  assert.ok(first);
  assert.equal((await queues.fail(first, { error: 'no route', retryInMs: 0 })).status, 'pending');
  const second = await queues.pop('mail', { waitMs: 5_000 });
  assert.ok(second);
  assert.equal((await queues.fail(second.id, { error: 'gone', retry: false })).status, 'dead');
  assert.deepEqual((await queues.getJob(first.id)).errors.map(({ error }) => error).sort(), ['gone', 'no route']);
  assert.deepEqual(await queues.retryDead('mail', { limit: 10 }), { retried: 1 });
  assert.equal(await queues.cancel(first.id), null);
});

test('queues and jobs are listed, counted and purged', async () => {
  const { queues } = newClient();
  const { jobs } = await queues.pushMany('a/b ?', [{ payload: 1 }, { payload: 2 }, { payload: 3, delayMs: 60_000 }]);
  assert.equal(jobs.length, 3);
  assert.equal((await queues.popMany('a/b ?', { count: 1 })).jobs.length, 1);
  const status = await queues.status('a/b ?');
  assert.deepEqual([status.pending, status.running, status.delayed], [1, 1, 1]);
  assert.equal((await queues.listJobs('a/b ?', { limit: 2 }).all()).length, 3);
  assert.equal((await queues.listJobs('a/b ?', { status: 'running' }).all()).length, 1);
  assert.deepEqual(
    (await queues.list().all()).map(({ queue }) => queue),
    ['a/b ?'],
  );
  assert.equal((await queues.purge('a/b ?')).purged, 2);
});

test('a payload keeps an integer beyond 2^53', async () => {
  const { queues, sql } = newClient();
  await queues.push('mail', { wei: 2n ** 60n + 1n, text: 'a "b"' });
  const { rows } = await sql.query("select payload ->> 'wei', payload ->> 'text' from pb_jobs");
  assert.deepEqual(rows, [[2n ** 60n + 1n, 'a "b"']]);
});
