/** Hooks for React: the rows of a live query, and its state. */

import { useMemo, useState, useSyncExternalStore } from 'react';
import { EventMirror } from './mirror.js';
import type { RowObject } from './order.js';
import type { InitialData } from './initial.js';
import type { State } from './query.js';
import type { LiveSource, Reason } from './source.js';

/** The same object until something of it changes. */
export interface LiveResult<Row> {
  readonly rows: readonly Row[];
  readonly state: State;
  readonly error: Reason | undefined;
}

const results = new WeakMap<object, LiveResult<unknown>>();

function resultOf<Row>(source: LiveSource<Row>): LiveResult<Row> {
  const { rows, state, error } = source;
  const known = results.get(source) as LiveResult<Row> | undefined;
  if (known?.rows === rows && known.state === state && known.error === error) return known;
  const result = { rows, state, error };
  results.set(source, result);
  return result;
}

/** Shows a live query, or a mirror of one. Whoever made it closes it. */
export function useLive<Row = RowObject>(source: LiveSource<Row>): LiveResult<Row> {
  const [subscribe, read] = useMemo(
    () => [(listener: () => void) => source.on('change', listener), () => resultOf(source)] as const,
    [source],
  );
  return useSyncExternalStore(subscribe, read, read);
}

export interface LiveEventsOptions<Row = RowObject> {
  /** What it begins with, also where it is rendered on a server. It belongs to the component's first `url`. */
  initial?: InitialData<Row> | undefined;
}

/** Shows what a relay sends at `url` as server-sent events, while the component is there. */
export function useLiveEvents<Row = RowObject>(url: string, { initial }: LiveEventsOptions<Row> = {}): LiveResult<Row> {
  const [first] = useState({ url, initial });
  const mirror = useMemo(() => new EventMirror<Row>(url, url === first.url ? { initial: first.initial } : {}), [url, first]);
  return useLive(mirror);
}
