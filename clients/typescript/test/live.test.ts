/** The interface for applications, on a real server. */

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import pg from 'pg';
import { connect, type LiveChange, LiveError, live, once } from '../src/index.js';
import { execute, SERVER, until, write } from './server.js';

interface Item {
  id: number;
  kind: number;
  txt: string;
}

const ITEMS = 'SELECT id, kind, txt FROM items WHERE kind = $1 ORDER BY id';
/** A wait of a test that hangs fails. */
const soon = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(120_000) });

before(async () => {
  await execute(`
    CREATE EXTENSION IF NOT EXISTS live_queries;
    DROP TABLE IF EXISTS items, accounts, big;
    CREATE TABLE items (id int PRIMARY KEY, kind int, txt text);
    CREATE TABLE accounts (id int PRIMARY KEY, owner text, amount int);
    CREATE TABLE big (id bigint PRIMARY KEY, n numeric, flag boolean, at timestamptz, tags text[], doc jsonb);
    INSERT INTO items SELECT n, n % 2, 'item ' || n FROM generate_series(1, 6) AS n;
    INSERT INTO accounts VALUES (1, 'a', 50), (2, 'b', 50);`);
});

test('iterating gives the rows, again whenever they have changed, and ends when it is closed', async () => {
  const query = live<Item>(SERVER, ITEMS, [1], soon());
  const seen: string[] = [];
  assert.equal(query.state, 'connecting');
  for await (const rows of query) {
    seen.push(rows.map((row) => `${row.id} ${row.txt}`).join(', '));
    if (seen.length === 1) await execute("UPDATE items SET txt = 'changed' WHERE id = 3");
    if (seen.length === 2) await execute('DELETE FROM items WHERE id = 5');
    if (seen.length === 3) query.close();
  }
  assert.deepEqual(seen, ['1 item 1, 3 item 3, 5 item 5', '1 item 1, 3 changed, 5 item 5', '1 item 1, 3 changed']);
  assert.equal(query.state, 'closed');
});

test('whoever iterates slowly gets the newest rows', async () => {
  const query = live<Item>(SERVER, ITEMS, [7], soon());
  const counts: number[] = [];
  for await (const rows of query) {
    counts.push(rows.length);
    if (counts.length > 1) break;
    for (let id = 100; id < 110; id++) await execute(`INSERT INTO items VALUES (${id}, 7, 'x')`);
    await until('all are there', () => query.rows.length === 10);
  }
  assert.deepEqual(counts, [0, 10]);
  query.close();
});

test('a change says what differs, and rows that are as they were stay the same objects', async () => {
  const query = live<Item>(SERVER, ITEMS, [0], soon());
  await query.ready();
  const [first, , third] = query.rows;
  const changes: LiveChange<Item>[] = [];
  const off = query.on('change', (change) => changes.push(change));
  await query.includes(await write("UPDATE items SET txt = 'new' WHERE id = 4; INSERT INTO items VALUES (8, 0, 'eight')"));
  assert.deepEqual(changes.map(({ entered, changed, left }) => ({ entered, changed, left })), [
    { entered: ['[8]'], changed: ['[4]'], left: [] },
  ]);
  assert.equal(query.rows[0], first);
  assert.equal(query.rows[2], third);
  assert.equal(query.rows[1]?.txt, 'new');
  off();
  await query.includes(await write('DELETE FROM items WHERE id = 8'));
  assert.equal(changes.length, 1);
  query.close();
});

test('an error of the query ends it, says why, and is thrown to whoever waits', async () => {
  const query = live(SERVER, 'SELECT nothing FROM nowhere');
  await assert.rejects(query.ready(soon()), { name: 'LiveError', code: '42P01' });
  assert.equal(query.state, 'error');
  assert.match(String(query.error?.message), /nowhere/);
  await assert.rejects(async () => {
    for await (const _ of query) assert.fail('there are no rows');
  }, LiveError);
  await assert.rejects(query.setParams([]), { code: '42P01' });
  await assert.rejects(query.includes(1), { code: '42P01' });
});

test('what an administrator ends is in error, with its rows', async () => {
  const query = live<Item>(SERVER, 'SELECT id FROM items WHERE kind = 0', [], soon());
  await query.ready();
  const { length } = query.rows;
  await execute("SELECT live.kill(live_id) FROM live_queries WHERE query LIKE '%kind = 0' AND status = 'active'");
  await until('it has ended', () => query.state === 'error');
  assert.equal(query.rows.length, length);
  assert.notEqual(query.error?.code, undefined);
});

test('signals: of a wait, and of the live query', async () => {
  const controller = new AbortController();
  const query = live(SERVER, ITEMS, [1], { signal: controller.signal });
  await assert.rejects(query.ready({ signal: AbortSignal.abort(new Error('no time')) }), /no time/);
  await query.ready(soon());
  const waits = query.includes('9000000000000000000', { signal: AbortSignal.timeout(50) });
  await assert.rejects(waits, { name: 'TimeoutError' });
  assert.equal(query.state, 'live');
  const other = query.includes('9000000000000000000');
  controller.abort();
  await assert.rejects(other, LiveError);
  assert.equal(query.state, 'closed');
  const late = live(SERVER, ITEMS, [1], { signal: AbortSignal.abort() });
  assert.equal(late.state, 'closed');
});

test('signals: of an iteration, of a connection, of other parameters, and of a result that is read once', async () => {
  const controller = new AbortController();
  const connection = connect(SERVER, { signal: controller.signal });
  const query = connection.live<Item>(ITEMS, [1], soon());
  await query.ready();
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const rows of query.iterate({ signal: AbortSignal.timeout(100) })) seen.push(rows.length);
  }, { name: 'TimeoutError' });
  assert.deepEqual(seen, [query.rows.length]);
  assert.equal(query.state, 'live');

  await assert.rejects(query.setParams([0], { signal: AbortSignal.abort(new Error('not any more')) }), /not any more/);
  assert.deepEqual(query.params, ['1']);
  // One that is on its way: whoever waits is told, and the server does what it was asked for.
  const locker = new pg.Client(SERVER);
  await locker.connect();
  await locker.query('BEGIN; LOCK items IN ACCESS EXCLUSIVE MODE');
  await assert.rejects(query.setParams([0], { signal: AbortSignal.timeout(100) }), { name: 'TimeoutError' });
  assert.equal(query.state, 'live');
  await locker.query('COMMIT');
  await locker.end();
  await until('the rows are others', () => query.rows.length > 0 && query.rows.every(({ kind }) => kind === 0));

  const nowhere = { ...SERVER, host: '127.0.0.1', port: 1 };
  await assert.rejects(once(nowhere, ITEMS, [1], { signal: AbortSignal.timeout(100) }), { name: 'TimeoutError' });

  controller.abort();
  assert.equal(query.state, 'closed');
  assert.equal(connection.live(ITEMS, [1]).state, 'closed');
  await until('nothing stays on the server', async () => {
    const { rows } = await execute("SELECT count(*)::int AS n FROM live_queries WHERE status = 'active' AND query LIKE '%FROM items WHERE kind = $1%'");
    return rows[0].n === 0;
  });
});

test('other parameters, taken by the server', async () => {
  const query = live<Item>(SERVER, ITEMS, [1], soon());
  await query.ready();
  const states: string[] = [];
  query.on('change', ({ state }) => states.push(state));
  await query.setParams([0], soon());
  await until('the rows are others', () => query.rows.every((row) => row.kind === 0) && query.rows.length > 0);
  await assert.rejects(query.setParams(['x']), { code: '22P02' });
  assert.deepEqual(query.params, ['0']);
  assert.deepEqual(new Set(states), new Set(['live']));
  query.close();
});

test('other parameters, for which it subscribes anew', async () => {
  const query = live(SERVER, 'SELECT id FROM items WHERE kind = $1 AND now() > $2::timestamptz', [1, '2000-01-01'], soon());
  await query.ready();
  const states: string[] = [];
  query.on('change', ({ state }) => states.push(state));
  await query.setParams([0, '2000-01-01'], soon());
  assert.deepEqual(states, ['stale', 'live']);
  assert.deepEqual(query.rows.map(({ id }) => id).sort(), [2, 4, 6]);
  query.close();
});

test('all live queries of a connection show one point', async () => {
  const connection = connect(SERVER);
  const sql = 'SELECT amount FROM accounts WHERE owner = $1';
  const one = connection.live<{ amount: number }>(sql, ['a'], soon());
  const two = connection.live<{ amount: number }>(sql, ['b'], soon());
  const sums = new Set<number>();
  await Promise.all([one.ready(), two.ready()]);
  const look = (): unknown => sums.add(Number(one.rows[0]?.amount) + Number(two.rows[0]?.amount));
  one.on('change', look);
  two.on('change', look);
  let xid = '';
  for (let times = 1; times <= 20; times++)
    xid = await write(`UPDATE accounts SET amount = amount + CASE owner WHEN 'a' THEN ${times} ELSE -${times} END`);
  await Promise.all([one.includes(xid), two.includes(xid)]);
  assert.deepEqual([...sums], [100]);
  assert.equal(one.rows[0]?.amount, 50 + 210);
  assert.equal(one.seq, two.seq);
  connection.close();
  assert.equal(two.state, 'closed');
});

test('a connection that is lent serves several, and stays', async () => {
  const client = new pg.Client(SERVER);
  await client.connect();
  const one = live<Item>(client, ITEMS, [1], soon());
  const two = live<Item>(client, ITEMS, [0], soon());
  await Promise.all([one.ready(), two.ready()]);
  const { rows } = await client.query('SELECT count(*)::int AS n FROM live_queries WHERE pid = pg_backend_pid()');
  assert.equal(rows[0].n, 2);
  one.close();
  two.close();
  await until('they are unsubscribed', async () => {
    const { rows } = await client.query('SELECT count(*)::int AS n FROM live_queries WHERE pid = pg_backend_pid()');
    return rows[0].n === 0;
  });
  const three = live<Item>(client, ITEMS, [0]);
  await three.ready(soon());
  await client.end();
  await until('it has ended', () => three.state === 'error');
  assert.ok(three.rows.length > 0);
});

test('a result that was read elsewhere is there from the beginning', async () => {
  const data = JSON.parse(JSON.stringify(await once<Item>(SERVER, ITEMS, [1], soon())));
  const query = live<Item>(SERVER, ITEMS, [1], { initial: data, ...soon() });
  assert.equal(query.state, 'stale');
  const { rows } = query;
  assert.ok(rows.length > 0);
  await query.ready();
  assert.equal(query.rows, rows);
  query.close();
});

test('parameters of all kinds, and numbers without loss', async () => {
  await execute("INSERT INTO big VALUES (9007199254740993, 1.5, true, '2026-01-02 03:04:05Z', '{a,b}', '{\"x\": 1}'), (9007199254740992, 2, false, now(), '{}', null)");
  const sql =
    'SELECT id, n FROM big WHERE id = $1 AND n = $2 AND flag = $3 AND at = $4 AND tags = $5 AND doc = $6 AND $7::text IS NULL';
  const params = [9007199254740993n, 1.5, true, new Date('2026-01-02T03:04:05Z'), ['a', 'b'], { x: 1 }, null];
  const query = live(SERVER, sql, params, soon());
  await query.ready();
  assert.deepEqual(query.rows, [{ id: 9007199254740993n, n: 1.5 }]);
  const both = live(SERVER, 'SELECT id FROM big', [], soon());
  await both.ready();
  await both.includes(await write('DELETE FROM big WHERE id = 9007199254740992'));
  assert.deepEqual(both.rows, [{ id: 9007199254740993n }]);
  query.close();
  both.close();
});

test('what was read elsewhere is plain JSON, and loses no digit on the way', async () => {
  await execute("DELETE FROM big; INSERT INTO big (id, tags, doc) VALUES (9007199254740993, '{9007199254740993}', '{\"n\": 9007199254740995}'), (2, '{}', null)");
  const sql = 'SELECT id, tags, doc FROM big ORDER BY id';
  const data = await once(SERVER, sql, [], soon());
  const text = JSON.stringify(data);
  assert.deepEqual(JSON.parse(text).rows, [
    { id: 2, tags: [], doc: null },
    { id: '9007199254740993', tags: ['9007199254740993'], doc: { n: '9007199254740995' } },
  ]);
  const query = live(SERVER, sql, [], { initial: JSON.parse(text), ...soon() });
  const { rows } = query;
  assert.deepEqual(rows[1], { id: 9007199254740993n, tags: ['9007199254740993'], doc: { n: 9007199254740995n } });
  await query.ready();
  assert.equal(query.rows, rows);
  assert.equal(JSON.stringify(query), JSON.stringify({ ...data, seq: query.seq, history: query.history }));
  query.close();
  assert.equal('exact' in (await once(SERVER, ITEMS, [1], soon())), false);
});

test('a server that is not there is tried again, and closing ends that', async () => {
  const query = live({ ...SERVER, host: '127.0.0.1', port: 1 }, ITEMS, [1], { firstWait: 10 });
  await until('it says why', () => query.error !== undefined);
  assert.equal(query.state, 'connecting');
  query.close();
  assert.equal(query.state, 'closed');
});

test('a role that does not exist is an error', async () => {
  const query = live({ ...SERVER, user: 'nobody_there' }, ITEMS, [1]);
  await assert.rejects(query.ready(soon()), { code: '28000' });
});
