/** What a connection is to the machine: commands as SQL, notifications, and its loss. */

import type { Answer, Command } from './commands.js';
import { LiveError } from './error.js';
import { arrayText } from './params.js';
import type { Query } from './query.js';

/** A row, each column as text. */
export type Texts = readonly (string | null)[];

/** One connection to a server, whatever the driver. */
export interface Channel {
  /**
   * Executes a statement, and tells its rows: before any notification is told that the server sent after
   * them, and after those that it sent before.
   */
  query(statement: Statement, done: (error: Error | undefined, rows: Texts[]) => void): void;
  /** Ends it at once, without a word to the server where that would have to wait. */
  destroy(): void;
}

export interface Listener {
  notification(channel: string, payload: string): void;
  /** The connection has ended, or is broken. */
  lost(error: Error): void;
  /** Something that the server says while it works. */
  notice(message: string): void;
}

/** Makes a connection. `signal` gives it up. */
export type Connector = (listener: Listener, signal: AbortSignal) => Promise<Channel>;

/** As far as an error tells: what the server says, with its SQLSTATE, or that there is no connection. */
export function liveError(error: unknown): LiveError {
  if (error instanceof LiveError) return error;
  const { message, code, severity, detail, hint } = error as Record<string, unknown>;
  const text = typeof message === 'string' && message !== '' ? message : `no connection (${String(code ?? error)})`;
  if (typeof severity !== 'string' || typeof code !== 'string') return new LiveError(text, { cause: error });
  return new LiveError(text, {
    code,
    ...(typeof detail === 'string' && { detail }),
    ...(typeof hint === 'string' && { hint }),
    cause: error,
  });
}

const SUBSCRIBE_MANY = 'SELECT strategy, seq, history, columns::text, channel FROM live.subscribe_many($1::text::jsonb)';

const SUBSCRIBE =
  'SELECT strategy, seq, history, columns::text, channel FROM live.subscribe($1, $2, $3::text[], ' +
  "throttle => $4::interval, refresh_every => $5::interval)";

export interface Statement {
  sql: string;
  values: readonly (string | null)[];
}

/** Of a command that is one. */
export function statementOf(command: Command): Statement {
  switch (command.kind) {
    case 'subscribe': {
      const { query, params } = command;
      const values = [query.id, query.sql, arrayText(params), query.throttle ?? '0', query.refreshEvery ?? '1s'];
      return { sql: SUBSCRIBE, values };
    }
    case 'subscribe_many':
      return { sql: SUBSCRIBE_MANY, values: [JSON.stringify(command.queries.map(definitionOf))] };
    case 'snapshot': {
      const values = [command.query.id, String(command.batch)];
      return { sql: 'SELECT key::text, "row"::text FROM live.snapshot($1, $2::int)', values };
    }
    case 'refresh':
      return { sql: 'SELECT live.refresh($1)', values: [command.query.id] };
    case 'set_params':
      return { sql: 'SELECT live.set_params($1, $2::text[])', values: [command.query.id, arrayText(command.params)] };
    case 'unsubscribe':
      return { sql: 'SELECT live.unsubscribe($1)', values: [command.query.id] };
    case 'progress':
      return { sql: "SET live_queries.progress_interval = '100ms'", values: [] };
    case 'wait_for':
      return { sql: "SELECT pg_current_snapshot()::text, live.wait_for(timeout => '5s')::text", values: [] };
    default:
      return { sql: 'SELECT 1', values: [] };
  }
}

/** As live.subscribe_many takes it; what is undefined is left out. */
function definitionOf({ id, sql, params, throttle, refreshEvery }: Query): Record<string, unknown> {
  return { subscription_id: id, query: sql, params, throttle, refresh_every: refreshEvery };
}

function subscriptionOf([strategy, seq, history, columns]: Texts): Answer {
  return { strategy: strategy ?? '', seq: seq ?? '', history: history ?? '', columns: columns ?? '' };
}

/** Of the rows of its statement. */
export function answerOf(command: Command, rows: Texts[]): Answer {
  const [first] = rows;
  const text = (at: number): string => first?.[at] ?? '';
  switch (command.kind) {
    case 'subscribe':
      return subscriptionOf(first ?? []);
    case 'subscribe_many':
      return { subscriptions: rows.map(subscriptionOf) };
    case 'snapshot':
      return { rows: rows as [string, string][] };
    case 'wait_for':
      return { snapshot: text(0), told: text(1) === 'true' };
    default:
      return {};
  }
}

/** The channel, of an answer to `subscribe` or `subscribe_many`, on which notifications come. */
export function channelName(rows: Texts[]): string {
  return rows[0]?.[4] ?? '';
}
