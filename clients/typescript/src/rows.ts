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

  /** The changes of the messages of one point, shown by `show`. False if they do not fit: then none is applied. */
  apply(messages: readonly (readonly Change[])[]): boolean {
    if (!this.fits(messages)) return false;
    for (const changes of messages)
      if (isPlaced(changes)) this.applyPlaced(changes);
      else this.applyInTurn(changes);
    return true;
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

  /** Whether there is what is deleted or updated, and whether positions are those of a list without gaps. */
  private fits(messages: readonly (readonly Change[])[]): boolean {
    const counts = new Map<string, number>(); // of the rows of a key, where it is not as before
    let cleared = false;
    let size = this.entries.length;
    const add = (key: string, more: number): number => {
      const count = (counts.get(key) ?? (cleared ? 0 : (this.byKey.get(key)?.length ?? 0))) + more;
      counts.set(key, count);
      size += more;
      return count;
    };
    for (const changes of messages) {
      const placed = isPlaced(changes);
      const coming: { key: string; position: number }[] = [];
      for (const { op, key, position } of changes) {
        if (op === 'clear') {
          counts.clear();
          cleared = true;
          size = 0;
          continue;
        }
        if (op !== 'insert' && add(key, -1) < 0) return false;
        if (op === 'delete') continue;
        if (!placed) add(key, 1);
        else if (position === undefined) return false;
        else coming.push({ key, position });
      }
      coming.sort((left, right) => left.position - right.position);
      for (const { key, position } of coming) {
        if (position < 0 || position > size) return false;
        add(key, 1);
      }
    }
    return true;
  }

  private remember(entry: Entry): void {
    const same = this.byKey.get(entry.key);
    if (same === undefined) this.byKey.set(entry.key, [entry]);
    else same.push(entry);
  }

  /** Of the rows of a key, of which there is one, the first: where they stand can differ from when they came. */
  private first(key: string): Entry {
    const same = this.byKey.get(key) as Entry[];
    return (same.length === 1 ? same[0] : this.entries.find((entry) => same.includes(entry))) as Entry;
  }

  private forget(key: string): Entry {
    const entry = this.first(key);
    const same = this.byKey.get(key) as Entry[];
    if (same.length === 1) this.byKey.delete(key);
    else same.splice(same.indexOf(entry), 1);
    return entry;
  }

  private clear(): void {
    this.entries = [];
    this.byKey.clear();
  }

  private applyInTurn(changes: readonly Change[]): void {
    const gone = new Set<Entry>();
    for (const change of changes) {
      if (change.op === 'clear') {
        this.clear();
        gone.clear();
      } else if (change.op === 'insert') {
        this.insert({ key: change.key, row: change.row }, gone);
      } else if (change.op === 'delete') {
        gone.add(this.forget(change.key));
      } else {
        const entry = this.first(change.key);
        if (this.order !== undefined && this.order(entry.row, change.row) !== 0) {
          gone.add(this.forget(change.key));
          this.insert({ key: change.key, row: change.row }, gone);
        } else if (!isEqual(entry.row, change.row)) {
          entry.row = change.row;
        }
      }
    }
    if (gone.size > 0) this.entries = this.entries.filter((entry) => !gone.has(entry));
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

  private applyPlaced(changes: readonly Change[]): void {
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
        gone.add(entry);
        if (isEqual(entry.row, row)) row = entry.row;
      }
      if (change.op === 'delete') continue;
      coming.push({ position: change.position as number, entry: { key: change.key, row } });
    }
    const stay = this.entries.filter((entry) => !gone.has(entry));
    coming.sort((left, right) => left.position - right.position);
    this.entries = [];
    let taken = 0;
    for (const { position, entry } of coming) {
      while (this.entries.length < position) this.entries.push(stay[taken++] as Entry);
      this.entries.splice(position, 0, entry);
      this.remember(entry);
    }
    for (; taken < stay.length; taken++) this.entries.push(stay[taken] as Entry);
  }
}

/** Whether the message says where rows stand. */
function isPlaced(changes: readonly Change[]): boolean {
  return changes.some((change) => change.position !== undefined);
}

export function isEqual(left: Json, right: Json): boolean {
  return left === right || jsonText(left) === jsonText(right);
}

/** The rows of each key, in their order. */
export function grouped(shown: Shown): Map<string, RowObject[]> {
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
