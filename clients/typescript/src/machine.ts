/**
 * The behaviour of docs/client.md, without I/O and without a clock: told what has happened, it says
 * which command is to be sent, when it wants to be woken, and what there is to be seen.
 *
 * One command is on its way at a time. What a listener does from within is done afterwards.
 */

import { type Answer, type Command, LONG, passes, type Settings } from './commands.js';
import { LiveError } from './error.js';
import { keyText, parseJson } from './json.js';
import { type Message, parseMessage } from './message.js';
import { type Column, orderOf, type RowObject } from './order.js';
import type { Call, Query } from './query.js';
import type { Change } from './rows.js';
import { sees } from './transactions.js';
import { STEADY, Waits } from './waits.js';

interface OnItsWay {
  command: Command;
  deadline: number;
  /** Who wanted it does not any more. */
  abandoned: boolean;
  calls: Call[];
}

type Phase = 'none' | 'waiting' | 'connecting' | 'up' | 'over';

export class Machine {
  private phase: Phase;
  private readonly queries: Query[] = [];
  private current: OnItsWay | undefined;
  private readonly payloads: string[] = [];
  private gathered: { query: Query; changes: Change[]; seq: string }[] = [];
  private progressThen: string | undefined;
  private readonly toUnsubscribe: Query[] = [];
  private fence = false;
  private partCame = false;
  private asksForProgress = false;
  private waitForWanted = false;
  private connectedAt = 0;
  private heardAt = 0;
  private connectAt: number | undefined;
  private refreshAt: number | undefined;
  private refreshedAt = Number.NEGATIVE_INFINITY;
  private readonly connectWaits: Waits;
  private readonly refreshWaits: Waits;
  private working = false;
  private readonly inputs: (() => void)[] = [];

  constructor(
    private readonly settings: Settings,
    private readonly lent: boolean,
    private readonly now: () => number,
    /** Sends a command. All but `disconnect` are answered, refused, or lost. */
    private readonly send: (command: Command) => void,
  ) {
    this.phase = lent ? 'up' : 'none';
    this.heardAt = now();
    this.connectWaits = new Waits(settings.random, settings.firstWait, settings.longestWait);
    this.refreshWaits = new Waits(settings.random, settings.firstWait, settings.longestWait);
  }

  // ---- what the application does ----

  add(query: Query): void {
    this.input(() => {
      this.queries.push(query);
      if (this.phase === 'over') query.end('error', new LiveError('the connection is lost'));
    });
  }

  close(query: Query): void {
    this.input(() => {
      if (query.state === 'closed') return;
      if (query.subscribed) this.toUnsubscribe.push(query);
      this.abandon(query);
      query.end('closed', new LiveError('the live query is closed'));
    });
  }

  setParams(query: Query, params: readonly (string | null)[], call: Call): void {
    this.input(() => {
      if (query.isOver) {
        call.reject(query.error ?? new LiveError('the live query is closed'));
      } else if (query.isLive) {
        query.pending = { params, calls: [...(query.pending?.calls ?? []), call] };
      } else {
        query.params = params;
        query.calls.push(call);
        this.subscribeAnew(query);
      }
    });
  }

  includes(query: Query, xid: bigint, call: Call): void {
    this.input(() => {
      if (query.isOver) {
        call.reject(query.error ?? new LiveError('the live query is closed'));
        return;
      }
      query.waiters.push({ xid, call });
      if (query.isLive) this.waitForWanted = true;
    });
  }

  /** Nobody waits for this call any more. */
  cancel(query: Query, call: Call): void {
    this.input(() => {
      query.waiters = query.waiters.filter((waiter) => waiter.call !== call);
      query.calls = query.calls.filter((other) => other !== call);
      if (query.pending) query.pending.calls = query.pending.calls.filter((other) => other !== call);
    });
  }

  // ---- what happens to the connection ----

  /** The command on its way has been answered. */
  answered(answer: Answer): void {
    this.input(() => {
      const done = this.current;
      if (done === undefined) return;
      this.current = undefined;
      this.heardAt = this.now();
      if (['ping', 'wait_for', 'refresh', 'unsubscribe'].includes(done.command.kind)) this.handleAll();
      this.take(done, answer);
    });
  }

  /** It has been refused; without a code by the network. */
  refused(error: LiveError): void {
    this.input(() => {
      const done = this.current;
      if (done === undefined) return;
      this.current = undefined;
      this.heardAt = this.now();
      this.takeRefusal(done, error);
    });
  }

  lost(error: LiveError): void {
    this.input(() => this.lose(error));
  }

  /** The payload of a notification. */
  message(payload: string): void {
    this.input(() => {
      if (this.phase !== 'up') return;
      this.heardAt = this.now();
      this.payloads.push(payload);
    });
  }

  /** Something may be due. */
  tick(): void {
    this.input(() => {
      const now = this.now();
      if (this.current !== undefined && now >= this.current.deadline) {
        if (!this.lent) this.send({ kind: 'disconnect' });
        this.lose(new LiveError('the server does not answer'));
      }
      if (this.connectAt !== undefined && now >= this.connectAt) {
        this.connectAt = undefined;
        this.phase = 'none';
      }
      if (this.refreshAt !== undefined && now >= this.refreshAt) {
        this.refreshAt = undefined;
        for (const query of this.queries) query.due ||= query.need === 'refresh';
      }
    });
  }

  /** When `tick` is to be called, if at all. */
  get wakeAt(): number | undefined {
    const times = [this.current?.deadline, this.connectAt, this.refreshAt];
    if (this.phase === 'up' && this.current === undefined && this.queries.length > 0)
      times.push(this.heardAt + this.settings.heartbeat);
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  // ---- one input after the other ----

  private input(what: () => void): void {
    this.inputs.push(what);
    if (this.working) return;
    this.working = true;
    try {
      for (let next = this.inputs.shift(); next !== undefined; next = this.inputs.shift()) {
        next();
        this.tell();
        this.handleAll();
        this.tell();
        this.proceed();
      }
    } finally {
      this.working = false;
    }
  }

  /** All that changed at one moment is shown before the first is told. */
  private tell(): void {
    const changes = this.queries.map((query) => ({ query, change: query.takeChange() }));
    for (let at = this.queries.length - 1; at >= 0; at--)
      if (this.queries[at]?.isOver) this.queries.splice(at, 1);
    for (const { query, change } of changes) if (change !== undefined) query.onChange(change);
  }

  private proceed(): void {
    if (this.inputs.length > 0) return; // what a listener has done comes first
    if (this.queries.length === 0 && !this.lent) {
      if (this.phase === 'up' || this.phase === 'connecting') this.send({ kind: 'disconnect' });
      this.forgetConnection('none');
      this.connectAt = undefined;
      return;
    }
    if (this.current !== undefined) return;
    const command = this.nextCommand();
    if (command === undefined) return;
    const limit = LONG.has(command.kind) ? this.settings.longAnswer : this.settings.answer;
    this.current = { command, deadline: this.now() + limit, abandoned: false, calls: [] };
    if (command.kind === 'set_params') {
      this.current.calls = command.query.pending?.calls ?? [];
      command.query.pending = undefined;
    }
    if (command.kind === 'ping') this.partCame = this.fence = false;
    if (command.kind === 'wait_for') this.waitForWanted = false;
    this.send(command);
  }

  private nextCommand(): Command | undefined {
    if (this.phase === 'none' && this.queries.length > 0) {
      this.phase = 'connecting';
      return { kind: 'connect' };
    }
    if (this.phase !== 'up') return undefined;
    if (this.fence) return { kind: 'ping' };
    const ended = this.toUnsubscribe.shift();
    if (ended !== undefined) return { kind: 'unsubscribe', query: ended };
    const waiting = this.queries.some((query) => query.waiters.length > 0);
    if (waiting && !this.asksForProgress) return { kind: 'progress' };
    for (const query of this.queries) {
      const command = this.commandFor(query);
      if (command !== undefined) return command;
    }
    if (waiting && this.waitForWanted) return { kind: 'wait_for' };
    const isSilent = this.now() >= this.heardAt + this.settings.heartbeat;
    return isSilent && this.queries.length > 0 ? { kind: 'ping' } : undefined;
  }

  private commandFor(query: Query): Command | undefined {
    if (query.need === 'subscribe') return { kind: 'subscribe', query, params: query.params };
    if (query.need === 'snapshot') return { kind: 'snapshot', query, batch: this.settings.batch };
    if (query.need === 'refresh') return query.due ? { kind: 'refresh', query } : undefined;
    if (query.pending === undefined) return undefined;
    return { kind: 'set_params', query, params: query.pending.params };
  }

  // ---- answers ----

  private take(done: OnItsWay, answer: Answer): void {
    const { command } = done;
    switch (command.kind) {
      case 'connect':
        this.phase = 'up';
        this.connectedAt = this.now();
        break;
      case 'progress':
        this.asksForProgress = true;
        break;
      case 'ping':
        if (!this.partCame) this.showPoint();
        break;
      case 'wait_for':
        if (answer.told === true) this.progress(answer.snapshot ?? '');
        break;
      case 'subscribe':
        if (done.abandoned) this.toUnsubscribe.push(command.query);
        else this.takeSubscription(command.query, answer);
        break;
      case 'snapshot':
        if (!done.abandoned) this.takeBatch(command.query, answer.rows ?? []);
        break;
      case 'refresh':
        if (done.abandoned || command.query.isOver) break;
        command.query.need = 'snapshot';
        command.query.batch = [];
        break;
      case 'unsubscribe':
        break;
      case 'set_params':
        if (!done.abandoned) command.query.params = command.params;
        for (const call of done.calls) call.resolve();
        break;
    }
  }

  private takeSubscription(query: Query, answer: Answer): void {
    query.subscribed = true;
    query.strategy = answer.strategy;
    query.seq = answer.seq;
    query.history = answer.history;
    query.columns = parseJson(answer.columns ?? '[]') as unknown as Column[];
    query.rows.order = orderOf(query.columns);
    query.need = 'snapshot';
    query.batch = [];
  }

  private takeBatch(query: Query, rows: readonly (readonly [string, string])[]): void {
    for (const [key, row] of rows)
      query.batch.push({ key: keyText(key), row: parseJson(row) as RowObject });
    if (rows.length >= this.settings.batch) return;
    query.rows.replace(query.batch);
    query.batch = [];
    query.show();
    query.becomeLive();
    this.refreshedAt = this.now();
    if (query.waiters.length > 0) this.waitForWanted = true;
  }

  private takeRefusal(done: OnItsWay, error: LiveError): void {
    const { command } = done;
    const query = 'query' in command ? command.query : undefined;
    const wasLive = query?.wasLive ?? this.queries.some((other) => other.wasLive);
    if (command.kind === 'set_params' && this.refusesParams(done, error)) return;
    if (command.kind === 'refresh' && error.code === '55000') {
      if (query?.need === 'refresh') query.need = 'nothing'; // its last message is to come, and says why
      return;
    }
    if (!this.lent && passes(error.code, wasLive)) {
      if (command.kind === 'set_params' && !done.abandoned) {
        command.query.params = command.params;
        command.query.calls.push(...done.calls);
      }
      if (command.kind !== 'connect') this.send({ kind: 'disconnect' });
      this.lose(error);
    } else if (command.kind === 'connect') {
      this.phase = 'none';
      for (const other of this.queries) other.end('error', error);
    } else if (command.kind === 'progress') {
      this.asksForProgress = true; // else it would be asked again and again
      for (const other of this.queries)
        for (const { call } of other.waiters.splice(0)) call.reject(error);
    } else if (query !== undefined && command.kind !== 'unsubscribe' && !done.abandoned) {
      if (command.kind === 'snapshot' && error.code === '34000') {
        this.goStale(query, error);
        return;
      }
      if (query.subscribed) this.toUnsubscribe.push(query);
      query.end('error', error);
    } else if (command.kind === 'ping') {
      if (!this.lent) this.send({ kind: 'disconnect' });
      this.lose(error);
    }
  }

  /** Whether that is an answer to the parameters themselves. */
  private refusesParams(done: OnItsWay, error: LiveError): boolean {
    const { command, calls } = done;
    if (command.kind !== 'set_params') return false;
    if (done.abandoned) {
      for (const call of calls) call.reject(error);
      return true;
    }
    const { query } = command;
    if (['0A000', '54000', '55000'].includes(error.code ?? '')) {
      query.params = command.params;
      query.calls.push(...calls);
      this.subscribeAnew(query, error);
      return true;
    }
    if (passes(error.code, false) && !this.lent) return false;
    for (const call of calls) call.reject(error);
    return true;
  }

  private subscribeAnew(query: Query, error?: LiveError): void {
    this.abandon(query);
    if (query.subscribed) this.toUnsubscribe.push(query);
    query.fallBack('subscribe', error ?? query.error);
    this.gathered = this.gathered.filter((part) => part.query !== query);
  }

  private abandon(query: Query): void {
    const command = this.current?.command;
    if (this.current === undefined || command === undefined) return;
    if (!('query' in command) || command.query !== query || command.kind === 'unsubscribe') return;
    this.current.abandoned = true;
    if (query.isOver || command.kind !== 'set_params') return;
    query.calls.push(...this.current.calls.splice(0));
  }

  // ---- messages ----

  private handleAll(): void {
    while (this.current === undefined && this.payloads.length > 0) {
      this.handle(this.payloads.shift() as string);
      this.tell();
    }
  }

  private handle(payload: string): void {
    let message: Message;
    try {
      message = parseMessage(payload);
    } catch (error) {
      this.gathered = [];
      const reason = new LiveError('a message could not be read', { cause: error });
      for (const query of this.queries) if (query.isLive) this.goStale(query, reason);
      return;
    }
    if (message.type === 'other') return;
    if (message.type === 'progress') {
      this.progress(message.snapshot);
      return;
    }
    if (message.type === 'changes') {
      this.partCame = true;
      for (const query of message.ids.map((id) => this.subscribed(id)))
        if (query?.isLive)
          this.gathered.push({ query, changes: message.changes, seq: message.seq });
      if (!message.more) this.showPoint(message.seq);
      return;
    }
    const query = this.subscribed(message.id);
    switch (message.type) {
      case 'reset':
        if (query === undefined || (!query.isLive && query.need !== 'snapshot')) break;
        this.goStale(query, new LiveError(message.reason));
        this.fence ||= this.gathered.length > 0;
        break;
      case 'terminated':
        if (query === undefined) break;
        this.gathered = this.gathered.filter((part) => part.query !== query);
        query.end('error', new LiveError(message.reason, { code: message.code }));
        this.fence ||= this.gathered.length > 0;
        break;
    }
  }

  private subscribed(id: string): Query | undefined {
    return this.queries.find((query) => query.id === id && query.subscribed);
  }

  /** Applies all that was gathered. */
  private showPoint(seq = this.gathered.at(-1)?.seq): void {
    const gathered = this.gathered;
    this.gathered = [];
    const told = new Map<Query, Change[][]>();
    for (const { query, changes } of gathered) {
      const messages = told.get(query);
      if (messages === undefined) told.set(query, [changes]);
      else messages.push(changes);
    }
    for (const [query, messages] of told) {
      if (!query.isLive) continue;
      if (query.rows.apply(messages)) query.show();
      else this.goStale(query, new LiveError('a message did not fit the rows'));
    }
    for (const query of this.queries) if (query.isLive && seq !== undefined) query.seq = seq;
    const snapshot = this.progressThen;
    this.progressThen = undefined;
    if (snapshot !== undefined) this.progress(snapshot);
  }

  private goStale(query: Query, error: LiveError): void {
    if (query.pending !== undefined) {
      this.subscribeAnew(query, error); // the server has the old parameters still
      return;
    }
    query.fallBack('refresh', error);
    this.gathered = this.gathered.filter((part) => part.query !== query);
    if (this.refreshAt !== undefined) return;
    if (this.now() - this.refreshedAt >= STEADY) this.refreshWaits.startAgain();
    this.refreshAt = this.now() + this.refreshWaits.next();
  }

  /** All that the snapshot sees has been told. */
  private progress(snapshot: string): void {
    if (this.gathered.length > 0) {
      this.progressThen = snapshot;
      return;
    }
    for (const query of this.queries) {
      if (!query.isLive) continue;
      const seen = query.waiters.filter(({ xid }) => sees(snapshot, xid));
      query.waiters = query.waiters.filter((waiter) => !seen.includes(waiter));
      for (const { call } of seen) call.resolve();
    }
  }

  // ---- the connection ----

  private lose(error: LiveError): void {
    if (this.phase !== 'up' && this.phase !== 'connecting') return;
    const done = this.current;
    if (this.phase === 'up' && this.now() - this.connectedAt >= STEADY) this.connectWaits.startAgain();
    this.forgetConnection(this.lent ? 'over' : 'waiting');
    if (done?.command.kind === 'set_params' && !done.abandoned) {
      done.command.query.params = done.command.params;
      done.command.query.calls.push(...done.calls);
    }
    for (const query of this.queries) {
      if (this.lent) query.end('error', error);
      else query.fallBack('subscribe', error);
    }
    if (!this.lent) this.connectAt = this.now() + this.connectWaits.next();
  }

  private forgetConnection(phase: Phase): void {
    this.phase = phase;
    this.current = undefined;
    this.payloads.length = 0;
    this.gathered = [];
    this.progressThen = undefined;
    this.toUnsubscribe.length = 0;
    this.refreshAt = undefined;
    this.fence = this.partCame = this.asksForProgress = this.waitForWanted = false;
  }
}
