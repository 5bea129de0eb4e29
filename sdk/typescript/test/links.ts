import assert from 'node:assert/strict';
import test from 'node:test';
import { newClient } from './support.js';

test('a link is made, followed, changed and deleted', async () => {
  const { links } = newClient();
  const link = await links.create('https://shop.example/sale', { title: 'Sale' });
  assert.equal((await links.get(link.slug)).title, 'Sale');
  assert.equal(await links.follow(link.slug), 'https://shop.example/sale');
  const recorded = await links.recordClick(link.slug, { country: 'PT', referrer: 'https://news.example/' });
  assert.deepEqual([recorded.recorded, recorded.clicks], [true, 1]);
  const stats = await links.stats(link.slug, { days: 7 });
  assert.deepEqual([stats.clicks, stats.daily.length, stats.countries[0]?.value], [1, 7, 'PT']);
  const changed = await links.update(link.slug, { title: null, maxClicks: 5 });
  assert.deepEqual([changed.title, changed.maxClicks], [null, 5]);
  assert.equal((await links.list().all()).length, 1);
  assert.equal(await links.delete(link.slug), null);
  await assert.rejects(links.follow(link.slug), { code: 'not-found' });
});

test('the QR code is an image, and has a URL', async () => {
  const { links } = newClient();
  const { slug } = await links.create('https://shop.example/qr');
  assert.match(await links.qr(slug), /<svg/);
  const response = await fetch(links.qrUrl(slug));
  assert.equal(response.headers.get('content-type'), 'image/svg+xml');
});

test('a slug in use is a typed problem', async () => {
  const { links } = newClient();
  const { slug } = await links.create('https://shop.example/a');
  await assert.rejects(links.create('https://shop.example/b', { slug }), { code: 'slug-taken', status: 409 });
});

test('a slug that URLs cannot carry has no QR code', () => {
  const { links } = newClient();
  for (const slug of ['', '.', '..']) assert.throws(() => links.qrUrl(slug), /slug must not be/);
});
