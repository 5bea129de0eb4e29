import assert from 'node:assert/strict';
import test from 'node:test';
import { Payerbase, PayerbaseAnswerError } from '../src/index.js';
import { newClient, newToken, notingFetch, url } from './support.js';

const PAYER = '0x52908400098527886e0f7030069857d2e4169ee7';
const AGENT = '0x8617e340b3d01fa5f11f306f4090fd50e238070d';

test('an account describes itself', async () => {
  const { account } = newClient();
  const me = await account.me();
  assert.deepEqual(me.scopes, ['*']);
});

test('a token makes narrower ones, and ends them', async () => {
  const pb = newClient();
  const { id, token } = await pb.tokens.create({ name: 'pusher', scopes: ['queues:write'], methods: ['pushJob'] });
  const pusher = new Payerbase({ url, token, fetch: notingFetch });
  await pusher.queues.push('mail', {});
  await assert.rejects(pusher.counters.increment('a'), { code: 'missing-scope', status: 403 });
  const rotated = await pb.tokens.rotate(id, { overlapMs: 0 });
  assert.equal(rotated.name, 'pusher');
  assert.equal(await pb.tokens.revoke(rotated.id), null);
  const listed = await pb.tokens.list().all();
  assert.ok(listed.find(one => one.id === rotated.id)?.revokedAt);
  const events = (await pb.account.audit({ limit: 2 }).all()).map(({ event }) => event);
  assert.ok(events.includes('token-created') && events.includes('token-revoked'));
});

test('a payer exports what it has, and erases it', async () => {
  const payer = `0x${'e'.repeat(40)}`;
  const pb = new Payerbase({ url, token: newToken(payer), fetch: notingFetch });
  await pb.counters.increment('visits');
  await pb.memories.store('one', { content: 'One\u2028two\u0085three.' });
  const { items, nextCursor } = await pb.account.export({ limit: 1 }).page();
  const [counter] = items;
  assert.deepEqual([items.length, counter?.type, counter?.name, counter?.value], [1, 'counter', 'visits', '1']);
  const rest = await pb.account.export({ cursor: nextCursor! }).all();
  assert.deepEqual(await pb.account.export({ limit: 1 }).all(), [counter, ...rest]);
  assert.equal(rest.find(item => item.type === 'memory')?.content, 'One\u2028two\u0085three.');
  const cut: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init);
    return new Response((await answer.text()).split('\n').slice(0, 1).join('\n'), answer);
  };
  const behindProxy = new Payerbase({ url, token: newToken(payer), fetch: cut });
  await assert.rejects(behindProxy.account.export().all(), PayerbaseAnswerError);
  assert.equal((await pb.account.erase(payer)).hasMore, false);
  await assert.rejects(pb.counters.get('visits'), { code: 'not-found' });
});

test('a payer lets another one act for it', async () => {
  const owner = new Payerbase({ url, token: newToken(PAYER), fetch: notingFetch });
  const agent = new Payerbase({ url, token: newToken(AGENT), fetch: notingFetch, actFor: PAYER });
  const { id } = await owner.grants.create({ grantee: AGENT, scopes: ['counters:write'], prefix: 'shared' });
  await agent.counters.increment('shared');
  await assert.rejects(agent.counters.increment('other'), { code: 'not-granted' });
  assert.equal((await owner.counters.get('shared')).value, 1n);
  assert.equal((await agent.account.me()).payer, AGENT);
  assert.deepEqual(
    (await owner.grants.list().all()).map(grant => grant.id),
    [id],
  );
  assert.equal(await owner.grants.revoke(id), null);
  await assert.rejects(agent.counters.increment('shared'), { code: 'not-granted' });
});

test('credit and payments are empty where calls are free', async () => {
  const { credit, payments } = newClient();
  assert.deepEqual(await credit.get(), { items: [] });
  assert.deepEqual(await credit.ledger().all(), []);
  assert.deepEqual(await payments.list().all(), []);
  await assert.rejects(payments.get('0192f0c1-0000-7000-8000-000000000000'), { code: 'not-found' });
  await assert.rejects(credit.topUp(1_000_000n), { code: 'not-found' });
});
