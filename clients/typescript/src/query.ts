/** What the machine knows of one live query. */

import type { Answer } from './commands.js';
import { LiveError } from './error.js';
import { type InitialData, rowsOf } from './initial.js';
import { parseJson } from './json.js';
import { type Column, orderOf, type RowObject } from './order.js';
import { type Difference, Rows, type Shown } from './rows.js';
import { sees } from './transactions.js';

export type { InitialData } from './initial.js';

/** docs/client.md, "States". */
export type State = 'connecting' | 'live' | 'stale' | 'error' | 'closed';

/** Something that the application waits for. */
export interface Call {
  resolve(): void;
  reject(error: Error): void;
}

/** What is to be asked next for a live query, or none of it. */
export type Need = 'subscribe' | 'snapshot' | 'refresh' | 'nothing';

export class Query {
  state: State;
  error: LiveError | undefined;
  seq: string | undefined;
  history: string | undefined;
  strategy: string | undefined;
  columns: readonly Column[] = [];
  readonly rows = new Rows();

  need: Need = 'subscribe';
  /** The server knows it, on this connection. */
  subscribed = false;
  /** Its refresh has waited long enough. */
  due = false;
  wasLive = false;
  /** To be subscribed by a call of its own: one together with others has not succeeded. */
  alone = false;
  batch: { key: string; row: RowObject }[] = [];
  /** Other parameters that are to be sent to the server, which has the old ones still. */
  pending: { params: readonly (string | null)[]; calls: Call[] } | undefined;
  /** Those who wait for the next subscription to be live. */
  calls: Call[] = [];
  waiters: { xid: bigint; call: Call }[] = [];

  private told: { state: State; error: LiveError | undefined };
  private difference: Difference | undefined;

  constructor(
    readonly id: string,
    readonly sql: string,
    public params: readonly (string | null)[],
    readonly throttle: string | undefined,
    readonly refreshEvery: string | undefined,
    initial: InitialData<RowObject> | undefined,
    readonly onChange: (difference: Difference) => void,
  ) {
    this.state = initial === undefined ? 'connecting' : 'stale';
    if (initial !== undefined) {
      const { keys } = initial;
      this.rows.replace(rowsOf(initial).map((row, at) => ({ key: keys[at] ?? `[${at}]`, row })));
      this.rows.show();
      this.seq = initial.seq;
      this.history = initial.history;
    }
    this.told = { state: this.state, error: this.error };
  }

  get shown(): Shown {
    return this.rows.shown;
  }

  get isLive(): boolean {
    return this.state === 'live';
  }

  get isOver(): boolean {
    return this.state === 'error' || this.state === 'closed';
  }

  /** The server knows it: its snapshot is to be read. */
  begin(answer: Answer): void {
    this.subscribed = true;
    this.strategy = answer.strategy;
    this.seq = answer.seq;
    this.history = answer.history;
    this.columns = parseJson(answer.columns ?? '[]') as unknown as Column[];
    this.rows.order = orderOf(this.columns);
    this.read();
  }

  /** From the beginning of the snapshot. */
  read(): void {
    this.need = 'snapshot';
    this.batch = [];
  }

  becomeLive(): void {
    this.state = 'live';
    this.error = undefined;
    this.need = 'nothing';
    this.wasLive = true;
    for (const call of this.calls.splice(0)) call.resolve();
  }

  /** Whether nothing can be asked of it any more; then the call has failed. */
  refuses(call: Call): boolean {
    if (this.isOver) call.reject(this.error ?? new LiveError('the live query is closed'));
    return this.isOver;
  }

  /** Nobody waits for that call any more. */
  forget(call: Call): void {
    this.waiters = this.waiters.filter((waiter) => waiter.call !== call);
    this.calls = this.calls.filter((other) => other !== call);
    if (this.pending) this.pending.calls = this.pending.calls.filter((other) => other !== call);
  }

  /** All that the snapshot sees has been told. */
  note(snapshot: string): void {
    const seen = this.waiters.filter(({ xid }) => sees(snapshot, xid));
    this.waiters = this.waiters.filter((waiter) => !seen.includes(waiter));
    for (const { call } of seen) call.resolve();
  }

  /** The next subscription has these parameters; those who wait for them wait until it is live. */
  adopt(params: readonly (string | null)[], calls: readonly Call[]): void {
    this.params = params;
    this.calls.push(...calls);
  }

  /** Not live any more, or not yet, and that by itself. */
  fallBack(need: Need, error: LiveError | undefined): void {
    this.need = need;
    this.due = false;
    this.batch = [];
    this.error = error;
    if (this.state === 'live') this.state = 'stale';
    if (need === 'subscribe') this.subscribed = false;
    if (this.pending !== undefined) {
      this.adopt(this.pending.params, this.pending.calls);
      this.pending = undefined;
    }
  }

  end(state: 'error' | 'closed', error: LiveError): void {
    this.state = state;
    this.error = state === 'error' ? error : undefined;
    this.need = 'nothing';
    this.subscribed = false;
    const calls = [...this.calls, ...(this.pending?.calls ?? []), ...this.waiters.map((w) => w.call)];
    this.calls = [];
    this.waiters = [];
    this.pending = undefined;
    for (const call of calls) call.reject(error);
  }

  /** Shows what has been applied. */
  show(): void {
    this.difference = this.rows.show();
  }

  /** What is to be told, if anything that can be seen has changed since this was asked last. */
  takeChange(): Difference | undefined {
    const { state, error } = this;
    const changed = this.difference;
    this.difference = undefined;
    if (changed === undefined && state === this.told.state && error === this.told.error) return undefined;
    this.told = { state, error };
    return changed ?? { entered: [], changed: [], left: [] };
  }
}
