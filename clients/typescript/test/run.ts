/** Runs the tests beside this file, shows each, and counts them: "N passed, N failed" at the end. */

import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';

interface Event {
  name: string;
  nesting: number;
  file?: string;
  skip?: string | boolean;
  details: { duration_ms: number; error?: Error & { cause?: unknown } };
}

const here = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here)
  .filter((name) => name.endsWith('.test.js') && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .map((name) => join(here, name));

let passed = 0;
let failed = 0;
/** Older versions of node report each file as a test of its own. */
const isFile = (event: Event): boolean => files.some((file) => event.name.endsWith(file) || file.endsWith(event.name));

const stream = run({ files, concurrency: 1, timeout: 900_000 });
stream.on('test:pass', (event: Event) => {
  if (isFile(event)) return;
  if (event.skip) {
    console.log(`skipped ${event.name}`);
    return;
  }
  passed++;
  console.log(`ok ${event.name} (${Math.round(event.details.duration_ms)} ms)`);
});
stream.on('test:fail', (event: Event) => {
  if (isFile(event) && failed > 0) return;
  failed++;
  const { error } = event.details;
  console.log(`FAILED ${event.name}`, error?.cause ?? error);
});
stream.on('test:stderr', (event: { message: string }) => process.stderr.write(event.message));
stream.on('test:stdout', (event: { message: string }) => process.stdout.write(event.message));
stream.on('end', () => {
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
});
stream.resume();
