/**
 * JSON without loss: what JSON.parse would round is kept, and keys have one text each.
 *
 * Whole numbers past 2^53 become a bigint. Other numbers that a double cannot hold to the digit
 * (numeric, more than 15 digits) become the nearest number, as in JSON.parse.
 */

export type Json = null | boolean | number | bigint | string | Json[] | { [name: string]: Json };

/** A number of 15 characters or fewer, its sign aside, is in a double as it is written. */
const MAY_LOSE = /(?:^|[[:,\s])-?\d[\d.eE+-]{15,}/;

class Reader {
  private at = 0;
  private depth = 0; // of objects

  /** `inKey`: whether what is read is a key; in a message, it is while the member `key` of a change is. */
  constructor(
    private readonly text: string,
    private inKey: boolean,
  ) {}

  document(): Json {
    const value = this.value();
    this.blanks();
    if (this.at < this.text.length) throw this.unexpected();
    return value;
  }

  private value(): Json {
    this.blanks();
    const first = this.text[this.at];
    if (first === '{') return this.object();
    if (first === '[') return this.array();
    if (first === '"') return this.string();
    const [word] = /^[-+.\w]+/.exec(this.text.slice(this.at, this.at + 1000)) ?? [];
    if (word === undefined) throw this.unexpected();
    const value = JSON.parse(word) as Json; // throws for what is no word of JSON
    this.at += word.length;
    return typeof value === 'number' ? this.number(word, value) : value;
  }

  private number(text: string, value: number): Json {
    if (/^-?\d+$/.test(text) && !Number.isSafeInteger(value)) return BigInt(text);
    // In a key each digit counts, also of a decimal that is too long for a double.
    return this.inKey && !/^-?\d+$/.test(text) && text.replace('-', '').length > 15 ? text : value;
  }

  private string(): string {
    let end = this.at + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === '\\' ? 2 : 1;
    const value = JSON.parse(this.text.slice(this.at, end + 1)) as string;
    this.at = end + 1;
    return value;
  }

  private array(): Json[] {
    const items: Json[] = [];
    this.at++;
    if (this.passes(']')) return items;
    do items.push(this.value());
    while (this.passes(','));
    this.expect(']');
    return items;
  }

  private object(): { [name: string]: Json } {
    const members: { [name: string]: Json } = {};
    this.at++;
    if (this.passes('}')) return members;
    this.depth++;
    do {
      this.blanks();
      if (this.text[this.at] !== '"') throw this.unexpected();
      const name = this.string();
      this.expect(':');
      const isKey = this.depth === 2 && name === 'key' && !this.inKey;
      if (isKey) this.inKey = true;
      const value = this.value();
      if (isKey) this.inKey = false;
      // Never the setter of __proto__.
      Object.defineProperty(members, name, {
        value,
        enumerable: true,
        writable: true,
        configurable: true,
      });
    } while (this.passes(','));
    this.depth--;
    this.expect('}');
    return members;
  }

  private blanks(): void {
    while (' \t\n\r'.includes(this.text[this.at] ?? 'x')) this.at++;
  }

  private passes(character: string): boolean {
    this.blanks();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private expect(character: string): void {
    if (!this.passes(character)) throw this.unexpected();
  }

  private unexpected(): SyntaxError {
    return new SyntaxError(`unexpected character in JSON at position ${this.at}`);
  }
}

/** Of a row, or of a message, the keys of whose changes lose no digit. Throws SyntaxError. */
export function parseJson(text: string): Json {
  return MAY_LOSE.test(text) ? new Reader(text, false).document() : (JSON.parse(text) as Json);
}

/** The JSON text of a value that parseJson gave. */
export function jsonText(value: Json | undefined): string {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([name, member]) => `${JSON.stringify(name)}:${jsonText(member)}`)
      .join(',')}}`;
  return JSON.stringify(value ?? null);
}

/** The one text of a key that came as JSON text. Long decimals stand in it in quotation marks. */
export function keyText(key: string): string {
  return jsonText(MAY_LOSE.test(key) ? new Reader(key, true).document() : parseJson(key));
}
