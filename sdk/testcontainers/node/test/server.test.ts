import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PayerbaseServer, randomPayer } from '../src/server.js';

const url = process.env['PAYERBASE_URL'];
if (!url) throw new Error('PAYERBASE_URL is not set: it must be the URL of a running `payerbase dev`');
const server = new PayerbaseServer(url);

async function call(token: string, method: string, path: string, body: object = {}): Promise<Record<string, unknown>> {
  const response = await fetch(server.url() + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(method === 'POST' && { body: JSON.stringify(body) }),
  });
  return (await response.json()) as Record<string, unknown>;
}

test('a token without a payer is of a new payer', async () => {
  for (const token of [server.token(), server.token()]) {
    assert.match(token, /^pb_test_0x[0-9a-f]{40}$/);
    assert.equal((await call(token, 'POST', '/v1/counters/visits/increment'))['value'], 1);
  }
});

test('reset erases the data of one payer', async () => {
  const [kept, erased] = [randomPayer(), randomPayer()];
  for (const payer of [kept, erased]) await call(server.token(payer), 'POST', '/v1/counters/visits/increment');
  await server.reset(erased);
  assert.equal((await call(server.token(erased), 'GET', '/v1/counters/visits'))['code'], 'not-found');
  assert.equal((await call(server.token(kept), 'GET', '/v1/counters/visits'))['value'], 1);
});

test('the clock moves forward', async () => {
  const before = Date.parse(await server.advanceClock(1000));
  assert.ok(Date.parse(await server.advanceClock(86_400_000)) - before >= 86_400_000);
  const counter = await call(server.token(), 'POST', '/v1/counters/visits/increment');
  assert.ok(Date.parse(String(counter['createdAt'])) - before >= 86_400_000);
});

test('short URLs have the public URL', async () => {
  await server.setPublicUrl('http://localhost:49153');
  const link = await call(server.token(), 'POST', '/v1/links', { url: 'https://shop.example/sale' });
  assert.match(String(link['shortUrl']), /^http:\/\/localhost:49153\//);
});

test('an error says what the server says', async () => {
  await assert.rejects(server.advanceClock(-1), /^Error: POST \/dev\/clock: 422 invalid-value: \/advanceMs: must be /);
});
