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
import { nextCommandOf } from './next.js';
import type { RowObject } from './order.js';
import { Point } from './point.js';
import type { Call, Query } from './query.js';
import { STEADY, Waits } from './waits.js';

interface OnItsWay {
  command: Command;
  deadline: number;
  /** Those who wanted it and do not any more. */
  abandoned: Set<Query>;
  calls: Call[];
}

type Phase = 'none' | 'waiting' | 'connecting' | 'up' | 'over';

export class Machine {
  private phase: Phase;
  private readonly queries: Query[] = [];
  private current: OnItsWay | undefined;
  private readonly payloads: string[] = [];
  private readonly point = new Point();
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
      if (query.refuses(call)) return;
      if (query.isLive) {
        query.pending = { params, calls: [...(query.pending?.calls ?? []), call] };
      } else {
        query.adopt(params, [call]);
        this.subscribeAnew(query);
      }
    });
  }

  includes(query: Query, xid: bigint, call: Call): void {
    this.input(() => {
      if (query.refuses(call)) return;
      query.waiters.push({ xid, call });
      if (query.isLive) this.waitForWanted = true;
    });
  }

  /** Nobody waits for this call any more. */
  cancel(query: Query, call: Call): void {
    this.input(() => query.forget(call));
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
    this.current = { command, deadline: this.now() + limit, abandoned: new Set(), calls: [] };
    if (command.kind === 'set_params') {
      this.current.calls = command.query.pending?.calls ?? [];
      command.query.pending = undefined;
    }
    // Until it has been answered: what fails is not done again.
    if (command.kind === 'subscribe_many') for (const query of command.queries) query.alone = true;
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
    const command = nextCommandOf(this.queries, this.settings);
    if (command !== undefined) return command;
    if (waiting && this.waitForWanted) return { kind: 'wait_for' };
    const isSilent = this.now() >= this.heardAt + this.settings.heartbeat;
    return isSilent && this.queries.length > 0 ? { kind: 'ping' } : undefined;
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
        this.takeSubscription(done, command.query, answer);
        break;
      case 'subscribe_many':
        command.queries.forEach((query, at) => this.takeSubscription(done, query, answer.subscriptions?.[at] ?? {}));
        break;
      case 'snapshot':
        if (!done.abandoned.has(command.query)) this.takeBatch(command.query, answer.rows ?? []);
        break;
      case 'refresh':
        if (!done.abandoned.has(command.query) && !command.query.isOver) command.query.read();
        break;
      case 'unsubscribe':
        break;
      case 'set_params':
        if (!done.abandoned.has(command.query)) command.query.params = command.params;
        for (const call of done.calls) call.resolve();
        break;
    }
  }

  private takeSubscription({ abandoned }: OnItsWay, query: Query, answer: Answer): void {
    query.alone = false;
    if (abandoned.has(query)) this.toUnsubscribe.push(query);
    else query.begin(answer);
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
    const isAbandoned = query !== undefined && done.abandoned.has(query);
    if (command.kind === 'set_params' && this.refusesParams(done, error)) return;
    if (command.kind === 'subscribe_many' && (error.code !== undefined || this.lent)) return; // now each alone
    if (command.kind === 'refresh' && error.code === '55000') {
      if (query?.need === 'refresh') query.need = 'nothing'; // its last message is to come, and says why
      return;
    }
    if (!this.lent && passes(error.code, wasLive)) {
      this.keepParams(done);
      if (command.kind !== 'connect') this.send({ kind: 'disconnect' });
      this.lose(error);
    } else if (command.kind === 'connect') {
      this.phase = 'none';
      for (const other of this.queries) other.end('error', error);
    } else if (command.kind === 'progress') {
      this.asksForProgress = true; // else it would be asked again and again
      for (const other of this.queries)
        for (const { call } of other.waiters.splice(0)) call.reject(error);
    } else if (query !== undefined && command.kind !== 'unsubscribe' && !isAbandoned) {
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
    if (done.abandoned.has(command.query)) {
      for (const call of calls) call.reject(error);
      return true;
    }
    const { query } = command;
    if (['0A000', '54000', '55000'].includes(error.code ?? '')) {
      query.adopt(command.params, calls);
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
    this.point.leaveOut(query);
  }

  /** Those on their way to the server come with the next subscription. */
  private keepParams({ command, abandoned, calls }: OnItsWay): void {
    if (command.kind === 'set_params' && !abandoned.has(command.query)) command.query.adopt(command.params, calls);
  }

  private abandon(query: Query): void {
    if (this.current === undefined) return;
    const { command } = this.current;
    const queries = 'queries' in command ? command.queries : 'query' in command ? [command.query] : [];
    if (!queries.includes(query) || command.kind === 'unsubscribe') return;
    this.current.abandoned.add(query);
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
      this.point.forget();
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
        if (query?.isLive) this.point.add(query, message.changes, message.seq);
      if (!message.more) this.showPoint(message.seq);
      return;
    }
    const query = this.subscribed(message.id);
    switch (message.type) {
      case 'reset':
        if (query === undefined || (!query.isLive && query.need !== 'snapshot')) break;
        this.goStale(query, new LiveError(message.reason));
        this.fence ||= !this.point.isEmpty;
        break;
      case 'terminated':
        if (query === undefined) break;
        this.point.leaveOut(query);
        query.end('error', new LiveError(message.reason, { code: message.code }));
        this.fence ||= !this.point.isEmpty;
        break;
    }
  }

  private subscribed(id: string): Query | undefined {
    return this.queries.find((query) => query.id === id && query.subscribed);
  }

  /** Applies all that was gathered. */
  private showPoint(end?: string): void {
    const point = this.point.take();
    const seq = end ?? point.seq;
    for (const [query, told] of point.messages) {
      if (!query.isLive) continue;
      if (query.rows.apply(told)) query.show();
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
    this.point.leaveOut(query);
    if (this.refreshAt !== undefined) return;
    if (this.now() - this.refreshedAt >= STEADY) this.refreshWaits.startAgain();
    this.refreshAt = this.now() + this.refreshWaits.next();
  }

  /** All that the snapshot sees has been told. */
  private progress(snapshot: string): void {
    if (!this.point.isEmpty) {
      this.progressThen = snapshot;
      return;
    }
    for (const query of this.queries) if (query.isLive) query.note(snapshot);
  }

  // ---- the connection ----

  private lose(error: LiveError): void {
    if (this.phase !== 'up' && this.phase !== 'connecting') return;
    const done = this.current;
    if (this.phase === 'up' && this.now() - this.connectedAt >= STEADY) this.connectWaits.startAgain();
    this.forgetConnection(this.lent ? 'over' : 'waiting');
    if (done !== undefined) this.keepParams(done);
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
    this.point.forget();
    this.progressThen = undefined;
    this.toUnsubscribe.length = 0;
    this.refreshAt = undefined;
    this.fence = this.partCame = this.asksForProgress = this.waitForWanted = false;
  }
}
