/** What is asked next for the live queries of a connection. */

import type { Command, Settings } from './commands.js';
import type { Query } from './query.js';

/** What has begun is read before another begins: the server keeps a snapshot for it. */
export function nextCommandOf(queries: readonly Query[], { batch, many }: Settings): Command | undefined {
  const begun = queries.find(({ need }) => need === 'snapshot');
  if (begun !== undefined) return { kind: 'snapshot', query: begun, batch };
  for (const query of queries) {
    if (query.need === 'subscribe') return beginning(query, queries, many);
    if (query.need === 'refresh' && query.due) return { kind: 'refresh', query };
    if (query.need === 'nothing' && query.pending !== undefined)
      return { kind: 'set_params', query, params: query.pending.params };
  }
  return undefined;
}

/** Begins the first that waits, with others unless it is to begin alone. */
function beginning(first: Query, queries: readonly Query[], many: number): Command {
  const together = first.alone ? [] : queries.filter(({ need, alone }) => need === 'subscribe' && !alone).slice(0, many);
  if (together.length > 1) return { kind: 'subscribe_many', queries: together };
  return { kind: 'subscribe', query: first, params: first.params };
}
