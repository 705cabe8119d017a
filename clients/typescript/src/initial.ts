/**
 * A result as plain JSON, with which another live query can begin: docs/client.md, "Initial data".
 *
 * JSON.stringify knows no bigint. So a row that has one is given with texts in their place, and its own JSON text beside it.
 */

import { type Json, jsonText, parseJson } from './json.js';
import type { RowObject } from './order.js';

/** A result as plain JSON: what a page that is rendered on a server is given. */
export interface InitialData<Row = RowObject> {
  /** A whole number beyond 2⁵³ stands in them as a text. */
  rows: readonly Row[];
  keys: readonly string[];
  seq?: string | undefined;
  history?: string | undefined;
  /** The JSON texts, by their place in `rows`, of rows with a number that stands as a text there. */
  exact?: Readonly<Record<string, string>> | undefined;
}

/** The value with texts for what is no plain JSON; itself, if there is none. */
function plain(value: Json): Json {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map(plain);
    return items.some((item, at) => item !== value[at]) ? items : value;
  }
  const members = Object.entries(value).map(([name, member]) => [name, plain(member)] as const);
  return members.some(([name, member]) => member !== value[name]) ? objectOf(members) : value;
}

/** The value with the numbers of `exact` where it has texts. */
function restored(value: Json, exact: Json | undefined): Json {
  if (typeof value === 'string') return typeof exact === 'number' || typeof exact === 'bigint' ? exact : value;
  if (typeof value !== 'object' || value === null || typeof exact !== 'object' || exact === null) return value;
  if (Array.isArray(value)) return value.map((item, at) => restored(item, Array.isArray(exact) ? exact[at] : undefined));
  const members = exact as { [name: string]: Json };
  return objectOf(Object.entries(value).map(([name, member]) => [name, restored(member, members[name])] as const));
}

function objectOf(members: readonly (readonly [string, Json])[]): { [name: string]: Json } {
  return Object.fromEntries(members); // defines __proto__ like any other
}

/** Of rows as a live query shows them. */
export function initialDataOf<Row>(
  rows: readonly Row[],
  keys: readonly string[],
  seq: string | undefined,
  history: string | undefined,
): InitialData<Row> {
  const exact: Record<string, string> = {};
  const plainRows = rows.map((row, at) => {
    const value = row as unknown as Json;
    const given = plain(value);
    if (given !== value) exact[at] = jsonText(value);
    return given as unknown as Row;
  });
  return { rows: plainRows, keys, seq, history, ...(Object.keys(exact).length > 0 && { exact }) };
}

/** The rows as they were, whichever client has given them. */
export function rowsOf<Row>({ rows, exact = {} }: InitialData<Row>): Row[] {
  return rows.map((row, at) => {
    const text = exact[at];
    return text === undefined ? row : (restored(row as unknown as Json, parseJson(text)) as unknown as Row);
  });
}
