// Runs the examples of README.md, in order.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { inspect } from 'node:util';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import * as payerbase from '../src/index.js';
import { newToken, notingFetch, url } from './support.js';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/^```js\n(.*?)^```/gms)].map(match => match[1] as string);

test('the examples of the README run', async t => {
  class Payerbase extends payerbase.Payerbase {
    constructor(options: payerbase.PayerbaseOptions) {
      super({ ...options, url });
    }
  }
  let printed: string[] = [];
  const scope: Record<string, unknown> = {
    ...payerbase,
    Payerbase,
    pb: new Payerbase({ url, token: newToken() }),
    process: { env: { TOKEN: newToken() }, once: () => undefined },
    console: { log: (...values: unknown[]) => printed.push(values.map(value => inspect(value)).join(' ')) },
    generatePrivateKey,
    privateKeyToAccount,
    fetch: notingFetch,
  };
  for (const example of examples) {
    const code = example.replace(/^import .*\n/gm, '').trim();
    await t.test(code.split('\n')[0] as string, async () => {
      const run = new Function(...Object.keys(scope), `return (async () => { {\n${code}\n} })()`);
      printed = [];
      await (run(...Object.values(scope)) as Promise<void>);
      const said = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(match => match[1]);
      if (said.length > 0) assert.deepEqual(printed, said);
    });
  }
});
