/** What postgres.js does otherwise than `pg`, on a real server; its faults are those of faults.test.ts. */

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import postgres from 'postgres';
import { connect, live } from '../src/index.js';
import { postgresJs } from '../src/postgres-js.js';
import { execute, SERVER, until, write } from './server.js';

const soon = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(120_000) });

before(async () => {
  await execute(`
    CREATE EXTENSION IF NOT EXISTS live_queries;
    DROP TABLE IF EXISTS by_postgres_js;
    CREATE TABLE by_postgres_js (item_id bigint PRIMARY KEY, n numeric, tags text[], doc jsonb);
    INSERT INTO by_postgres_js VALUES (9007199254740993, 1.5, '{a,"b,c"}', '{"x": 1}')`);
});

test('postgres.js: parameters of all kinds, and rows as they are, whatever types and names are made of them elsewhere', async () => {
  const place = postgresJs({ ...SERVER, max: 5, types: { bigint: postgres.BigInt }, transform: postgres.camel } as never);
  const sql = 'SELECT item_id, n, doc FROM by_postgres_js WHERE item_id = $1 AND n = $2 AND tags = $3 AND doc = $4 AND $5::text IS NULL';
  const query = live(place, sql, [9007199254740993n, 1.5, ['a', 'b,c'], { x: 1 }, null], soon());
  await query.ready();
  assert.deepEqual(query.rows, [{ item_id: 9007199254740993n, n: 1.5, doc: { x: 1 } }]);
  assert.equal(query.columns.find(({ name }) => name === 'item_id')?.key, 0);
  await query.includes(await write('UPDATE by_postgres_js SET n = 2'));
  assert.deepEqual(query.rows, []);
  query.close();
});

test('postgres.js: changes at once, in their order', async () => {
  const { host, port, user, database } = SERVER;
  const url = `postgres://${user}@localhost/${database}`;
  const connection = connect(postgresJs(url, { host, port, user, database }));
  const count = connection.live<{ n: number }>('SELECT count(*) AS n FROM by_postgres_js', [], soon());
  await count.ready();
  const seen: (number | undefined)[] = [];
  count.on('change', ({ rows }) => seen.push(rows[0]?.n));
  for (let n = 1; n <= 20; n++) await count.includes(await write(`INSERT INTO by_postgres_js VALUES (${n})`));
  assert.deepEqual(seen, Array.from({ length: 20 }, (_, at) => at + 2));
  connection.close();
  await until('the connection has been closed', async () => {
    const { rows } = await execute("SELECT count(*)::int AS n FROM live_queries WHERE query LIKE '%by_postgres_js'");
    return rows[0].n === 0;
  });
});

test('postgres.js: refusals, of a query and of a connection', async () => {
  const refused = live(postgresJs(SERVER), 'SELECT nothing FROM nowhere');
  await assert.rejects(refused.ready(soon()), { name: 'LiveError', code: '42P01' });
  const nobody = live(postgresJs({ ...SERVER, user: 'nobody_there' }), 'SELECT 1');
  await assert.rejects(nobody.ready(soon()), { code: '28000' });
});

test('postgres.js: a server that is not there is tried again, and closing ends that', async () => {
  const query = live(postgresJs({ host: '127.0.0.1', port: 1 }), 'SELECT 1', [], { firstWait: 10 });
  await until('it says why', () => query.error !== undefined);
  assert.match(String(query.error?.message), /ECONNREFUSED/);
  assert.equal(query.state, 'connecting');
  query.close();
  assert.equal(query.state, 'closed');
});
