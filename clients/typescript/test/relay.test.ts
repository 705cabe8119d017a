/** A relay of a live query on a real server, and mirrors of it. */

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { live, relay } from '../src/index.js';
import { EventMirror, jsonText, Mirror } from '../src/mirror.js';
import { execute, SERVER, until, write } from './server.js';

interface Item {
  id: number;
  txt: string;
}

const soon = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(120_000) });

before(async () => {
  await execute(`
    CREATE EXTENSION IF NOT EXISTS live_queries;
    DROP TABLE IF EXISTS relayed;
    CREATE TABLE relayed (id int PRIMARY KEY, place int, txt text);
    INSERT INTO relayed SELECT n, n * 10, 'item ' || n FROM generate_series(1, 8) AS n;`);
});

const CHANGES = [
  "UPDATE relayed SET txt = 'changed' WHERE id = 3",
  "INSERT INTO relayed VALUES (20, 35, 'in between')",
  'DELETE FROM relayed WHERE id IN (1, 5)',
  'UPDATE relayed SET place = 1000 - place',
  "UPDATE relayed SET place = 1, txt = 'first' WHERE id = 8",
  "INSERT INTO relayed SELECT n, n, 'item 4' FROM generate_series(100, 103) AS n",
  'DELETE FROM relayed',
  "INSERT INTO relayed VALUES (1, 1, 'again'), (2, 1, 'again')",
];

for (const [what, sql] of Object.entries({
  'with an order': 'SELECT id, txt FROM relayed ORDER BY place, id LIMIT 6',
  'without an order': 'SELECT id, txt FROM relayed',
  'with equal rows': 'SELECT txt FROM relayed ORDER BY txt',
}))
  test(`relay: a mirror of a result ${what} is as the live query at each text`, async () => {
    const query = live<Item>(SERVER, sql, [], soon());
    const [early, late] = [new Mirror<Item>(), new Mirror<Item>()];
    await query.ready();
    const texts = relay(query, { heartbeat: 200 }); // not each change concerns each query
    early.take((await texts.next()).value as string);
    const after = async (change: string): Promise<void> => {
      const shown = new Map(early.keys.map((key, at) => [key, early.rows[at]]));
      await query.includes(await write(change), soon());
      early.take((await texts.next()).value as string);
      assert.equal(jsonText(early.rows as never), jsonText(query.rows as never));
      assert.deepEqual(early.keys, query.keys);
      assert.equal(early.state, 'live');
      if (new Set(early.keys).size === early.keys.length)
        early.keys.forEach((key, at) => {
          const row = shown.get(key);
          if (jsonText(row as never) === jsonText(early.rows[at] as never)) assert.equal(early.rows[at], row);
        });
    };
    for (const change of CHANGES) {
      await after(change);
      // Each first text says all, whatever was shown before.
      late.take((await relay(query).next()).value as string);
      assert.equal(jsonText(late.rows as never), jsonText(query.rows as never));
    }
    query.close();
    assert.deepEqual(await texts.next(), { value: undefined, done: true });
  });

test('relay: a change at the end of a long result is told by little', async () => {
  await execute("DELETE FROM relayed; INSERT INTO relayed SELECT n, n, 'x' FROM generate_series(1, 2000) AS n");
  const query = live<Item>(SERVER, 'SELECT id, txt FROM relayed ORDER BY id', [], soon());
  await query.ready();
  const texts = relay(query);
  await texts.next();
  await query.includes(await write("UPDATE relayed SET txt = 'y' WHERE id = 1000; INSERT INTO relayed VALUES (3000, 1, 'z')"));
  const { value } = await texts.next();
  assert.ok((value as string).length < 200, value as string);
  query.close();
});

test('relay: who is slow is told the newest, and silence is broken', async () => {
  await execute("DELETE FROM relayed; INSERT INTO relayed VALUES (1, 1, 'one')");
  const query = live<Item>(SERVER, 'SELECT id, txt FROM relayed', [], soon());
  await query.ready();
  const mirror = new Mirror<Item>();
  const texts = relay(query, { heartbeat: 50 });
  mirror.take((await texts.next()).value as string);
  for (const txt of ['two', 'three', 'four']) await query.includes(await write(`UPDATE relayed SET txt = '${txt}'`));
  mirror.take((await texts.next()).value as string);
  assert.deepEqual(mirror.rows, [{ id: 1, txt: 'four' }]);
  let told = 0;
  mirror.on('change', () => told++);
  const { rows } = mirror;
  mirror.take((await texts.next()).value as string);
  assert.equal(mirror.rows, rows);
  assert.equal(told, 0);
  const ended = new AbortController();
  const other = relay(query, { signal: ended.signal });
  await other.next();
  const waits = other.next();
  ended.abort();
  assert.equal((await waits).done, true);
  assert.equal(query.state, 'live');
  query.close();
});

test('relay: an error is told, and is the end', async () => {
  const query = live(SERVER, 'SELECT nothing FROM nowhere');
  const mirror = new Mirror({ rows: [{ id: 1 }], keys: ['[1]'] });
  const states: string[] = [];
  for await (const text of relay(query)) {
    mirror.take(text);
    states.push(mirror.state);
  }
  assert.deepEqual(states, ['stale', 'error']);
  assert.equal(mirror.error?.code, '42P01');
});

/** What a browser has: what is opened is seen by the test. */
class Events {
  static opened: Events[] = [];
  isClosed = false;
  onopen = (): void => {};
  onmessage = (_event: { data: string }): void => {};
  onerror = (): void => {};

  constructor(readonly url: string) {
    Events.opened.push(this);
  }

  close(): void {
    this.isClosed = true;
  }

  tell(state: string): void {
    this.onmessage({ data: jsonText({ state, start: 0, end: 0, keys: ['[1]'], rows: [[0, { id: 1 }]] }) });
  }
}

test('mirror of events: what is lost, silent or cannot be read is opened again, while somebody looks', async () => {
  Object.assign(globalThis, { EventSource: Events });
  const mirror = new EventMirror('/items', { silence: 100 });
  assert.equal(Events.opened.length, 0);
  const off = mirror.on('change', () => {});
  const another = mirror.on('change', () => {});
  const last = (): Events => Events.opened.at(-1) as Events;
  const comesBack = async (reason: RegExp): Promise<void> => {
    const before = last();
    await until('it is stale', () => mirror.state === 'stale');
    assert.match(String(mirror.error?.message), reason);
    assert.deepEqual(mirror.rows, [{ id: 1 }]);
    assert.equal(before.isClosed, true);
    await until('it is opened again', () => last() !== before);
    last().tell('live');
    assert.equal(mirror.state, 'live');
    assert.equal(mirror.error, undefined);
  };
  last().tell('live');
  await comesBack(/tells nothing/);
  last().onerror();
  await comesBack(/is lost/);
  last().onmessage({ data: 'nonsense' });
  await comesBack(/could not be read/);
  off();
  off();
  assert.equal(last().isClosed, false);
  another();
  assert.equal(last().isClosed, true);
  assert.equal(mirror.state, 'stale');
  const { length } = Events.opened;
  const end = mirror.on('change', () => {});
  assert.equal(Events.opened.length, length + 1);
  last().tell('error');
  assert.equal(last().isClosed, true);
  await sleep(1_500);
  assert.equal(Events.opened.length, length + 1);
  end();
});
