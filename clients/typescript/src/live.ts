/** What an application uses: connections, and the live queries on them. */

import type { Client, ClientConfig } from 'pg';
import { answerOf, type Channel, channelName, type Connector, liveError, type Listener, statementOf } from './channel.js';
import { type Command, SETTINGS, type Settings } from './commands.js';
import { LiveError } from './error.js';
import { type InitialData, initialDataOf } from './initial.js';
import { Machine } from './machine.js';
import type { Column, RowObject } from './order.js';
import { type Param, paramTexts } from './params.js';
import { connectorOf, isClient, lentChannel } from './postgres.js';
import { type Call, Query, type State } from './query.js';
import type { Difference } from './rows.js';

export interface Signalled {
  /** Ends the wait, or closes the live query. */
  signal?: AbortSignal | undefined;
}

export interface LiveOptions<Row = RowObject> extends Signalled {
  /** Rows to begin with, until the first result is there: what `toJSON` has given elsewhere. */
  initial?: InitialData<Row> | undefined;
  /** At least that long between two messages: an interval of PostgreSQL, such as '1 s'. */
  throttle?: string | undefined;
  /** The steps of the clock, for a query that asks it. */
  refreshEvery?: string | undefined;
}

export interface ConnectionOptions extends Partial<Settings> {
  /** Closes the connection, and all live queries on it. */
  signal?: AbortSignal | undefined;
  /** Told what the server says while it works: that it waits for an older transaction, and which. */
  onNotice?: ((message: string) => void) | undefined;
}

/** What has become of a live query, to be seen at once. */
export interface LiveChange<Row = RowObject> extends Difference {
  readonly rows: readonly Row[];
  readonly state: State;
  readonly error: LiveError | undefined;
}

/** Where to connect: as `pg` takes it, a connection of `pg` that is there, or by another driver. */
export type Place = Client | ClientConfig | string | Connector;

export type Target = LiveConnection | Place;

/** The events of a live query. */
export interface LiveEvents<Row> {
  change: (change: LiveChange<Row>) => void;
}

const makeQuery = Symbol('makeQuery');

/** One connection, and all live queries on it, which show one point in time. Made again when it is lost. */
export class LiveConnection {
  private readonly machine: Machine;
  private readonly open = new Set<LiveQuery<never>>();
  private channel: Channel | undefined;
  private name: string | undefined; // of the channel on which notifications come
  private given: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts connections, so that what an earlier one says is not taken for this one's. */
  private generation = 0;
  private ids = 0;

  private readonly connector: Connector | undefined;
  private readonly onNotice: ((message: string) => void) | undefined;
  private readonly signal: AbortSignal | undefined;

  constructor(target: Place, options: ConnectionOptions = {}) {
    const { onNotice, signal, ...settings } = options;
    this.onNotice = onNotice;
    this.signal = signal;
    signal?.addEventListener('abort', () => this.close(), { once: true });
    const now = (): number => performance.now();
    const lent = isClient(target);
    this.machine = new Machine({ ...SETTINGS, ...settings }, lent, now, (command) => this.send(command));
    if (lent) this.channel = lentChannel(target, this.listener());
    else this.connector = typeof target === 'function' ? target : connectorOf(target);
  }

  /** A live query on this connection. */
  live<Row = RowObject>(sql: string, params: readonly Param[] = [], options: LiveOptions<Row> = {}): LiveQuery<Row> {
    const live: LiveQuery<Row> = new LiveQuery<Row>(this, sql, params, options);
    if (this.signal?.aborted) live.close();
    return live;
  }

  /** Closes all live queries, and with the last one the connection. */
  close(): void {
    for (const live of [...this.open]) live.close();
  }

  /** @internal */
  [makeQuery](live: LiveQuery<never>, make: (id: string) => Query): { query: Query; driver: Driver } {
    const query = make(`live-${++this.ids}`);
    this.open.add(live);
    const { machine } = this;
    const driven = (what: () => void): void => {
      what();
      this.wake();
    };
    return {
      query,
      driver: {
        add: () => driven(() => machine.add(query)),
        close: () => driven(() => machine.close(query)),
        setParams: (params, call) => driven(() => machine.setParams(query, params, call)),
        includes: (xid, call) => driven(() => machine.includes(query, xid, call)),
        cancel: (call) => driven(() => machine.cancel(query, call)),
        over: () => this.open.delete(live),
      },
    };
  }

  private listener(): Listener {
    const generation = this.generation;
    const mine = (what: () => void): void => {
      if (generation !== this.generation) return;
      what();
      this.wake();
    };
    return {
      notification: (channel, payload) => {
        const expected = this.name === undefined ? channel.startsWith('live_queries_') : channel === this.name;
        if (expected) mine(() => this.machine.message(payload));
      },
      lost: (error) =>
        mine(() => {
          this.drop();
          this.machine.lost(liveError(error));
        }),
      notice: (message) => mine(() => this.onNotice?.(message)),
    };
  }

  private send(command: Command): void {
    if (command.kind === 'disconnect') this.drop();
    else if (command.kind === 'connect') this.connect();
    else if (this.channel !== undefined) this.ask(this.channel, command);
  }

  private connect(): void {
    this.drop();
    const generation = this.generation;
    const given = new AbortController();
    this.given = given;
    const { connector } = this;
    if (connector === undefined) return;
    connector(this.listener(), given.signal).then(
      (channel) => {
        if (generation !== this.generation) {
          channel.destroy();
          return;
        }
        this.channel = channel;
        this.machine.answered({});
        this.wake();
      },
      (error: unknown) => this.refuse(generation, error),
    );
  }

  private ask(channel: Channel, command: Command): void {
    const generation = this.generation;
    channel.query(statementOf(command), (error, rows) => {
      if (generation !== this.generation) return;
      if (error !== undefined) {
        this.refuse(generation, error);
        return;
      }
      if (command.kind === 'subscribe' || command.kind === 'subscribe_many') this.name = channelName(rows);
      this.machine.answered(answerOf(command, rows));
      this.wake();
    });
  }

  private refuse(generation: number, error: unknown): void {
    if (generation !== this.generation) return;
    this.machine.refused(liveError(error));
    this.wake();
  }

  /** Leaves the connection, if there is one. */
  private drop(): void {
    this.generation++;
    this.given?.abort();
    this.given = undefined;
    this.channel?.destroy();
    this.channel = undefined;
    this.name = undefined;
  }

  private wake(): void {
    clearTimeout(this.timer);
    const at = this.machine.wakeAt;
    if (at === undefined) return;
    this.timer = setTimeout(
      () => {
        this.machine.tick();
        this.wake();
      },
      Math.max(0, at - performance.now()),
    );
    // A lent connection decides by itself how long the program runs.
    if (this.connector === undefined) this.timer.unref?.();
  }
}

/** What a live query asks of its connection. */
interface Driver {
  add(): void;
  close(): void;
  setParams(params: readonly (string | null)[], call: Call): void;
  includes(xid: bigint, call: Call): void;
  cancel(call: Call): void;
  over(): void;
}

/** The result of a query, kept in step. Iterated, it gives the rows, and again whenever they have changed. */
export class LiveQuery<Row = RowObject> implements AsyncIterable<readonly Row[]> {
  private readonly query: Query;
  private readonly driver: Driver;
  private readonly listeners = new Set<(change: LiveChange<Row>) => void>();

  /** @internal */
  constructor(connection: LiveConnection, sql: string, params: readonly Param[], options: LiveOptions<Row>) {
    const { signal, initial, throttle, refreshEvery } = options;
    const abort = (): void => this.close();
    const make = (id: string): Query =>
      new Query(
        id,
        sql,
        paramTexts(params),
        throttle,
        refreshEvery,
        initial as InitialData<RowObject> | undefined,
        (difference) => {
          if (this.query.isOver) {
            this.driver.over();
            signal?.removeEventListener('abort', abort);
          }
          this.tell(difference);
        },
      );
    const made = connection[makeQuery](this as unknown as LiveQuery<never>, make);
    this.query = made.query;
    this.driver = made.driver;
    this.driver.add();
    if (signal?.aborted) this.close();
    else signal?.addEventListener('abort', abort, { once: true });
  }

  /** The same array until they change. */
  get rows(): readonly Row[] {
    return this.query.shown.rows as readonly unknown[] as readonly Row[];
  }

  /** Of each row, as JSON text. */
  get keys(): readonly string[] {
    return this.query.shown.keys;
  }

  get state(): State {
    return this.query.state;
  }

  /** Why it is not live. */
  get error(): LiveError | undefined {
    return this.query.error;
  }

  /** The position of what is shown: compares as text with others of the same `history`. */
  get seq(): string | undefined {
    return this.query.seq;
  }

  get history(): string | undefined {
    return this.query.history;
  }

  get strategy(): string | undefined {
    return this.query.strategy;
  }

  get columns(): readonly Column[] {
    return this.query.columns;
  }

  get params(): readonly (string | null)[] {
    return this.query.pending?.params ?? this.query.params;
  }

  /** Calls for each visible change. Returns what ends that. */
  on(event: 'change', listener: LiveEvents<Row>['change']): () => void {
    if (event !== 'change') throw new TypeError(`no such event: ${String(event)}`);
    this.listeners.add(listener);
    return () => this.off(event, listener);
  }

  off(_event: 'change', listener: LiveEvents<Row>['change']): void {
    this.listeners.delete(listener);
  }

  /** Until it is live; at once, if it is. */
  async ready(options: Signalled = {}): Promise<void> {
    await this.until(() => this.state === 'live', options.signal);
  }

  /** Other parameters. Done when the server has taken them; the rows follow. */
  async setParams(params: readonly Param[], options: Signalled = {}): Promise<void> {
    await this.call((call) => this.driver.setParams(paramTexts(params), call), options.signal);
  }

  /** Until the rows are those of a time when this transaction, of pg_current_xact_id(), had been committed. */
  async includes(xid: bigint | number | string, options: Signalled = {}): Promise<void> {
    if (this.query.throttle !== undefined)
      throw new LiveError('a live query with a throttle cannot tell what it includes');
    await this.call((call) => this.driver.includes(BigInt(xid), call), options.signal);
  }

  close(): void {
    this.driver.close();
  }

  /** What another live query of the same query can begin with, as plain JSON. */
  toJSON(): InitialData<Row> {
    return initialDataOf(this.rows, this.keys, this.seq, this.history);
  }

  /** The newest rows, as often as they change; ends when it is closed, and throws when it ends by an error. */
  [Symbol.asyncIterator](): AsyncIterator<readonly Row[], void, void> {
    return this.iterate();
  }

  /** The same, with a signal that ends the iteration by its reason, and leaves the live query as it is. */
  async *iterate({ signal }: Signalled = {}): AsyncGenerator<readonly Row[], void, void> {
    let given: readonly Row[] | undefined;
    for (;;) {
      await this.until(
        () => this.state === 'closed' || ((this.state === 'live' || this.state === 'stale') && this.rows !== given),
        signal,
      );
      if (this.state === 'closed') return;
      given = this.rows;
      yield given;
    }
  }

  private tell(difference: Difference): void {
    const { rows, state, error } = this;
    const change: LiveChange<Row> = { ...difference, rows, state, error };
    for (const listener of [...this.listeners]) {
      try {
        listener(change);
      } catch (thrown) {
        // It is the listener's own, and must not come between the others.
        queueMicrotask(() => {
          throw thrown;
        });
      }
    }
  }

  private until(condition: () => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      let done = false;
      const settle = (): void => {
        if (!done && signal?.aborted) reject(signal.reason);
        else if (!done && condition()) resolve();
        else if (!done && this.state === 'error') reject(this.error);
        else if (!done && this.state === 'closed') reject(new LiveError('the live query is closed'));
        else return;
        done = true;
        signal?.removeEventListener('abort', settle);
        stop();
      };
      const stop = this.on('change', settle);
      signal?.addEventListener('abort', settle);
      settle();
    });
  }

  private call(start: (call: Call) => void, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => signal?.removeEventListener('abort', abort);
      const call: Call = {
        resolve: () => {
          end();
          resolve();
        },
        reject: (error) => {
          end();
          reject(error);
        },
      };
      const abort = (): void => {
        this.driver.cancel(call);
        reject(signal?.reason);
      };
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      signal?.addEventListener('abort', abort, { once: true });
      start(call);
    });
  }
}

const lent = new WeakMap<object, LiveConnection>();

/** A connection for several live queries. */
export function connect(target: Place, options: ConnectionOptions = {}): LiveConnection {
  return new LiveConnection(target, options);
}

/**
 * A live query. Where `target` is no connection, it has one of its own; live queries on the same client of
 * `pg` share it.
 */
export function live<Row = RowObject>(
  target: Target,
  sql: string,
  params: readonly Param[] = [],
  options: LiveOptions<Row> & ConnectionOptions = {},
): LiveQuery<Row> {
  const { signal, initial, throttle, refreshEvery, ...rest } = options;
  const own: LiveOptions<Row> = { signal, initial, throttle, refreshEvery };
  if (target instanceof LiveConnection) return target.live(sql, params, own);
  if (!isClient(target)) return connect(target, rest).live(sql, params, own);
  const connection = lent.get(target) ?? connect(target, rest);
  lent.set(target, connection);
  return connection.live(sql, params, own);
}

/** A result, read once: for a page that is rendered on a server, and goes on as a live query elsewhere. */
export async function once<Row = RowObject>(
  target: Target,
  sql: string,
  params: readonly Param[] = [],
  options: Signalled = {},
): Promise<InitialData<Row>> {
  const query = live<Row>(target, sql, params);
  try {
    await query.ready(options);
    return query.toJSON();
  } finally {
    query.close();
  }
}
