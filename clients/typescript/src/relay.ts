/** A live query as texts, each a JSON object on one line, for a mirror elsewhere. */

import { type Json, jsonText } from './json.js';
import type { LiveQuery, Signalled } from './live.js';
import type { RowObject } from './order.js';
import { grouped, type Shown } from './rows.js';

export interface RelayOptions extends Signalled {
  /** Milliseconds after which something is told though nothing has changed, so that silence means a loss. */
  heartbeat?: number | undefined;
}

/** How many elements two lists have in common at their beginnings, or at their ends, `most` at most. */
function common(before: readonly string[], now: readonly string[], most: number, fromEnd: boolean): number {
  let count = 0;
  const at = (list: readonly string[]): string | undefined => list[fromEnd ? list.length - 1 - count : count];
  while (count < most && at(before) === at(now)) count++;
  return count;
}

/**
 * How the second state comes of the first: `start` and `end` keys stay at either end, `keys` are those between them now.
 * `rows` are those that the mirror lacks, by their place.
 */
function text(query: LiveQuery, before: Shown): string {
  const { rows, keys, state, error } = query;
  const most = Math.min(before.keys.length, keys.length);
  const start = common(before.keys, keys, most, false);
  const end = common(before.keys, keys, most - start, true);
  const had = grouped(before);
  const lacking: Json[] = [];
  rows.forEach((row, at) => {
    if (had.get(keys[at] as string)?.shift() !== row) lacking.push([at, row]);
  });
  return jsonText({
    state,
    ...(error !== undefined && { error: { message: error.message, ...(error.code && { code: error.code }) } }),
    start,
    end,
    keys: keys.slice(start, keys.length - end),
    rows: lacking,
  });
}

/**
 * What a mirror has to be told, from the present state on; the newest, for who is slow. Ends by the signal, when the live
 * query is closed, and after telling that it has ended by an error. The live query goes on: others can be told of it too.
 */
export async function* relay<Row = RowObject>(
  query: LiveQuery<Row>,
  { signal, heartbeat = 15_000 }: RelayOptions = {},
): AsyncGenerator<string, void, void> {
  const source = query as LiveQuery<unknown> as LiveQuery;
  let changed = true;
  let wake = (): void => {};
  const off = source.on('change', () => {
    changed = true;
    wake();
  });
  const abort = (): void => wake();
  signal?.addEventListener('abort', abort);
  try {
    let before: Shown = { rows: [], keys: [] };
    while (!signal?.aborted && source.state !== 'closed') {
      changed = false;
      const told = text(source, before);
      before = { rows: source.rows, keys: source.keys };
      const isOver = source.state === 'error';
      yield told;
      if (isOver) return;
      if (changed || signal?.aborted) continue;
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
        timer = setTimeout(resolve, heartbeat);
      });
      clearTimeout(timer);
    }
  } finally {
    off();
    signal?.removeEventListener('abort', abort);
  }
}
