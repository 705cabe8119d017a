/** The hooks for React in a real browser: Chromium, headless, on a page that this serves from a live query. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { connect, type InitialData, jsonText, type LiveConnection, once, relay } from '../src/index.js';
import { type Item, Page } from './react_page.js';
import { execute, SERVER, until } from './server.js';

const ITEMS = 'SELECT id, txt FROM shown WHERE kind = $1 ORDER BY id';
const chromium = process.env.CHROMIUM ?? 'chromium';
const isThere = spawnSync(chromium, ['--version']).status === 0;
const skip = !isThere && process.env.CHROMIUM === undefined ? 'there is no chromium' : false;

class Application {
  private readonly told: { number: number; seen: string }[] = [];
  readonly errors: string[] = [];
  renders = '';
  private readonly connection: LiveConnection = connect(SERVER);
  private readonly server: Server = createServer((request, response) => void this.serve(request, response));
  private readonly streams = new Set<ServerResponse>();
  private wishes: ServerResponse | undefined;
  private script = '';

  async start(): Promise<string> {
    const entry = join(dirname(fileURLToPath(import.meta.url)), 'react_main.js');
    const built = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: 'esm',
      logLevel: 'error',
      define: { 'process.env.NODE_ENV': '"development"' },
    });
    this.script = (built.outputFiles[0] as { text: string }).text;
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  stop(): void {
    this.connection.close();
    this.server.closeAllConnections();
    this.server.close();
  }

  wish(what: string): void {
    this.wishes?.write(`data: ${what}\n\n`);
  }

  /** All that was to be seen in the browser, in its order. */
  get seen(): string[] {
    return this.told.sort((left, right) => left.number - right.number).map(({ seen }) => seen);
  }

  /** As if the network had failed. */
  drop(): void {
    for (const stream of this.streams) stream.destroy();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname === '/') {
      const initial = await once<Item>(SERVER, ITEMS, [1]);
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(this.page(initial));
    } else if (url.pathname === '/main.js') {
      response.setHeader('content-type', 'text/javascript; charset=utf-8');
      response.end(this.script);
    } else if (url.pathname === '/events') {
      await this.feed(url.searchParams.get('kind') ?? '', response);
    } else if (url.pathname === '/wishes') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      this.wishes = response;
    } else await this.hear(url, request, response);
  }

  private page(initial: InitialData<Item>): string {
    const html = renderToString(createElement(Page, { initial }));
    return `<!doctype html><title>test</title><div id="root">${html}</div>
      <script type="application/json" id="initial">${jsonText(initial as never).replace(/</g, '\\u003c')}</script>
      <script type="module" src="/main.js"></script>`;
  }

  private async feed(kind: string, response: ServerResponse): Promise<void> {
    const sql = kind === '3' ? 'SELECT nothing FROM nowhere WHERE x = $1' : ITEMS;
    const query = this.connection.live(sql, [kind]);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    this.streams.add(response);
    response.on('close', () => query.close());
    await pipeline(relay(query), events, response).catch(() => {}); // the browser has left
    this.streams.delete(response);
  }

  get feeds(): number {
    return this.streams.size;
  }

  private async hear({ pathname, search }: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const part of request) text += part;
    if (pathname === '/seen') this.told.push({ number: Number(search.slice(1)), seen: text });
    else if (pathname === '/error') this.errors.push(text);
    else if (pathname === '/renders') this.renders = text;
    response.end();
  }
}

/** Texts as server-sent events. */
async function* events(texts: AsyncIterable<string>): AsyncGenerator<string, void, void> {
  for await (const text of texts) yield `data: ${text}\n\n`;
}

const application = new Application();
let browser: ChildProcess | undefined;
let profile = '';

async function sees(text: string): Promise<void> {
  await until(`it shows ${text}; it has shown ${application.seen.join(' | ')}`, () => application.seen.at(-1) === text);
}

before(async () => {
  if (skip) return;
  await execute(`
    CREATE EXTENSION IF NOT EXISTS live_queries;
    DROP TABLE IF EXISTS shown;
    CREATE TABLE shown (id int PRIMARY KEY, kind int, txt text);
    INSERT INTO shown VALUES (1, 1, 'one'), (2, 1, 'two'), (3, 2, 'three');`);
  profile = mkdtempSync(join(tmpdir(), 'chromium-'));
  const options = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
  const url = await application.start();
  browser = spawn(chromium, [...options, `--user-data-dir=${profile}`, '--remote-debugging-port=0', url], { stdio: 'ignore' });
});

after(async () => {
  application.stop();
  if (browser === undefined) return;
  const ended = new Promise((resolve) => browser?.once('exit', resolve));
  browser.kill();
  await ended;
  rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

test('React: a page that was rendered on a server is taken over, and becomes live', { skip }, async () => {
  await sees('live: 1 one, 2 two');
  assert.equal(application.seen[0], 'stale: 1 one, 2 two');
  assert.ok(application.seen.every((seen) => seen.endsWith(': 1 one, 2 two')));
});

test('React: changes are shown, and rows that are as they were are not rendered again', { skip }, async () => {
  application.wish('renders');
  await until('it tells', () => application.renders !== '');
  assert.equal(application.renders, '1 1, 2 1');
  await execute("UPDATE shown SET txt = 'zwei' WHERE id = 2; INSERT INTO shown VALUES (5, 1, 'five')");
  await sees('live: 1 one, 2 zwei, 5 five');
  application.renders = '';
  application.wish('renders');
  await until('it tells', () => application.renders !== '');
  assert.equal(application.renders, '1 1, 2 2, 5 1');
});

test('React: when the connection is lost the rows stay, stale, and are live again', { skip }, async () => {
  const { length } = application.seen;
  application.drop();
  await until('it has been told', () => application.seen.length > length);
  await sees('live: 1 one, 2 zwei, 5 five');
  assert.equal(application.seen[length], 'stale, lost: 1 one, 2 zwei, 5 five');
  assert.ok(application.seen.every((seen) => !seen.includes('connecting')));
});

test('React: another place is another live query, and the one before is closed', { skip }, async () => {
  application.wish('kind2');
  await sees('live: 3 three');
  await until('one feed is left', () => application.feeds === 1);
  application.wish('kind3');
  await sees('error, 42P01: ');
  application.wish('kind0');
  await sees('nothing: ');
  await until('no feed is left', () => application.feeds === 0);
  await until('nobody watches', async () => {
    const { rows } = await execute("SELECT count(*)::int AS n FROM live_queries WHERE query LIKE '%FROM shown%' AND status = 'active'");
    return rows[0].n === 0;
  });
  assert.deepEqual(application.errors, []);
});
