/** Collections of TanStack DB that are live queries of a real server. */

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createCollection, createLiveQueryCollection, gt } from '@tanstack/db';
import { connect, type LiveQuery } from '../src/index.js';
import { Mirror } from '../src/mirror.js';
import { liveCollectionOptions } from '../src/tanstack-db.js';
import { execute, SERVER, until, write } from './server.js';

// Node 18 has it as a module only.
if (globalThis.crypto === undefined) Object.defineProperty(globalThis, 'crypto', { value: webcrypto });

interface Item {
  id: number;
  kind: number;
  txt: string;
}

const ITEMS = 'SELECT id, kind, txt FROM collected WHERE kind = $1 ORDER BY id';
const connection = connect(SERVER, { firstWait: 200 });

/** A collection, with the live query that it has at present. */
function collectionOf(sql: string, params: number[], more: { onInsert?: (params: any) => Promise<unknown> } = {}) {
  const queries: LiveQuery<Item>[] = [];
  const collection = createCollection(
    liveCollectionOptions<Item, number>({
      ...more,
      getKey: (item) => item.id,
      live: () => {
        const query = connection.live<Item>(sql, params);
        queries.push(query);
        return query;
      },
    }),
  );
  const rows = (): string => [...collection.values()].map(({ id, txt }) => `${id} ${txt}`).sort().join(', ');
  return { collection, queries, rows, query: () => queries.at(-1) as LiveQuery<Item> };
}

before(async () => {
  await execute(`
    CREATE EXTENSION IF NOT EXISTS live_queries;
    DROP TABLE IF EXISTS collected;
    CREATE TABLE collected (id int PRIMARY KEY, kind int, txt text);
    INSERT INTO collected SELECT n, n % 2, 'item ' || n FROM generate_series(1, 6) AS n;`);
});

after(() => connection.close());

test('TanStack DB: what one point inserts, updates and deletes is one change of the collection', async () => {
  const { collection, query, rows } = collectionOf(ITEMS, [1]);
  await collection.preload();
  assert.equal(rows(), '1 item 1, 3 item 3, 5 item 5');
  const batches: string[] = [];
  const seen: string[] = [];
  collection.subscribeChanges(
    (changes) => {
      batches.push(changes.map(({ type, key }) => `${type} ${key}`).sort().join(', '));
      seen.push(rows());
    },
    { includeInitialState: true },
  );
  const [first] = collection.values();
  await query().includes(
    await write("INSERT INTO collected VALUES (7, 1, 'new'); UPDATE collected SET txt = 'changed' WHERE id = 3; DELETE FROM collected WHERE id = 5"),
  );
  assert.deepEqual(batches, ['insert 1, insert 3, insert 5', 'delete 5, insert 7, update 3']);
  assert.deepEqual(seen, ['1 item 1, 3 item 3, 5 item 5', '1 item 1, 3 changed, 7 new']);
  assert.equal(collection.get(1), first);
  // A null replaces what was there.
  await query().includes(await write('UPDATE collected SET txt = NULL WHERE id = 7'));
  assert.equal(collection.get(7)?.txt, null);
  await collection.cleanup();
});

test('TanStack DB: queries of its own on a collection follow', async () => {
  const { collection, query } = collectionOf('SELECT id, kind, txt FROM collected', []);
  const large = createLiveQueryCollection((q) => q.from({ item: collection }).where(({ item }) => gt(item.id, 4)));
  await large.preload();
  const before = large.size;
  await query().includes(await write("INSERT INTO collected VALUES (100, 0, 'large'), (0, 0, 'small')"));
  assert.equal(large.size, before + 1);
  await query().includes(await write('DELETE FROM collected WHERE id IN (0, 100)'));
  assert.equal(large.size, before);
  await large.cleanup();
  await collection.cleanup();
});

test('TanStack DB: when the connection is lost the rows stay, it says so, and what differs follows', async () => {
  const { collection, query, rows } = collectionOf(ITEMS, [0]);
  await collection.preload();
  const { live } = collection.utils;
  const states: string[] = [];
  live.on('change', () => states.push(`${live.state} ${collection.size}`));
  const batches: string[][] = [];
  collection.subscribeChanges((changes) => batches.push(changes.map(({ type, key }) => `${type} ${key}`)), {
    includeInitialState: true,
  });
  await execute(`
    SELECT pg_terminate_backend(pid) FROM live_queries WHERE query LIKE '%FROM collected%';
    DELETE FROM collected WHERE id = 2`);
  await until('it has been lost', () => states.length > 0);
  await query().ready();
  assert.equal(states[0], 'stale 3');
  assert.equal(states.at(-1), 'live 2');
  assert.equal(live.error, undefined);
  assert.equal(rows(), '4 item 4, 6 item 6');
  assert.deepEqual(batches, [['insert 2', 'insert 4', 'insert 6'], ['delete 2']]);
  assert.equal(collection.status, 'ready');
  await collection.cleanup();
});

test('TanStack DB: an error before there are rows is one of the collection', async () => {
  const { collection } = collectionOf('SELECT nothing AS id FROM nowhere', []);
  await assert.rejects(collection.preload(), { code: '42P01' });
  assert.equal(collection.status, 'error');
  assert.equal(collection.utils.live.state, 'error');
  assert.equal(collection.utils.live.error?.code, '42P01');
  await collection.cleanup();
});

test('TanStack DB: an error later leaves the rows, and says so', async () => {
  const { collection, rows } = collectionOf('SELECT id, txt FROM collected WHERE id < 4', []);
  await collection.preload();
  const before = rows();
  await execute("SELECT live.kill(live_id) FROM live_queries WHERE query LIKE '%id < 4' AND status = 'active'");
  await until('it has ended', () => collection.utils.live.state === 'error');
  assert.notEqual(collection.utils.live.error?.code, undefined);
  assert.equal(collection.status, 'ready');
  assert.equal(rows(), before);
  await collection.cleanup();
});

test('TanStack DB: keys that do not tell rows apart are an error', async () => {
  const { collection, query } = collectionOf('SELECT kind AS id, id AS kind, txt FROM collected', []);
  await assert.rejects(collection.preload(), /getKey/);
  assert.equal(collection.utils.live.state, 'error');
  assert.equal(query().state, 'closed');
  await collection.cleanup();
});

test('TanStack DB: what is cleaned up is not watched, and is watched anew when it is used', async () => {
  const watched = async (): Promise<number> => {
    const { rows } = await execute("SELECT count(*)::int AS n FROM live_queries WHERE query LIKE '%cleaned%' AND status = 'active'");
    return rows[0].n;
  };
  const { collection, queries, rows } = collectionOf("SELECT id, txt FROM collected WHERE txt <> 'cleaned' OR id = 1", []);
  assert.equal(collection.utils.live.state, 'closed');
  await collection.preload();
  assert.equal(await watched(), 1);
  const before = rows();
  await collection.cleanup();
  assert.equal(queries[0]?.state, 'closed');
  assert.equal(collection.utils.live.state, 'closed');
  await until('nobody watches', async () => (await watched()) === 0);
  await collection.preload();
  assert.equal(await watched(), 1);
  assert.equal(queries.length, 2);
  assert.equal(rows(), before);
  await collection.cleanup();
});

test('TanStack DB: what the application inserts is there at once, and stays when it comes from the server', async () => {
  const { collection, query, rows } = collectionOf(ITEMS, [9], {
    onInsert: async ({ transaction }) => {
      const { id, kind, txt } = transaction.mutations[0].modified;
      await query().includes(await write(`INSERT INTO collected VALUES (${id}, ${kind}, '${txt}')`));
    },
  });
  await collection.preload();
  const seen = new Set<string>();
  collection.subscribeChanges(() => seen.add(rows()));
  const inserted = collection.insert({ id: 90, kind: 9, txt: 'mine' });
  assert.equal(rows(), '90 mine');
  await inserted.isPersisted.promise;
  assert.equal(rows(), '90 mine');
  assert.deepEqual([...seen], ['90 mine']);
  assert.deepEqual(query().rows, [{ id: 90, kind: 9, txt: 'mine' }]);
  await collection.cleanup();
});

test('TanStack DB: a mirror begins with stale rows', async () => {
  const mirror = new Mirror<Item>({ rows: [{ id: 1, kind: 1, txt: 'known' }], keys: ['[1]'] });
  const collection = createCollection(liveCollectionOptions<Item, number>({ live: () => mirror, getKey: (item) => item.id }));
  await collection.preload();
  assert.equal(collection.utils.live.state, 'stale');
  assert.equal(collection.get(1)?.txt, 'known');
  mirror.take('{"state":"live","start":0,"end":0,"keys":["[2]"],"rows":[[0,{"id":2,"kind":1,"txt":"other"}]]}');
  assert.equal(collection.utils.live.state, 'live');
  assert.deepEqual([...collection.keys()], [2]);
  await collection.cleanup();
});
