// Runs the examples of README.md and of docs/EXAMPLES.md, each page from top to bottom.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { transformSync } from 'esbuild';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import * as payerbase from '../src/index.js';
import { newToken, notingFetch, url } from './support.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(`${root}/README.md`, 'utf8');
const page = readFileSync(`${root}/../../docs/EXAMPLES.md`, 'utf8');

/** The examples of a page in a language. */
function examplesOf(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(match => match[1] as string);
}

/** An example without its imports, and those. */
function withoutImports(example: string): [code: string, imports: string[]] {
  const pattern = /^import .*\n/gm;
  return [example.replace(pattern, '').trim(), [...example.matchAll(pattern)].map(match => match[0])];
}

const account = privateKeyToAccount(generatePrivateKey());
/** A wallet in a browser. */
const ethereum = {
  async request({ method, params }: { method: string; params?: string[] }): Promise<unknown> {
    if (method === 'eth_requestAccounts') return [account.address];
    assert.equal(method, 'personal_sign');
    return account.signMessage({ message: params?.[0] as string });
  },
};

for (const [name, examples] of [
  ['README.md', examplesOf(readme, 'js')],
  ['docs/EXAMPLES.md', examplesOf(page, 'ts')],
] as const) {
  test(`the examples of ${name} run`, async t => {
    assert.ok(examples.length > 10);
    class Payerbase extends payerbase.Payerbase {
      constructor(options: payerbase.PayerbaseOptions) {
        super({ ...options, url });
      }
    }
    let printed: string[] = [];
    const print = (value: unknown): string => (typeof value === 'string' ? value : inspect(value));
    const token = newToken();
    const scope: Record<string, unknown> = {
      ...payerbase,
      Payerbase,
      pb: new Payerbase({ url, token }),
      process: { env: { TOKEN: token, URL: url }, once: () => undefined },
      console: { log: (...values: unknown[]) => printed.push(values.map(print).join(' ')) },
      ethereum,
      generatePrivateKey,
      privateKeyToAccount,
      fetch: notingFetch,
    };
    for (const example of examples) {
      const [code] = withoutImports(example);
      await t.test(code.split('\n')[0] as string, async () => {
        const script = transformSync(`async () => {\n${code}\n}`, { loader: 'ts', target: 'es2022' }).code;
        const run = new Function(...Object.keys(scope), `return (${script.trim().replace(/;$/, '')})()`);
        printed = [];
        await (run(...Object.values(scope)) as Promise<void>);
        const said = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(match => match[1]);
        if (said.length > 0) assert.deepEqual(printed, said);
      });
    }
  });
}

test('the examples of docs/EXAMPLES.md have the right types', () => {
  const folder = `${root}/test-dist/examples`;
  const examples = examplesOf(page, 'ts').map(withoutImports);
  const imports = new Set(examples.flatMap(([, lines]) => lines));
  const program = [
    ...imports,
    'declare const pb: Payerbase;\n',
    'declare const ethereum: { request(call: { method: string; params?: string[] }): Promise<any> };\n',
    ...examples.map(([code], index) => `export const example${index} = async () => {\n${code}\n};\n`),
  ];
  const options = { strict: true, noEmit: true, target: 'ES2022', module: 'NodeNext', types: ['node'] };
  const paths = { payerbase: ['../../src/index.ts'] };
  mkdirSync(folder, { recursive: true });
  try {
    writeFileSync(`${folder}/program.ts`, program.join(''));
    writeFileSync(`${folder}/package.json`, '{"type": "module"}');
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions: { ...options, paths } }));
    const compiler = `${root}/node_modules/typescript/bin/tsc`;
    execFileSync(process.execPath, [compiler, '--project', folder], { stdio: ['ignore', 'inherit', 'inherit'] });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('links of the README lead to where a reader of the package can go', () => {
  const targets = [...readme.matchAll(/\]\((.*?)\)/g)].map(match => match[1] as string);
  assert.deepEqual(
    targets.filter(target => !/^(https:|#)/.test(target)),
    [],
  );
});
