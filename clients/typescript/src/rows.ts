/** A result that is kept in step with its query: the first rows, and the changes applied to them. */

import { type Json, jsonText } from './json.js';
import type { Order, RowObject } from './order.js';

export interface Change {
  op: 'insert' | 'update' | 'delete' | 'clear';
  key: string;
  row: RowObject;
  position?: number;
}

/** The keys, as JSON text, of the rows by which a result differs from another one. */
export interface Difference {
  entered: string[];
  changed: string[];
  left: string[];
}

interface Entry {
  readonly key: string;
  row: RowObject;
}

/** What is shown: never changed, but replaced. */
export interface Shown {
  readonly rows: readonly RowObject[];
  readonly keys: readonly string[];
}

const NOTHING: Shown = { rows: [], keys: [] };

export class Rows {
  shown: Shown = NOTHING;
  order: Order | undefined;
  private entries: Entry[] = [];
  private byKey = new Map<string, Entry[]>();

  /** Another first result, shown by `show`. Rows that are as they were stay the same objects. */
  replace(rows: readonly { key: string; row: RowObject }[]): void {
    const before = grouped(this.shown);
    this.entries = [];
    this.byKey = new Map();
    for (const { key, row } of rows) {
      const same = before.get(key)?.shift();
      const entry = { key, row: same !== undefined && isEqual(same, row) ? same : row };
      this.entries.push(entry);
      this.remember(entry);
    }
  }

  /**
   * The changes of one message, shown by `show`. False if they do not fit: then this is out of
   * step, whatever is shown, until it is replaced.
   */
  apply(changes: readonly Change[]): boolean {
    const placed = changes.some((change) => change.position !== undefined);
    return placed ? this.applyPlaced(changes) : this.applyInTurn(changes);
  }

  /** None if nothing of the rows and their order is another. */
  show(): Difference | undefined {
    const before = this.shown;
    const rows = this.entries.map((entry) => entry.row);
    if (rows.length === before.rows.length && rows.every((row, at) => row === before.rows[at]))
      return undefined;
    this.shown = { rows, keys: this.entries.map((entry) => entry.key) };
    return difference(before, this.shown);
  }

  private remember(entry: Entry): void {
    const same = this.byKey.get(entry.key);
    if (same === undefined) this.byKey.set(entry.key, [entry]);
    else same.push(entry);
  }

  /** The first of that key. */
  private forget(key: string): Entry | undefined {
    const same = this.byKey.get(key);
    if (same === undefined) return undefined;
    // Of equal rows the first: where they stand in a list can differ from when they came.
    const entry = same.length === 1 ? same[0] : this.entries.find((other) => same.includes(other));
    if (same.length === 1) this.byKey.delete(key);
    else same.splice(same.indexOf(entry as Entry), 1);
    return entry;
  }

  private clear(): void {
    this.entries = [];
    this.byKey.clear();
  }

  private applyInTurn(changes: readonly Change[]): boolean {
    const gone = new Set<Entry>();
    for (const change of changes) {
      if (change.op === 'clear') {
        this.clear();
        gone.clear();
      } else if (change.op === 'insert') {
        this.insert({ key: change.key, row: change.row }, gone);
      } else if (change.op === 'delete') {
        const entry = this.forget(change.key);
        if (entry === undefined) return false;
        gone.add(entry);
      } else {
        const entry = this.byKey.get(change.key)?.[0];
        if (entry === undefined) return false;
        if (this.order !== undefined && this.order(entry.row, change.row) !== 0) {
          this.forget(change.key);
          gone.add(entry);
          this.insert({ key: change.key, row: change.row }, gone);
        } else if (!isEqual(entry.row, change.row)) {
          entry.row = change.row;
        }
      }
    }
    if (gone.size > 0) this.entries = this.entries.filter((entry) => !gone.has(entry));
    return true;
  }

  private insert(entry: Entry, gone: ReadonlySet<Entry>): void {
    let at = this.entries.length;
    // From the end, where most rows belong that come later.
    for (const order = this.order; order !== undefined && at > 0; at--) {
      const before = this.entries[at - 1] as Entry;
      if (!gone.has(before) && order(entry.row, before.row) >= 0) break;
    }
    if (at === this.entries.length) this.entries.push(entry);
    else this.entries.splice(at, 0, entry);
    this.remember(entry);
  }

  private applyPlaced(changes: readonly Change[]): boolean {
    const gone = new Set<Entry>();
    const coming: { position: number; entry: Entry }[] = [];
    for (const change of changes) {
      let row = change.row;
      if (change.op === 'clear') {
        this.clear();
        continue;
      }
      if (change.op !== 'insert') {
        const entry = this.forget(change.key);
        if (entry === undefined) return false;
        gone.add(entry);
        if (isEqual(entry.row, row)) row = entry.row;
      }
      if (change.op === 'delete') continue;
      if (change.position === undefined) return false;
      coming.push({ position: change.position, entry: { key: change.key, row } });
    }
    const stay = this.entries.filter((entry) => !gone.has(entry));
    coming.sort((left, right) => left.position - right.position);
    this.entries = [];
    let taken = 0;
    for (const { position, entry } of coming) {
      const among = position - this.entries.length;
      if (among < 0 || taken + among > stay.length) return false;
      for (let count = 0; count < among; count++) this.entries.push(stay[taken++] as Entry);
      this.entries.push(entry);
      this.remember(entry);
    }
    for (; taken < stay.length; taken++) this.entries.push(stay[taken] as Entry);
    return true;
  }
}

export function isEqual(left: Json, right: Json): boolean {
  return left === right || jsonText(left) === jsonText(right);
}

function grouped(shown: Shown): Map<string, RowObject[]> {
  const groups = new Map<string, RowObject[]>();
  shown.keys.forEach((key, at) => {
    const row = shown.rows[at] as RowObject;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  });
  return groups;
}

function difference(before: Shown, now: Shown): Difference {
  const earlier = grouped(before);
  const found: Difference = { entered: [], changed: [], left: [] };
  now.keys.forEach((key, at) => {
    const row = earlier.get(key)?.shift();
    if (row === undefined) found.entered.push(key);
    else if (!isEqual(row, now.rows[at] as RowObject)) found.changed.push(key);
  });
  for (const [key, rows] of earlier) for (const _ of rows) found.left.push(key);
  return found;
}
