/** How a query without LIMIT orders its rows, as far as the columns that it shows tell. */

import { type Json, jsonText } from './json.js';

export interface Column {
  name: string;
  type: string;
  /** The element of a key that this column is. */
  key?: number;
  /** Its place in the query's ORDER BY. */
  order?: number;
  descending?: boolean;
  nulls_first?: boolean;
}

export type RowObject = { [column: string]: Json };

/** Below 0 where `left` stands before `right`, 0 where nothing is known. */
export type Order = (left: RowObject, right: RowObject) => number;

/** By code points, as UTF-8 bytes compare: UTF-16 has some of the basic plane above all others. */
function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at++) {
    if (left.charCodeAt(at) !== right.charCodeAt(at))
      return place(left.charCodeAt(at)) - place(right.charCodeAt(at));
  }
  return left.length - right.length;
}

/** Surrogates stand for what comes after everything else. */
function place(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function isNumber(value: Json): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

function compareValues(left: Json, right: Json): number {
  if (isNumber(left) && isNumber(right)) return left < right ? -1 : left > right ? 1 : 0;
  return compareText(text(left), text(right));
}

function text(value: Json): string {
  return typeof value === 'string' ? value : jsonText(value);
}

/** None if no column tells. */
export function orderOf(columns: readonly Column[]): Order | undefined {
  const terms: Column[] = [];
  // A place that no column has belongs to something that is not shown: what comes after it says
  // nothing.
  for (;;) {
    const term = columns.find((column) => column.order === terms.length);
    if (term === undefined) break;
    terms.push(term);
  }
  if (terms.length === 0) return undefined;
  return (left, right) => {
    for (const term of terms) {
      const a = left[term.name] ?? null;
      const b = right[term.name] ?? null;
      if (a === null || b === null) {
        if (a === b) continue;
        return (a === null) === (term.nulls_first ?? false) ? -1 : 1;
      }
      const compared = compareValues(a, b);
      if (compared !== 0) return term.descending ? -compared : compared;
    }
    return 0;
  };
}
