import assert from 'node:assert/strict';
import test from 'node:test';
import { newClient } from './support.js';

test('a memory is stored, found, changed and deleted', async () => {
  const { memories } = newClient();
  const id = 'trips/2026 é';
  const stored = await memories.store(id, {
    content: 'Ada travels to Lisbon in March.',
    metadata: { city: 'Lisbon', budget: 900 },
    tags: ['travel'],
    embedding: [1, 0.5],
  });
  assert.equal(stored.replaced, false);
  const found = await memories.search({ query: 'Lisbon', mode: 'text', filter: { city: 'Lisbon' } });
  assert.deepEqual(
    found.results.map(memory => memory.id),
    [id],
  );
  const changed = await memories.update(id, { metadata: { city: null }, importance: 1 });
  assert.deepEqual([changed.metadata, changed.importance], [{ budget: 900 }, 1]);
  assert.deepEqual((await memories.get(id, { includeEmbedding: true })).embedding, [1, 0.5]);
  assert.equal((await memories.get(id)).embedding, null);
  assert.equal(await memories.delete(id), null);
  await assert.rejects(memories.get(id), { code: 'not-found' });
});

test('many memories are stored together, and listed', async () => {
  const { memories } = newClient();
  const batch = ['a', 'b', 'c'].map(id => ({ id, content: `memory ${id}`, tags: [id === 'c' ? 'last' : 'first'] }));
  assert.equal((await memories.storeMany([...batch, { content: 'without id' }])).memories.length, 4);
  assert.equal((await memories.list({ limit: 3 }).all()).length, 4);
  assert.deepEqual(
    (await memories.list({ tag: 'last' }).all()).map(({ id }) => id),
    ['c'],
  );
});
