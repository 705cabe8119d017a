/** Runs clients/conformance/faults: a real server behind a proxy that fails. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect, type LiveConnection, type LiveQuery } from '../src/index.js';
import { jsonText, parseJson } from '../src/json.js';
import { postgresJs } from '../src/postgres-js.js';
import { conformance } from './place.js';
import { execute, Proxy, SERVER, until, write } from './server.js';

type Connect = (place: typeof SERVER, options: ConnectionOptions) => LiveConnection;

/** By each driver, a connection of a client. */
const DRIVERS: Record<string, Connect> = {
  pg: connect,
  'postgres.js': (place, options) => connect(postgresJs(place), options),
};

// A step is whatever the file has.
type Step = Record<string, any>;

class Scenario {
  private connection!: LiveConnection;
  private readonly queries: { name: string; live: LiveQuery; sql: string; params: string[]; told: Set<string> }[] = [];

  constructor(
    private readonly file: Step,
    private readonly connect: Connect,
    private readonly proxy: Proxy,
  ) {}

  async run(): Promise<void> {
    try {
      for (const sql of this.file.setup) await execute(sql);
      await this.steps();
    } finally {
      for (const sql of this.file.cleanup ?? []) await execute(sql);
    }
  }

  private async steps(): Promise<void> {
    const { heartbeat, answer, long_answer, first_wait, longest_wait } = this.file.options;
    const times = { heartbeat, answer, longAnswer: long_answer, firstWait: first_wait, longestWait: longest_wait };
    this.connection = this.connect({ ...SERVER, host: '127.0.0.1', port: this.proxy.port }, times);
    try {
      let isFirst = true;
      for (const step of this.file.steps as Step[]) {
        // A fault that stands first is there before the client.
        if (isFirst && !('fault' in step)) this.add();
        if (isFirst && 'fault' in step) {
          await this.step(step);
          this.add();
        } else await this.step(step);
        isFirst = false;
      }
    } finally {
      this.connection.close();
    }
  }

  private add(): void {
    for (const [name, { sql, params }] of Object.entries(this.file.queries as Step)) {
      const live = this.connection.live(sql, params);
      const told = new Set<string>();
      live.on('change', ({ state }) => told.add(state));
      this.queries.push({ name, live, sql, params, told });
    }
  }

  private async step(step: Step): Promise<void> {
    if ('sql' in step) {
      for (let time = 0; time < (step.times ?? 1); time++) for (const sql of step.sql) await execute(sql);
    } else if ('fault' in step) {
      for (const { told } of this.queries) told.clear();
      if (step.fault === 'restart')
        restart();
      else await this.proxy.tell(step.fault);
    } else if ('until' in step) {
      await until(`all are ${step.until}`, () =>
        this.queries.every(
          ({ name, live, told }) =>
            (step.of !== undefined && step.of !== name) || live.state === step.until || told.has(step.until),
        ),
      );
    } else if ('equal' in step) await until('equal results', () => this.equal());
    else if ('includes' in step) {
      const [{ live, sql, params }] = this.queries as [(typeof this.queries)[number]];
      const xid = await write(step.includes);
      await live.includes(xid, { signal: AbortSignal.timeout(120_000) });
      assert.equal(this.text(live, sql), await this.expected(sql, params));
    } else if ('sleep' in step) await sleep(step.sleep);
    else assert.fail('no such step');
  }

  private async equal(): Promise<boolean> {
    for (const { live, sql, params } of this.queries) {
      if (live.state === 'error') throw live.error;
      if (live.state !== 'live' || this.text(live, sql) !== (await this.expected(sql, params))) return false;
    }
    return true;
  }

  private text(live: LiveQuery, sql: string): string {
    const rows = live.rows.map((row) => jsonText(row));
    return (/ORDER BY/i.test(sql) ? rows : rows.sort()).join('\n');
  }

  private async expected(sql: string, params: string[]): Promise<string> {
    const query = sql.replace(/\$(\d+)/g, (_, number) => `'${params[Number(number) - 1]}'`);
    const { rows } = await execute(`SELECT row_to_json(q)::text AS row FROM (${query}) AS q`);
    const texts = rows.map(({ row }) => jsonText(parseJson(row)));
    return (/ORDER BY/i.test(sql) ? texts : texts.sort()).join('\n');
  }
}

function restart(): void {
  const { PGDATA = '', PGLOG = '/dev/null' } = process.env;
  execFileSync('pg_ctl', ['-D', PGDATA, '-l', PGLOG, '-m', 'fast', '-w', 'restart'], { stdio: 'ignore' });
}

const directory = join(conformance, 'faults');
for (const name of readdirSync(directory).sort())
  for (const [driver, connectBy] of Object.entries(DRIVERS))
    test(`faults/${name}, by ${driver}`, async () => {
      await execute('CREATE EXTENSION IF NOT EXISTS live_queries');
      const proxy = await Proxy.start();
      try {
        await new Scenario(JSON.parse(readFileSync(join(directory, name), 'utf8')), connectBy, proxy).run();
      } finally {
        proxy.stop();
      }
    });
