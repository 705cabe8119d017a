/** What `npm pack` makes, in an empty project that knows nothing else. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from './place.js';

test('the package is installed, has types, and is used', () => {
  const project = mkdtempSync(join(tmpdir(), 'live-queries-'));
  try {
    const run = (program: string, ...args: string[]): string =>
      execFileSync(program, args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    run('npm', 'pack', '--silent', '--pack-destination', project, packageRoot);
    const modules = join(packageRoot, 'node_modules');
    writeFileSync(join(project, 'package.json'), '{"name": "empty", "private": true, "type": "module"}');
    const linked = ['pg', '@types/pg', '@types/node', 'react', '@types/react', '@tanstack/db', 'typescript'].map((name) => `file:${join(modules, name)}`);
    run('npm', 'install', '--offline', '--install-links=false', '--no-audit', '--no-fund', './live-queries-1.0.0.tgz', ...linked);
    writeFileSync(
      join(project, 'use.ts'),
      `import { live, type LiveQuery } from 'live-queries';
       import { EventMirror, Mirror } from 'live-queries/mirror';
       import { type LiveResult, useLive } from 'live-queries/react';
       export const hook: (source: LiveQuery<{ n: number }> | Mirror<{ n: number }>) => LiveResult<{ n: number }> = useLive;
       import { liveCollectionOptions } from 'live-queries/tanstack-db';
       export const options = liveCollectionOptions<{ n: number }, number>({ live: () => new EventMirror('/n'), getKey: ({ n }) => n });
       export const mirror: Mirror<{ n: number }> = new EventMirror('/n');
       const query: LiveQuery<{ n: number }> = live<{ n: number }>(process.argv[2] as string, 'SELECT count(*) AS n FROM packaged', []);
       for await (const [row] of query) {
         console.log('n is', row?.n.toFixed(0));
         query.close();
       }`,
    );
    const tsc = join(modules, 'typescript/bin/tsc');
    const options = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node', '--noEmit', 'false'];
    run(process.execPath, tsc, ...options, 'use.ts');
    run('psql', '-qc', 'CREATE EXTENSION IF NOT EXISTS live_queries', '-c', 'CREATE TABLE IF NOT EXISTS packaged (id int)');
    const { PGHOST = '', PGPORT = '5432', PGUSER = '', PGDATABASE = '' } = process.env;
    const place = `postgresql://${PGUSER}@/${PGDATABASE}?host=${encodeURIComponent(PGHOST)}&port=${PGPORT}`;
    assert.equal(run(process.execPath, 'use.js', place), 'n is 0\n');
  } finally {
    rmSync(project, { recursive: true });
  }
});
