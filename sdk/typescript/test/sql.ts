import assert from 'node:assert/strict';
import test from 'node:test';
import { PayerbaseError } from '../src/index.js';
import { newClient } from './support.js';

const PRODUCTS = {
  id: '1-products',
  sql: 'create table products (id integer primary key, name text unique, cents integer)',
};

test('tables are migrated, written and read', async () => {
  const { sql } = newClient();
  assert.deepEqual(await sql.migrate([PRODUCTS]), { applied: ['1-products'] });
  assert.deepEqual(await sql.migrate([PRODUCTS]), { applied: [] });
  const insert = 'insert into products (name, cents) values (:name, :cents)';
  const tea = await sql.execute(insert, { name: 'Tea', cents: 450 });
  assert.deepEqual([tea.rowsAffected, tea.lastInsertRowid], [1, 1]);
  const { results } = await sql.batch([
    { sql: insert, params: { name: 'Cup', cents: 1200 } },
    { sql: 'select count(*) from products' },
  ]);
  assert.deepEqual(results[1]?.rows, [[2]]);
  const cheap = await sql.query<{ name: string; cents: number }>(
    'select name, cents from products where cents < ?',
    [500],
  );
  assert.deepEqual(cheap.rows, [['Tea', 450]]);
  assert.deepEqual(cheap.objects, [{ name: 'Tea', cents: 450 }]);
  assert.ok((await sql.schema()).tables.some(({ name }) => name === 'products'));
});

test('values that JSON cannot hold go there and back', async () => {
  const { sql } = newClient();
  const values = [
    9_007_199_254_740_993n,
    -(2n ** 63n),
    new Uint8Array([0, 1, 255]),
    Infinity,
    -Infinity,
    'a\0b',
    'é "quoted"',
    1.5,
    null,
  ];
  const { rows } = await sql.query(`select ${values.map(() => '?').join(', ')}`, values);
  assert.deepEqual(rows[0], values);
  const [row] = (await sql.query('select ?, ?, ?, ?, ?', [true, undefined, { a: [1] }, 7n, new Date(0)])).rows;
  assert.deepEqual(row, [1, null, '{"a":[1]}', 7, '1970-01-01T00:00:00.000Z']);
  const bytes = await sql.query("select cast(x'ff' as text)");
  assert.deepEqual(bytes.rows[0], [new Uint8Array([255])]);
  const large = new Uint8Array(200_000).fill(7);
  assert.deepEqual((await sql.query('select ?', [large])).rows[0], [large]);
});

test('an error says which constraint does not hold', async () => {
  const { sql } = newClient();
  await sql.migrate([PRODUCTS]);
  await sql.execute("insert into products (name) values ('Tea')");
  await assert.rejects(sql.execute("insert into products (name) values ('Tea')"), error => {
    assert.ok(error instanceof PayerbaseError);
    assert.deepEqual([error.code, error.problem.constraint], ['sql-error', 'unique']);
    return true;
  });
});

test('a database is exported and imported as a file', async () => {
  const from = newClient().sql;
  const to = newClient().sql;
  await from.migrate([PRODUCTS]);
  await from.execute("insert into products (name) values ('Tea')");
  const file = await from.export();
  assert.equal(new TextDecoder().decode(file.subarray(0, 15)), 'SQLite format 3');
  assert.ok((await to.import(file)).rows >= 1);
  assert.deepEqual((await to.query('select name from products')).rows, [['Tea']]);
});
