/** The real server: where PGHOST and its like say, with a connection beside the client, and a proxy between. */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { conformance } from './place.js';

export const SERVER = {
  host: process.env.PGHOST ?? '/var/run/postgresql',
  port: Number(process.env.PGPORT ?? 5432),
  user: process.env.PGUSER ?? 'postgres',
  database: process.env.PGDATABASE ?? 'postgres',
};

/** Without a connection that stays: the server may be restarted. */
export async function execute(sql: string): Promise<pg.QueryResult> {
  const client = new pg.Client(SERVER);
  client.on('error', () => {});
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Executes it, and tells the number of its transaction. */
export async function write(sql: string): Promise<string> {
  const results = (await execute(
    `BEGIN; ${sql}; SELECT pg_current_xact_id()::text AS xid; COMMIT`,
  )) as unknown as pg.QueryResult[];
  return results.at(-2)?.rows[0].xid;
}

/** Until it is true, two minutes at most. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 120_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within 120 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export class Proxy {
  private constructor(
    private readonly process: ChildProcess,
    private readonly answers: AsyncIterator<string>,
    readonly port: number,
  ) {}

  static async start(): Promise<Proxy> {
    const process = spawn('python3', [join(conformance, 'proxy.py'), '--host', SERVER.host, '--port', String(SERVER.port)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const answers = createInterface({ input: process.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    const { value } = await answers.next();
    return new Proxy(process, answers, Number(/^listening (\d+)$/.exec(value)?.[1]));
  }

  async tell(command: string): Promise<void> {
    this.process.stdin?.write(`${command}\n`);
    const { value } = await this.answers.next();
    if (value !== 'ok') throw new Error(`the proxy: ${value}`);
  }

  stop(): void {
    this.process.kill();
  }
}
