/** A live query as what a collection of TanStack DB is synchronized with. */

import type { CollectionConfig, SyncConfig } from '@tanstack/db';
import { LiveError } from './error.js';
import type { State } from './query.js';
import type { LiveSource, Reason } from './source.js';

export interface LiveCollectionOptions<Row extends object, Key extends string | number>
  extends Omit<CollectionConfig<Row, Key, never>, 'sync' | 'syncMode' | 'schema' | 'utils'> {
  /** Makes the live query, or a mirror of one, whenever the collection starts. It is closed when that is cleaned up. */
  live: () => LiveSource<Row>;
}

export interface LiveCollectionUtils<Row> {
  /** The live query that the collection shows at present: its state, and why it is not live. `useLive` takes it. */
  live: LiveSource<Row>;
  [name: string]: any;
}

const NONE: readonly never[] = [];

/** Whichever live query the collection has; `closed` before it starts, and when it has been cleaned up. */
class Present<Row> implements LiveSource<Row> {
  private source: LiveSource<Row> | undefined;
  private failure: Reason | undefined;
  private readonly listeners = new Set<() => void>();

  get rows(): readonly Row[] {
    return this.source?.rows ?? NONE;
  }

  get state(): State {
    return this.failure === undefined ? (this.source?.state ?? 'closed') : 'error';
  }

  get error(): Reason | undefined {
    return this.failure ?? this.source?.error;
  }

  on(_event: 'change', listener: () => void): () => void {
    const own = (): void => listener(); // of two equal ones each counts
    this.listeners.add(own);
    return () => {
      this.listeners.delete(own);
    };
  }

  become(source: LiveSource<Row> | undefined, failure?: Reason): void {
    this.source = source;
    this.failure = failure;
    this.tell();
  }

  tell(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

/**
 * Options for `createCollection`: each point of the live query is one transaction of the collection. It is ready when there are
 * rows to be shown, stale ones included, and stays so: what becomes of the live query then is told by `utils.live`.
 */
export function liveCollectionOptions<Row extends object, Key extends string | number = string | number>(
  options: LiveCollectionOptions<Row, Key>,
): CollectionConfig<Row, Key, never, LiveCollectionUtils<Row>> & { schema?: never; utils: LiveCollectionUtils<Row> } {
  const { live, ...rest } = options;
  const present = new Present<Row>();

  const sync: SyncConfig<Row, Key>['sync'] = ({ begin, write, commit, markReady, markError }) => {
    const source = live();
    let synced = new Map<Key, Row>();
    let isReady = false;
    let off = (): void => {};
    const leave = (): void => {
      off();
      source.close?.();
    };

    /** By their keys; none if these do not tell them apart. */
    const keyed = (): Map<Key, Row> | undefined => {
      const rows = new Map(source.rows.map((row) => [options.getKey(row), row]));
      return rows.size === source.rows.length ? rows : undefined;
    };

    const put = (rows: Map<Key, Row>): void => {
      const gone = [...synced].filter(([key]) => !rows.has(key));
      const come = [...rows].filter(([key, row]) => synced.get(key) !== row);
      if (gone.length + come.length === 0) return;
      begin();
      for (const [, value] of gone) write({ type: 'delete', value });
      for (const [key, value] of come) write({ type: synced.has(key) ? 'update' : 'insert', value });
      synced = rows;
      commit();
    };

    const fail = (error: Reason | undefined): void => {
      if (!isReady) markError(error);
    };

    const follow = (): void => {
      const rows = keyed();
      if (rows === undefined) {
        const error = new LiveError('two rows have the same key: getKey does not tell them apart');
        leave();
        fail(error);
        present.become(undefined, error);
        return;
      }
      put(rows);
      if (source.state === 'error') fail(source.error);
      else if (!isReady && (source.state === 'live' || source.state === 'stale')) {
        isReady = true;
        markReady();
      }
      present.tell();
    };

    present.become(source);
    off = source.on('change', follow);
    follow();
    return () => {
      leave();
      present.become(undefined);
    };
  };

  return { ...rest, sync: { sync, rowUpdateMode: 'full' }, utils: { live: present } };
}
