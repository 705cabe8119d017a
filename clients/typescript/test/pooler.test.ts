/** Through Debian's PgBouncer, in each of the modes that matter. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { live } from '../src/index.js';
import { conformance } from './place.js';
import { execute, SERVER, until, write } from './server.js';

class PgBouncer {
  private constructor(
    private readonly process: ChildProcess,
    readonly config: { host: string; port: number; user: string; database: string },
  ) {}

  static async start(mode: string): Promise<PgBouncer> {
    const env = {
      ...process.env,
      PGHOST: SERVER.host,
      PGPORT: String(SERVER.port),
      PGUSER: SERVER.user,
      PGDATABASE: SERVER.database,
    };
    const program = spawn('python3', [join(conformance, '../recipes/pgbouncer.py'), mode], {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const [said] = await event(program.stdout, 'data');
    return new PgBouncer(program, { ...SERVER, host: String(said).trim(), port: 6432 });
  }

  async stop(): Promise<void> {
    const ended = event(this.process, 'exit');
    this.process.stdin?.end();
    await ended;
  }
}

before(async () => {
  await execute(`
    CREATE EXTENSION IF NOT EXISTS live_queries;
    DROP TABLE IF EXISTS pooled;
    CREATE TABLE pooled (id int PRIMARY KEY);
    INSERT INTO pooled VALUES (1);`);
});

test('a pooler that gives each session one connection', async () => {
  const pooler = await PgBouncer.start('session');
  try {
    const query = live(pooler.config, 'SELECT id FROM pooled', [], { signal: AbortSignal.timeout(120_000) });
    await query.ready();
    await query.includes(await write('INSERT INTO pooled VALUES (2)'));
    assert.deepEqual(query.rows, [{ id: 1 }, { id: 2 }]);
    query.close();
  } finally {
    await pooler.stop();
  }
});

test('one that gives each transaction another is refused, with the cure', async () => {
  const pooler = await PgBouncer.start('transaction');
  try {
    const query = live(pooler.config, 'SELECT id FROM pooled');
    await assert.rejects(query.ready({ signal: AbortSignal.timeout(120_000) }), (error: { code?: string; hint?: string }) => {
      assert.equal(error.code, '0A000');
      assert.match(String(error.hint), /pool_mode = session/);
      return true;
    });
    assert.equal(query.state, 'error');
    await until('nothing stays on the server', async () => {
      const { rows } = await execute("SELECT count(*)::int AS n FROM live_queries WHERE status = 'active' AND query LIKE '%pooled%'");
      return rows[0].n === 0;
    });
  } finally {
    await pooler.stop();
  }
});
