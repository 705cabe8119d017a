/** What a relay has told, shown where there is no connection to the server: in a browser. */

import { type InitialData, rowsOf } from './initial.js';
import { parseJson } from './json.js';
import type { RowObject } from './order.js';
import type { State } from './query.js';
import { grouped, isEqual, type Shown } from './rows.js';
import type { LiveSource, Reason } from './source.js';
import { STEADY, Waits } from './waits.js';

export { jsonText, parseJson } from './json.js';
export type { LiveSource, Reason } from './source.js';

/** A text of a relay. */
interface Told {
  state: State;
  error?: Reason;
  start: number;
  end: number;
  keys: string[];
  rows: [at: number, row: RowObject][];
}

export class Mirror<Row = RowObject> implements LiveSource<Row> {
  private shown: Shown;
  private reached: State;
  private reason: Reason | undefined;
  private readonly listeners = new Set<() => void>();

  /** Begins with these rows, as stale ones, until something is told. */
  constructor(initial?: InitialData<Row> | undefined) {
    this.reached = initial === undefined ? 'connecting' : 'stale';
    this.shown = { rows: (initial === undefined ? [] : rowsOf(initial)) as unknown[] as RowObject[], keys: initial?.keys ?? [] };
  }

  get rows(): readonly Row[] {
    return this.shown.rows as readonly unknown[] as readonly Row[];
  }

  /** Of each row, as JSON text. */
  get keys(): readonly string[] {
    return this.shown.keys;
  }

  get state(): State {
    return this.reached;
  }

  get error(): Reason | undefined {
    return this.reason;
  }

  on(event: 'change', listener: () => void): () => void {
    if (event !== 'change') throw new TypeError(`no such event: ${String(event)}`);
    const own = (): void => listener(); // of two equal ones each counts
    this.listeners.add(own);
    return () => {
      this.listeners.delete(own);
    };
  }

  /** The next text of a relay, or the first one of another relay. Throws where it is none. */
  take(text: string): void {
    const told = parseJson(text) as unknown as Told;
    // What connects has no rows yet: those that are shown are older ones.
    if (told.state === 'connecting') this.become(this.reached === 'live' ? 'stale' : this.reached, told.error, this.shown);
    else this.become(told.state, told.error, this.after(told));
  }

  /** What is shown is not fed at present. */
  lost(reason: string): void {
    if (this.reached === 'error') return;
    this.become(this.reached === 'live' ? 'stale' : this.reached, { message: reason }, this.shown);
  }

  private become(state: State, reason: Reason | undefined, shown: Shown): void {
    const isSameReason = reason?.message === this.reason?.message && reason?.code === this.reason?.code;
    if (state === this.reached && isSameReason && shown === this.shown) return;
    this.reached = state;
    if (!isSameReason) this.reason = reason;
    this.shown = shown;
    for (const listener of [...this.listeners]) listener();
  }

  private after({ start, end, keys: middle, rows: given }: Told): Shown {
    const before = this.shown;
    const keys = [...before.keys.slice(0, start), ...middle, ...before.keys.slice(before.keys.length - end)];
    const had = grouped(before);
    const came = new Map(given);
    const rows = keys.map((key, at) => {
      const old = had.get(key)?.shift();
      const row = came.get(at);
      return old !== undefined && (row === undefined || isEqual(old, row)) ? old : (row as RowObject);
    });
    const isSame = rows.length === before.rows.length && rows.every((row, at) => row === before.rows[at]);
    return isSame ? before : { rows, keys };
  }
}

export interface EventMirrorOptions<Row = RowObject> {
  initial?: InitialData<Row> | undefined;
  /** Milliseconds after which a server that tells nothing is given up. It has to be more than the relay's heartbeat. */
  silence?: number | undefined;
}

/**
 * A mirror of what an application sends at `url` as server-sent events, each with one text of a relay. It is connected while
 * somebody listens, and connected again, after a wait, when it is lost.
 */
export class EventMirror<Row = RowObject> extends Mirror<Row> {
  private readonly silence: number;
  private readonly waits = new Waits(Math.random, 1_000, 30_000);
  private events: EventSource | undefined;
  private openedAt = Number.POSITIVE_INFINITY;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private count = 0;

  constructor(
    private readonly url: string,
    { initial, silence = 25_000 }: EventMirrorOptions<Row> = {},
  ) {
    super(initial);
    this.silence = silence;
  }

  override on(event: 'change', listener: () => void): () => void {
    const off = super.on(event, listener);
    if (this.count++ === 0 && this.state !== 'error') this.open();
    let isOn = true;
    return () => {
      if (!isOn) return;
      isOn = false;
      off();
      if (--this.count > 0) return;
      this.leave();
      this.lost('nobody looks');
    };
  }

  private open(): void {
    const events = new EventSource(this.url);
    this.events = events;
    this.openedAt = Number.POSITIVE_INFINITY;
    events.onopen = () => {
      this.openedAt = performance.now();
    };
    events.onmessage = ({ data }) => this.hear(data);
    events.onerror = () => this.fail('the connection to the application is lost');
    this.watch();
  }

  private hear(text: string): void {
    this.watch();
    try {
      this.take(text);
    } catch {
      this.fail('what the application tells could not be read');
    }
    if (this.state === 'error') this.leave();
  }

  private watch(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fail('the application tells nothing'), this.silence);
  }

  /** A browser would try again by itself, but all of them at one moment, and not whatever it takes for final. */
  private fail(reason: string): void {
    if (performance.now() - this.openedAt >= STEADY) this.waits.startAgain();
    this.leave();
    this.timer = setTimeout(() => this.open(), this.waits.next());
    this.lost(reason);
  }

  private leave(): void {
    clearTimeout(this.timer);
    this.events?.close();
    this.events = undefined;
  }
}
