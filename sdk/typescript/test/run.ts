// All tests in one process, which starts one server.
import assert from 'node:assert/strict';
import test from 'node:test';
import { called, newClient } from './support.js';

await import('./account.js');
await import('./counters.js');
await import('./errors.js');
await import('./links.js');
await import('./locks.js');
await import('./memories.js');
await import('./package.js');
await import('./queues.js');
await import('./readme.js');
await import('./retries.js');
await import('./sql.js');
await import('./transactions.js');
await import('./types.js');
await import('./wallets.js');
await import('./workers.js');

test('the client offers every operation of the document', async () => {
  const { server } = newClient();
  assert.deepEqual(await server.health(), { status: 'ok' });
  assert.deepEqual(await server.ready(), { status: 'ok' });
  assert.match(await server.metrics(), /^# HELP payerbase_/);
  assert.match(await server.problems(), /## not-found/);
  assert.deepEqual((await server.paidRoutes()).items, []);
  assert.equal((await server.openapi({ version: '3.0' }))['openapi'], '3.0.3');
  const { paths } = (await server.openapi()) as { paths: Record<string, Record<string, { operationId?: string }>> };
  const ids = Object.values(paths).flatMap(item => Object.values(item).map(({ operationId }) => operationId));
  const missing = ids.filter(id => id !== undefined && !called.has(id));
  assert.deepEqual(missing, []);
});
