/** What has been told of one point, until all of it is there: docs/client.md, "One point". */

import type { Query } from './query.js';
import type { Change } from './rows.js';

export class Point {
  private parts: { query: Query; changes: Change[]; seq: string }[] = [];

  get isEmpty(): boolean {
    return this.parts.length === 0;
  }

  add(query: Query, changes: Change[], seq: string): void {
    this.parts.push({ query, changes, seq });
  }

  /** What was told of that live query is thrown away. */
  leaveOut(query: Query): void {
    this.parts = this.parts.filter((part) => part.query !== query);
  }

  forget(): void {
    this.parts = [];
  }

  /** The messages of each live query, and the position of the last one. Begins another point. */
  take(): { messages: Map<Query, Change[][]>; seq: string | undefined } {
    const messages = new Map<Query, Change[][]>();
    for (const { query, changes } of this.parts) {
      const told = messages.get(query);
      if (told === undefined) messages.set(query, [changes]);
      else told.push(changes);
    }
    const seq = this.parts.at(-1)?.seq;
    this.parts = [];
    return { messages, seq };
  }
}
