/** The payload of a notification, as far as a client knows it. */

import { type Json, jsonText, parseJson } from './json.js';
import type { RowObject } from './order.js';
import type { Change } from './rows.js';

export type Message =
  | { type: 'changes'; ids: string[]; seq: string; changes: Change[]; more: boolean }
  | { type: 'reset'; id: string; reason: string }
  | { type: 'terminated'; id: string; reason: string; code: string }
  | { type: 'progress'; snapshot: string }
  | { type: 'other' };

function isObject(value: Json | undefined): value is RowObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** Of changes that several live queries get, in a session that shares messages. */
function idsOf(message: RowObject): string[] {
  const { subscription_ids: ids } = message;
  return Array.isArray(ids) ? ids.map(textOf) : [textOf(message.subscription_id)];
}

function changeOf(value: Json): Change {
  if (!isObject(value)) throw new SyntaxError('a change is no object');
  const { op, key, row, position } = value;
  if (op === 'clear') return { op, key: '', row: {} };
  if ((op !== 'insert' && op !== 'update' && op !== 'delete') || key === undefined || !isObject(row))
    throw new SyntaxError('a change without op, key or row');
  const change: Change = { op, key: jsonText(key), row };
  if (typeof position === 'number') change.position = position;
  return change;
}

/** Throws where the payload is no message. */
export function parseMessage(payload: string): Message {
  const message = parseJson(payload);
  if (!isObject(message)) throw new SyntaxError('a message that is no object');
  const id = textOf(message.subscription_id);
  const reason = textOf(message.reason);
  switch (message.type) {
    case 'changes':
      if (!Array.isArray(message.changes)) throw new SyntaxError('changes without changes');
      return {
        type: 'changes',
        ids: idsOf(message),
        seq: textOf(message.seq),
        changes: message.changes.map(changeOf),
        more: message.more === true,
      };
    case 'reset':
      return { type: 'reset', id, reason };
    case 'terminated':
      return { type: 'terminated', id, reason, code: textOf(message.code) };
    case 'progress':
      return { type: 'progress', snapshot: textOf(message.snapshot) };
    default:
      return { type: 'other' };
  }
}
