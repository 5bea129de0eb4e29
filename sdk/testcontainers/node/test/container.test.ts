import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PayerbaseContainer, randomPayer } from '../src/index.js';

const image = process.env['PAYERBASE_IMAGE'];
if (!image) throw new Error('PAYERBASE_IMAGE is not set: it must be the name of an image, such as `payerbase:latest`');

test('the container runs a server that knows its mapped address', async () => {
  const container = await new PayerbaseContainer(image).start();
  try {
    const payer = randomPayer();
    const response = await fetch(`${container.url()}/v1/links`, {
      method: 'POST',
      headers: { authorization: `Bearer ${container.token(payer)}`, 'content-type': 'application/json' },
      body: JSON.stringify({ url: 'https://shop.example/sale' }),
    });
    const link = (await response.json()) as { shortUrl: string };
    assert.ok(link.shortUrl.startsWith(`${container.url()}/`), JSON.stringify(link));
    await container.advanceClock(86_400_000);
    await container.reset(payer);
    assert.equal((await fetch(link.shortUrl, { redirect: 'manual' })).status, 404);
  } finally {
    await container.stop();
  }
});
