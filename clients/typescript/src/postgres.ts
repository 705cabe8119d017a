/** Connections by `pg` (node-postgres), which is loaded when the first one is made. */

import type { Client, ClientConfig, Notification } from 'pg';
import type { Channel, Connector, Listener, Texts } from './channel.js';
import { LiveError } from './error.js';
import { checkPooler } from './pooler.js';

/** What node-postgres has beneath, and does not declare. */
interface Beneath {
  connection?: { stream?: { destroy(): void } };
}

/** Milliseconds for saying goodbye. */
const LEAVE = 1_000;

function destroy(client: Client): void {
  (client as unknown as Beneath).connection?.stream?.destroy();
}

function listen(client: Client, listener: Listener): () => void {
  const notification = ({ channel, payload }: Notification): void => listener.notification(channel, payload ?? '');
  const error = (reason: Error): void => listener.lost(reason);
  const end = (): void => listener.lost(new LiveError('the connection has ended'));
  const notice = (said: { message?: string | undefined }): void => listener.notice(said.message ?? '');
  client.on('notification', notification);
  client.on('error', error);
  client.on('end', end);
  client.on('notice', notice);
  return () => {
    client.off('notification', notification);
    client.off('end', end);
    client.off('notice', notice);
    client.off('error', error);
    client.on('error', () => {}); // of a connection that nobody looks at any more
  };
}

function channelOf(client: Client, end: () => void): Channel {
  return {
    query: ({ sql, values }, done) => {
      // Texts, whatever parsers the application has set.
      const types = { getTypeParser: () => (value: string) => value };
      const query = { text: sql, values: [...values], rowMode: 'array' as const, types: types as never };
      // A promise would tell the answer after notifications that come behind it.
      client.query(query, (error: Error | null | undefined, result: { rows: Texts[] } | undefined) =>
        done(error ?? undefined, result?.rows ?? []),
      );
    },
    destroy: end,
  };
}

/** Connections of our own. */
export function connectorOf(config: string | ClientConfig): Connector {
  return async (listener, signal) => {
    const { default: pg } = await import('pg');
    const another = (): Client =>
      new pg.Client(typeof config === 'string' ? { connectionString: config, keepAlive: true } : { keepAlive: true, ...config });
    const client = another();
    const stop = (): void => destroy(client);
    signal.addEventListener('abort', stop, { once: true });
    const silence = listen(client, listener);
    try {
      if (signal.aborted) throw new LiveError('given up');
      await client.connect();
      await checkPooler(client, another, destroy);
      if (signal.aborted) throw new LiveError('given up');
    } catch (error) {
      silence();
      destroy(client);
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
    return channelOf(client, () => {
      silence();
      // In order, where the server is there; at once, where it does not answer.
      client.end().catch(() => {});
      setTimeout(() => destroy(client), LEAVE).unref();
    });
  };
}

/** A connection that is lent: connected already, and not ours to end. */
export function lentChannel(client: Client, listener: Listener): Channel {
  return channelOf(client, listen(client, listener));
}

export function isClient(target: unknown): target is Client {
  return typeof (target as Client | undefined)?.query === 'function' && typeof (target as Client).on === 'function';
}
