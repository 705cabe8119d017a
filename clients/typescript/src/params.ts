/** Parameters of a query, as texts. */

export type Param = string | number | bigint | boolean | null | undefined | Date | Uint8Array | Param[] | { [name: string]: unknown };

function textOf(value: Param): string | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return `\\x${Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  if (Array.isArray(value)) return arrayText(value.map((item) => (Array.isArray(item) ? textArray(item) : textOf(item))));
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** The parts of a nested array stand in the outer one as they are. */
class Nested {
  constructor(readonly text: string) {}
}

function textArray(items: Param[]): Nested {
  return new Nested(textOf(items) as string);
}

/** Of PostgreSQL's text form of an array. */
export function arrayText(items: readonly (string | null | Nested)[]): string {
  const texts = items.map((item) => {
    if (item === null) return 'NULL';
    return item instanceof Nested ? item.text : `"${item.replace(/["\\]/g, '\\$&')}"`;
  });
  return `{${texts.join(',')}}`;
}

/** An object becomes JSON, an array one of PostgreSQL's. */
export function paramTexts(params: readonly Param[]): (string | null)[] {
  return params.map(textOf);
}
