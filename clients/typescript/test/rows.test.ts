/** What the scenarios cannot see of rows: what is kept where changes do not fit. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Change, Rows } from '../src/rows.js';

function change(op: Change['op'], id: number, position?: number): Change {
  return { op, key: `[${id}]`, row: { id }, ...(position !== undefined && { position }) };
}

function rowsOf(...ids: number[]): Rows {
  const rows = new Rows();
  rows.replace(ids.map((id) => ({ key: `[${id}]`, row: { id } })));
  rows.show();
  return rows;
}

const unfit: Record<string, Change[][]> = {
  'a delete of what is not there, after an insert': [[change('insert', 3), change('delete', 9)]],
  'an update of what is not there, after a delete': [[change('delete', 1), change('update', 9)]],
  'two deletes of one row': [[change('delete', 1), change('delete', 1)]],
  'an update after a clear': [[change('clear', 0), change('insert', 3), change('update', 1)]],
  'a position past the end': [[change('insert', 3, 0), change('insert', 4, 4)]],
  'a position past what is left': [[change('delete', 1), change('delete', 2), change('insert', 3, 1)]],
  'a change without a position beside one with': [[change('insert', 3, 0), change('insert', 4)]],
  'a message that does not fit, after one that does': [[change('delete', 1)], [change('update', 1)]],
};

for (const [what, messages] of Object.entries(unfit))
  test(`rows: nothing is applied of ${what}`, () => {
    const rows = rowsOf(1, 2);
    assert.equal(rows.apply(messages), false);
    assert.equal(rows.show(), undefined);
    assert.equal(rows.apply([[change('delete', 1)], [change('insert', 1)]]), true);
    assert.deepEqual(rows.show(), { entered: [], changed: [], left: [] });
    assert.deepEqual(rows.shown.keys, ['[2]', '[1]']);
  });

test('rows: changes that fit only because of those before them are applied', () => {
  const rows = rowsOf(1, 2);
  assert.equal(rows.apply([[change('insert', 3)], [change('delete', 3), change('delete', 1)], [change('insert', 4, 0)]]), true);
  assert.deepEqual(rows.show(), { entered: ['[4]'], changed: [], left: ['[1]'] });
  assert.deepEqual(rows.shown.keys, ['[4]', '[2]']);
});
