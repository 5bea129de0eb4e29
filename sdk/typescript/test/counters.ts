import assert from 'node:assert/strict';
import test from 'node:test';
import { PayerbaseError } from '../src/index.js';
import { newClient } from './support.js';

const MAX = 2n ** 63n - 1n;

test('a counter is counted, read, reset and deleted', async () => {
  const { counters } = newClient();
  const first = await counters.increment('visits');
  assert.deepEqual([first.value, first.previousValue, first.applied, first.capped], [1n, 0n, 1n, false]);
  assert.equal((await counters.decrement('visits', { amount: 3n })).value, -2n);
  assert.equal((await counters.reset('visits', { value: 5 })).previousValue, -2n);
  const counter = await counters.get('visits');
  assert.deepEqual([counter.value, counter.min, counter.max], [5n, null, null]);
  assert.equal(await counters.delete('visits'), null);
  await assert.rejects(counters.get('visits'), { code: 'not-found' });
});

test('bounds stop or refuse, and `null` removes one', async () => {
  const { counters } = newClient();
  const stopped = await counters.increment('seats', { amount: 9, max: 4 });
  assert.deepEqual([stopped.value, stopped.applied, stopped.capped, stopped.max], [4n, 4n, true, 4n]);
  await assert.rejects(counters.increment('seats', { onBound: 'reject' }), error => {
    assert.ok(error instanceof PayerbaseError);
    assert.equal(error.code, 'counter-out-of-bounds');
    assert.deepEqual([error.problem.value, error.problem.max], [4n, 4n]);
    return true;
  });
  assert.equal((await counters.increment('seats', { max: null })).max, null);
});

test('64-bit integers are exact in both directions', async () => {
  const { counters } = newClient();
  assert.equal((await counters.reset('big', { value: MAX })).value, MAX);
  assert.equal((await counters.get('big')).value, MAX);
  const page = await counters.list().page();
  assert.equal(page.items[0]?.value, MAX);
  const back = await counters.decrement('big', { amount: MAX, min: -MAX - 1n });
  assert.deepEqual([back.value, back.previousValue, back.applied, back.min], [0n, MAX, MAX, -MAX - 1n]);
  await counters.reset('big', { value: MAX - 1n });
  await assert.rejects(counters.increment('big', { amount: 5, max: MAX, onBound: 'reject' }), error => {
    assert.ok(error instanceof PayerbaseError);
    assert.deepEqual([error.problem.value, error.problem.max], [MAX - 1n, MAX]);
    return true;
  });
});

test('integers that may have lost digits are refused before they are sent', () => {
  const { counters } = newClient();
  assert.throws(() => counters.increment('a', { amount: 2 ** 53 }), RangeError);
  assert.throws(() => counters.increment('a', { min: 0.5 }), RangeError);
  assert.throws(() => counters.reset('a', { value: MAX + 1n }), RangeError);
});

test('names may have any characters', async () => {
  const { counters } = newClient();
  for (const name of ['/', '%', '?', '#', ' ', 'é', 'a/b%2F?c#d e+é&=;:@', "!'()*", '...', '😀', '%2e%2e']) {
    assert.equal((await counters.increment(name)).name, name);
    assert.equal((await counters.get(name)).value, 1n);
  }
  const names = await counters.list({ prefix: 'a/b' }).all();
  assert.deepEqual(
    names.map(({ name }) => name),
    ['a/b%2F?c#d e+é&=;:@'],
  );
});

test('names that URLs cannot carry are refused before they are sent', async () => {
  const { counters } = newClient();
  for (const name of ['.', '..', '', '\ud800']) await assert.rejects(counters.get(name), TypeError);
});

test('a list goes over several pages', async () => {
  const { counters } = newClient();
  const names = ['a', 'b', 'c', 'd', 'e'];
  for (const name of names) await counters.increment(name);
  const list = counters.list({ limit: 2 });
  const seen: string[] = [];
  for await (const { name } of list) seen.push(name);
  assert.deepEqual(seen, names);
  const first = await list.page();
  assert.equal(first.items.length, 2);
  assert.ok(first.nextCursor);
  const second = await list.page(first.nextCursor);
  assert.deepEqual(
    second.items.map(({ name }) => name),
    ['c', 'd'],
  );
  const rest = counters.list({ limit: 2, cursor: first.nextCursor });
  assert.deepEqual(
    (await rest.all()).map(({ name }) => name),
    ['c', 'd', 'e'],
  );
});
