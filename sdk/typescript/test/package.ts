// Packs the package, installs it as a user does, and uses it there.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { newToken, url } from './support.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = `
import { Payerbase } from 'payerbase';

const pb = new Payerbase({ url: process.argv[2] as string, token: process.argv[3] as string });
const { value }: { value: bigint } = await pb.counters.increment('visits');
console.log(String(value));
`;

test('the package is installed and used', () => {
  const folder = mkdtempSync(join(tmpdir(), 'payerbase-user-'));
  after(() => rmSync(folder, { recursive: true }));
  const run = (cwd: string, command: string, ...args: string[]): string =>
    execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  run(root, 'npm', 'pack', '--silent', '--pack-destination', folder);
  const [archive] = readdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  run(folder, 'npm', 'install', '--silent', '--offline', '--no-audit', '--no-fund', `./${archive}`);
  writeFileSync(join(folder, 'program.ts'), PROGRAM);
  const options = ['--strict', '--module', 'NodeNext', '--target', 'ES2022', '--types', 'node'];
  run(
    folder,
    join(root, 'node_modules/.bin/tsc'),
    ...options,
    '--typeRoots',
    join(root, 'node_modules/@types'),
    'program.ts',
  );
  assert.equal(run(folder, process.execPath, 'program.js', url, newToken()), '1\n');
});
