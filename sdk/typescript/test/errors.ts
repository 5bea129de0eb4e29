import assert from 'node:assert/strict';
import test from 'node:test';
import { Payerbase, PayerbaseAnswerError, PayerbaseConnectionError, PayerbaseError } from '../src/index.js';
import { newClient, newProxy, newToken, notingFetch, url } from './support.js';

test('a missing or malformed URL or token is refused with a clear error', () => {
  const token = newToken();
  const missing = undefined;
  assert.throws(() => new Payerbase({ url: '', token }), /the URL of the server is missing/);
  assert.throws(() => new Payerbase({ url: 'pay.example', token }), /the URL of the server is malformed/);
  assert.throws(() => new Payerbase({ url: 'ftp://pay.example', token }), /must begin with https/);
  assert.throws(() => new Payerbase({ url: 'https://pay.example/?a=b', token }), /no user, query or fragment/);
  assert.throws(() => new Payerbase({ url, token: missing }), /the token is missing/);
  assert.throws(() => new Payerbase({ url, token: '' }), /the token is missing/);
  assert.throws(() => new Payerbase({ url }), /the token is missing/);
  assert.throws(() => new Payerbase({ url, token: 'Bearer pb_live_x' }), /the token is malformed/);
  // That of `PAYERBASE_DEV_TOKEN`.
  assert.ok(new Payerbase({ url, token: 'known-in-advance' }));
});

test('a problem has all that the server says', async () => {
  const { queues } = newClient();
  await assert.rejects(queues.push('mail', {}, { priority: 40_000 }), error => {
    assert.ok(error instanceof PayerbaseError);
    assert.deepEqual([error.code, error.status, error.attempts], ['invalid-value', 422, 1]);
    assert.equal(error.errors[0]?.pointer, '/priority');
    assert.equal(error.requestId, error.problem.instance);
    assert.match(error.message, /^invalid-value: /);
    assert.ok(error.title && error.detail && error.requestId);
    return true;
  });
});

test('an answer that is not from payerbase is an error of its own', async () => {
  const proxy = await newProxy();
  const pb = new Payerbase({ url: proxy.url, token: newToken(), retries: 0 });
  const html = { 'Content-Type': 'text/html' };
  proxy.faults.push({ status: 200, headers: html, body: '<h1>Log in</h1>' });
  await assert.rejects(pb.account.me(), error => {
    assert.ok(error instanceof PayerbaseAnswerError);
    assert.match(error.message, /200, and is not from payerbase: <h1>Log in/);
    return true;
  });
  proxy.faults.push({ status: 502, headers: html, body: '<h1>Bad Gateway</h1>' });
  await assert.rejects(pb.account.me(), { name: 'PayerbaseAnswerError', status: 502, body: '<h1>Bad Gateway</h1>' });
  proxy.faults.push({ status: 301, headers: { Location: 'https://pay.example/v1/me' } });
  await assert.rejects(pb.account.me(), /a redirect to https:\/\/pay.example\/v1\/me/);
});

test('a connection that fails is an error of its own, with its cause', async () => {
  const proxy = await newProxy();
  proxy.isDown = true;
  const pb = new Payerbase({ url: proxy.url, token: newToken(), retries: 1 });
  await assert.rejects(pb.account.me(), error => {
    assert.ok(error instanceof PayerbaseConnectionError);
    assert.equal(error.attempts, 2);
    assert.ok(error.cause instanceof Error);
    return true;
  });
});

test('an attempt ends at its timeout', async () => {
  const proxy = await newProxy();
  const pb = new Payerbase({ url: proxy.url, token: newToken(), retries: 0, timeout: 100 });
  proxy.faults.push('hang');
  await assert.rejects(pb.account.me(), /no answer within 100 ms/);
  proxy.faults.push('hang');
  await assert.rejects(pb.account.me({ timeout: 50 }), /no answer within 50 ms/);
});

test('the URL may have a path', async () => {
  const proxy = await newProxy();
  const prefixed = new Payerbase({
    url: `${proxy.url}/pay/base/`,
    token: newToken(),
    fetch: (target, init) => notingFetch(target.replace('/pay/base/v1/', '/v1/'), init),
  });
  assert.equal((await prefixed.counters.increment('a b')).value, 1n);
  assert.equal(proxy.requests[0]?.path, '/v1/counters/a%20b/increment');
  assert.equal(prefixed.links.qrUrl('abc'), `${proxy.url}/pay/base/l/abc/qr.svg`);
});

test('headers of the caller are sent', async () => {
  const proxy = await newProxy();
  const pb = new Payerbase({ url: proxy.url, token: newToken(), headers: { 'X-Team': 'shop' } });
  await pb.account.me();
  assert.equal(proxy.requests[0]?.headers['x-team'], 'shop');
});

test('JSON of a proxy with a numeric code is no problem of payerbase', async () => {
  const proxy = await newProxy();
  const pb = new Payerbase({ url: proxy.url, token: newToken(), retries: 0 });
  for (const body of [
    { code: 502, status: 502 },
    { code: 'bad-gateway', status: 'error' },
  ]) {
    proxy.faults.push({ status: 502, body: JSON.stringify(body) });
    await assert.rejects(pb.account.me(), { name: 'PayerbaseAnswerError', status: 502 });
  }
});
