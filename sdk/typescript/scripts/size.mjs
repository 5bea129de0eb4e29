// Prints the size of the whole client as one minified bundle for browsers, and fails if it is too large.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const LIMIT_BYTES = 15_000;
const { outputFiles } = await build({
  entryPoints: [new URL('../src/index.ts', import.meta.url).pathname],
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  write: false,
});
const bundle = outputFiles[0].contents;
const gzipped = gzipSync(bundle, { level: 9 }).length;
console.log(`${bundle.length} bytes minified, ${gzipped} bytes gzipped (limit ${LIMIT_BYTES})`);
if (gzipped > LIMIT_BYTES) process.exitCode = 1;
