/** Runs clients/conformance/messages: this is server and time, and drives the machine. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Answer, type Command, SETTINGS } from '../src/commands.js';
import { LiveError } from '../src/error.js';
import { jsonText, parseJson } from '../src/json.js';
import { Machine } from '../src/machine.js';
import { Query, type State } from '../src/query.js';
import type { Difference } from '../src/rows.js';
import { conformance } from './place.js';

interface Told {
  states: State[];
  difference: Difference | undefined;
}

interface Expected {
  state?: State;
  rows?: unknown[];
  keys?: string[];
  seq?: string;
  error?: string | null;
  told?: State[];
  difference?: Difference;
}

// A step is whatever the file has.
type Step = Record<string, any>;

class Scenario {
  private now = 1_000_000;
  private asked: Command | undefined;
  private readonly machine: Machine;
  private readonly queries = new Map<string, Query>();
  private readonly told = new Map<string, Told>();
  private readonly calls = new Map<string, { state: string; cancel: () => void }>();

  constructor(private readonly file: Step) {
    this.machine = new Machine(
      { ...SETTINGS, batch: file.batch, many: file.many ?? SETTINGS.many, random: () => file.random },
      file.lent === true,
      () => this.now,
      (command) => {
        assert.equal(this.asked, undefined, `${command.kind} is asked while another is on its way`);
        this.asked = command;
      },
    );
  }

  run(): void {
    for (const [name, query] of Object.entries(this.file.queries as Step))
      if (!query.later) this.add(name);
    (this.file.steps as Step[]).forEach((step, at) => {
      try {
        this.step(step);
      } catch (error) {
        throw new Error(`step ${at + 1}, ${jsonText(step as never)}: ${(error as Error).message}`, { cause: error });
      }
    });
  }

  private add(name: string): void {
    const { sql, params, initial } = this.file.queries[name];
    const told: Told = { states: [], difference: undefined };
    const query: Query = new Query(`the ${name}`, sql, params, undefined, undefined, initial, (difference) => {
      told.states.push(query.state);
      told.difference = difference;
    });
    this.queries.set(name, query);
    this.told.set(name, told);
    this.machine.add(query);
  }

  private query(name: string): Query {
    const query = this.queries.get(name);
    assert.ok(query, `no query ${name}`);
    return query;
  }

  private step(step: Step): void {
    if ('asks' in step) this.checkAsked(step);
    else if ('answer' in step) this.answer(step.answer);
    else if ('refuse' in step) {
      this.asked = undefined;
      this.machine.refused(new LiveError(step.refuse.message, { code: step.refuse.code ?? undefined }));
    } else if ('message' in step) {
      const { subscription_id: name } = step.message;
      const id = this.queries.get(name)?.id ?? name;
      this.machine.message(jsonText({ ...step.message, ...(name && { subscription_id: id }) }));
    } else if ('raw' in step) {
      this.machine.message(step.raw.replace(/\$(\w+)/g, (_: string, name: string) => this.query(name).id));
    } else if ('lost' in step) {
      this.asked = undefined;
      this.machine.lost(new LiveError(step.lost));
    } else if ('after' in step) this.pass(step.after);
    else if ('add' in step) this.add(step.add);
    else if ('close' in step) this.close(step.close);
    else if ('set_params' in step || 'includes' in step) this.call(step);
    else if ('cancel' in step) this.calls.get(step.cancel)?.cancel();
    else if ('expect' in step)
      for (const [name, expected] of Object.entries(step.expect as Record<string, Expected>)) this.check(name, expected);
    else if ('calls' in step)
      for (const [name, state] of Object.entries(step.calls)) assert.equal(this.calls.get(name)?.state, state, name);
    else assert.fail('no such step');
  }

  private checkAsked(step: Step): void {
    assert.equal(this.asked?.kind ?? null, step.asks);
    if (this.asked === undefined) return;
    if (step.queries !== undefined) {
      const queries = 'queries' in this.asked ? this.asked.queries : [];
      assert.deepEqual(queries.map((query) => query.id), step.queries.map((name: string) => this.query(name).id));
      if (step.params !== undefined) assert.deepEqual(queries.map((query) => query.params), step.params);
    } else if (step.params !== undefined) assert.deepEqual('params' in this.asked && this.asked.params, step.params);
    if (step.query !== undefined) assert.equal('query' in this.asked && this.asked.query, this.query(step.query));
    if (this.asked.kind === 'disconnect') this.asked = undefined;
  }

  private answer(answer: Step): void {
    assert.ok(this.asked, 'nothing is asked');
    this.asked = undefined;
    const texts = (said: Step): Step => ({ ...said, ...(said.columns && { columns: JSON.stringify(said.columns) }) });
    this.machine.answered({
      ...texts(answer),
      ...(answer.subscriptions && { subscriptions: answer.subscriptions.map(texts) }),
      ...(answer.rows && { rows: answer.rows.map((pair: [never, never]) => pair.map(jsonText)) }),
    } as Answer);
  }

  /** What is to be given up with the last live query is not on its way any more. */
  private close(name: string): void {
    const before = this.asked;
    const others = [...this.queries.values()].filter((query) => query !== this.query(name));
    if (others.every((query) => query.isOver)) this.asked = undefined;
    this.machine.close(this.query(name));
    if (this.asked === undefined && before?.kind === 'disconnect') this.asked = before;
  }

  private pass(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (let wake = this.machine.wakeAt; wake !== undefined && wake <= end; wake = this.machine.wakeAt) {
      this.now = Math.max(this.now, wake);
      // What does not answer is given up by that.
      if (this.asked !== undefined) this.asked = undefined;
      this.machine.tick();
    }
    this.now = end;
  }

  private call(step: Step): void {
    const query = this.query(step.set_params ?? step.includes);
    const state = { state: 'waiting', cancel: () => {} };
    const call = {
      resolve: () => {
        state.state = 'done';
      },
      reject: () => {
        state.state = 'failed';
      },
    };
    state.cancel = () => {
      this.machine.cancel(query, call);
      state.state = 'cancelled';
    };
    this.calls.set(step.as, state);
    if ('includes' in step) this.machine.includes(query, BigInt(step.xid), call);
    else this.machine.setParams(query, step.params, call);
  }

  private check(name: string, expected: Expected): void {
    const query = this.query(name);
    const told = this.told.get(name) as Told;
    if (expected.state !== undefined) assert.equal(query.state, expected.state);
    if (expected.rows !== undefined) assert.deepEqual(query.shown.rows, expected.rows);
    if (expected.keys !== undefined) assert.deepEqual(query.shown.keys, expected.keys);
    if (expected.seq !== undefined) assert.equal(query.seq, expected.seq);
    if (expected.error === null) assert.equal(query.error, undefined);
    if (typeof expected.error === 'string') assert.equal(query.error?.code, expected.error);
    if (expected.told !== undefined) assert.deepEqual(told.states, expected.told);
    if (expected.difference !== undefined) {
      for (const what of ['entered', 'changed', 'left'] as const)
        assert.deepEqual([...(told.difference?.[what] ?? [])].sort(), [...expected.difference[what]].sort(), what);
    }
    told.states = [];
  }
}

const directory = join(conformance, 'messages');
for (const name of readdirSync(directory).sort())
  test(`messages/${name}`, () => {
    new Scenario(parseJson(readFileSync(join(directory, name), 'utf8')) as Step).run();
  });
