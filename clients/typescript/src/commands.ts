/** What is asked of a server, and how it may answer. */

import type { Query } from './query.js';

/** Milliseconds, and rows. */
export interface Settings {
  random: () => number;
  batch: number;
  /** Live queries that begin by one call, at most. */
  many: number;
  heartbeat: number;
  answer: number;
  longAnswer: number;
  firstWait: number;
  longestWait: number;
}

export const SETTINGS: Settings = {
  random: Math.random,
  batch: 5000,
  many: 100,
  heartbeat: 15_000,
  answer: 10_000,
  longAnswer: 120_000,
  firstWait: 1_000,
  longestWait: 30_000,
};

export type Command =
  | { kind: 'connect' | 'disconnect' | 'progress' | 'wait_for' | 'ping' }
  | { kind: 'subscribe'; query: Query; params: readonly (string | null)[] }
  | { kind: 'subscribe_many'; queries: readonly Query[] }
  | { kind: 'set_params'; query: Query; params: readonly (string | null)[] }
  | { kind: 'snapshot'; query: Query; batch: number }
  | { kind: 'refresh' | 'unsubscribe'; query: Query };

/** What the server has answered, as texts. */
export interface Answer {
  strategy?: string;
  seq?: string;
  history?: string;
  columns?: string;
  rows?: readonly (readonly [key: string, row: string])[];
  snapshot?: string;
  told?: boolean;
  /** Of each live query that has begun, in their order. */
  subscriptions?: readonly Answer[];
}

/** Those that may have to wait, or to work. */
export const LONG: ReadonlySet<Command['kind']> = new Set([
  'subscribe',
  'subscribe_many',
  'snapshot',
  'refresh',
  'set_params',
  'wait_for',
]);

/** Whether a refusal passes by itself. */
export function passes(code: string | undefined, wasLive: boolean): boolean {
  if (code === undefined) return true;
  const always = ['08', '40', '53', '57'];
  return (wasLive ? [...always, '55', '58'] : always).includes(code.slice(0, 2));
}
