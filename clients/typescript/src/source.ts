/** Whatever can be shown as a live query: one of a server's, or a mirror of it in a browser. */

import type { RowObject } from './order.js';
import type { State } from './query.js';

/** Why something is not live. `code` is an SQLSTATE, where the server said it. */
export interface Reason {
  readonly message: string;
  readonly code?: string | undefined;
}

export interface LiveSource<Row = RowObject> {
  /** The same array until the rows change. */
  readonly rows: readonly Row[];
  readonly state: State;
  readonly error: Reason | undefined;
  /** Calls for each visible change. Returns what ends that. */
  on(event: 'change', listener: () => void): () => void;
  /** Ends it, where that is not done by the last listener. */
  close?(): void;
}
