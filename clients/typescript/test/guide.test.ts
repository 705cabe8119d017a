/** The small application at the end of docs/guide.md, as it stands there. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from './place.js';
import { execute, SERVER, until } from './server.js';

const page = readFileSync(join(packageRoot, '../../docs/guide.md'), 'utf8');
const section = page.split('\n## A small application\n')[1] ?? '';
const blocks = [...section.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, kind, text]) => ({ kind, text: text ?? '' }));
const block = (kind: string, at = 0): string => blocks.filter((one) => one.kind === kind)[at]?.text ?? '';

test('the small application of the guide', async () => {
  await execute(`CREATE EXTENSION IF NOT EXISTS live_queries; DROP TABLE IF EXISTS todo; ${block('sql')}`);
  // Within the package, whose name it knows then.
  const program = join(packageRoot, 'build/guide.mjs');
  writeFileSync(program, block('js'));
  const env = {
    ...process.env,
    PGHOST: SERVER.host,
    PGPORT: String(SERVER.port),
    PGUSER: SERVER.user,
    PGDATABASE: SERVER.database,
  };
  const application = spawn(process.execPath, [program, 'write an application'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    let shown = '';
    application.stdout.on('data', (text) => {
      shown += String(text);
    });
    const first = block('');
    await until('the first rows, and what it has written', () => shown.length >= first.length);
    assert.equal(shown, first);
    await execute('UPDATE todo SET done = true WHERE id = 1');
    await until('what somebody else has written', () => shown.length >= first.length + block('', 1).length);
    assert.equal(shown, first + block('', 1));
    assert.equal(application.exitCode, null);
  } finally {
    application.kill();
  }
});
