/** Live queries that wait together begin by one call, on a real server; and one that is wrong keeps no other from being live. */

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Connector } from '../src/channel.js';
import { connect, type LiveQuery } from '../src/index.js';
import { connectorOf } from '../src/postgres.js';
import { postgresJs } from '../src/postgres-js.js';
import { execute, SERVER, until, write } from './server.js';

const RIGHT = 'SELECT id, word FROM words WHERE word = $1 OR $2::int IS NOT NULL ORDER BY id';
const WRONG = 'SELECT nothing FROM words';
const soon = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(120_000) });
const ids = ({ rows }: LiveQuery): unknown[] => rows.map((row) => row.id);

/** Notes by which functions live queries begin. */
function noting(connector: Connector, said: string[]): Connector {
  return async (listener, signal) => {
    const channel = await connector(listener, signal);
    return {
      query: (statement, done) => {
        const called = /live\.(subscribe\w*)/.exec(statement.sql)?.[1];
        if (called !== undefined) said.push(called);
        channel.query(statement, done);
      },
      destroy: () => channel.destroy(),
    };
  };
}

before(async () => {
  await execute('CREATE EXTENSION IF NOT EXISTS live_queries');
});

for (const [name, connector] of [
  ['pg', connectorOf(SERVER)],
  ['postgres.js', postgresJs(SERVER)],
] as const) {
  test(`${name}: several begin by one call, and again when the connection is back`, async () => {
    await execute(`DROP TABLE IF EXISTS words; CREATE TABLE words (id int PRIMARY KEY, word text);
      INSERT INTO words VALUES (1, 'it''s'), (2, '"\\'), (3, 'é')`);
    const said: string[] = [];
    const connection = connect(noting(connector, said), { firstWait: 10 });
    const queries = [
      connection.live(RIGHT, ["it's", null], soon()),
      connection.live(RIGHT, ['"\\', null], { ...soon(), throttle: '10 ms', refreshEvery: '500 ms' }),
      connection.live(RIGHT, ['é', null], soon()),
      connection.live(RIGHT, [null, 1], soon()),
    ] as const;
    await Promise.all(queries.map((query) => query.ready()));
    assert.deepEqual(queries.map(ids), [[1], [2], [3], [1, 2, 3]]);
    assert.deepEqual(said.splice(0), ['subscribe_many']);
    assert.equal(new Set(queries.map(({ seq }) => seq)).size, 1);
    await queries[0].includes(await write("INSERT INTO words VALUES (4, 'it''s')"));
    assert.deepEqual(queries.map(ids), [[1, 4], [2], [3], [1, 2, 3, 4]]);
    await execute("SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT pid FROM live_queries WHERE query LIKE '%FROM words%') q");
    await until('they begin again', () => said.length > 0);
    await Promise.all(queries.map((query) => query.ready()));
    assert.deepEqual(queries.map(ids), [[1, 4], [2], [3], [1, 2, 3, 4]]);
    assert.deepEqual(said, ['subscribe_many']);
    connection.close();
    await execute('DELETE FROM words WHERE id = 4');
  });

  test(`${name}: each begins by a call of its own where no more are allowed`, async () => {
    const said: string[] = [];
    const connection = connect(noting(connector, said), { many: 0 });
    const queries = ["it's", 'é'].map((word) => connection.live(RIGHT, [word, null], soon()));
    await Promise.all(queries.map((query) => query.ready()));
    assert.deepEqual(queries.map(ids), [[1], [3]]);
    assert.deepEqual(said, ['subscribe', 'subscribe']);
    connection.close();
  });

  test(`${name}: one that is wrong keeps no other from being live`, async () => {
    const said: string[] = [];
    const connection = connect(noting(connector, said));
    const first = connection.live(RIGHT, ["it's", null], soon());
    const wrong = connection.live(WRONG, [], soon());
    const last = connection.live(RIGHT, ['é', null], soon());
    await assert.rejects(wrong.ready(), { code: '42703' });
    await Promise.all([first.ready(), last.ready()]);
    assert.deepEqual(said, ['subscribe_many', 'subscribe', 'subscribe', 'subscribe']);
    await last.includes(await write("INSERT INTO words VALUES (5, 'é')"));
    assert.deepEqual([first, last].map(ids), [[1], [3, 5]]);
    await execute('DELETE FROM words WHERE id = 5');
    connection.close();
  });
}
