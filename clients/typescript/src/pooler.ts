/**
 * Finds out whether a pooler stands before the server that gives each transaction another connection.
 *
 * Through such a one (PgBouncer with pool_mode = transaction) subscribing succeeds, and then nothing is ever told. That
 * cannot be seen from the server; but a client can: the process that it reaches is not the one that its connection began
 * with, and another client reaches that one too.
 */

import type { Client } from 'pg';
import { LiveError } from './error.js';

/** Milliseconds for the other client, after which nothing is known. */
const PATIENCE = 3_000;

function poolerError(): LiveError {
  return new LiveError('a pooler gives each transaction another connection, so live queries cannot work through it', {
    code: '0A000',
    hint: 'Let it give each session one connection (PgBouncer: pool_mode = session), or connect to the server itself.',
  });
}

async function reached(client: Client): Promise<string> {
  const { rows } = await client.query<{ pid: string }>('SELECT pg_backend_pid()::text AS pid');
  return rows[0]?.pid ?? '';
}

/** Throws, if there is such a pooler before `client`. `another` makes a client like it, not connected yet. */
export async function checkPooler(client: Client, another: () => Client, destroy: (client: Client) => void): Promise<void> {
  const pid = await reached(client);
  if (pid === String((client as unknown as { processID?: number | null }).processID)) return;
  const other = another();
  other.on('error', () => {});
  const timer = setTimeout(() => destroy(other), PATIENCE);
  let isShared = false;
  try {
    await other.connect();
    isShared = (await reached(other)) === pid;
  } catch {
    // Nothing is known.
  } finally {
    clearTimeout(timer);
    destroy(other);
  }
  if (isShared) throw poolerError();
}
