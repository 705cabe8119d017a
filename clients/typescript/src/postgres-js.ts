/** Connections by postgres.js, instead of `pg`. */

import { once } from 'node:events';
import { connect as dial, type Socket } from 'node:net';
import postgres from 'postgres';
import type { Connector, Texts } from './channel.js';
import { LiveError } from './error.js';

type Options = postgres.Options<Record<string, never>>;

/** What postgres.js knows, and does not declare. */
interface Undeclared {
  /** Told the notifications of its connections: those of `sql.listen` are of another connection than the one that subscribes. */
  onnotify(channel: string, payload: string): void;
  /** Makes the socket of a connection. */
  socket?(place: Place): Socket | Promise<Socket>;
}

interface Place {
  host: string[];
  port: number[];
  path: string | false;
}

/** Milliseconds for saying goodbye. */
const LEAVE = 1_000;

async function socketTo({ host, port, path }: Place): Promise<Socket> {
  const socket = path ? dial(path) : dial(port[0] as number, host[0]);
  await once(socket, 'connect');
  return socket;
}

/**
 * Where to connect, for `connect`, `live` and `once`: as postgres.js takes it. Each connection is one of its own, with settings
 * of its own for pooling, types and notices.
 */
export function postgresJs(...place: [url: string, options?: Options] | [options?: Options]): Connector {
  const url = typeof place[0] === 'string' ? place[0] : undefined;
  const given = ((url === undefined ? place[0] : place[1]) ?? {}) as Options & Partial<Undeclared>;
  return async (listener, signal) => {
    let socket: Socket | undefined;
    let isUp = false;
    const own: Options & Undeclared = {
      ...given,
      max: 1,
      idle_timeout: undefined,
      max_lifetime: null,
      fetch_types: false,
      prepare: false,
      types: {},
      transform: {},
      onnotice: ({ message = '' }) => listener.notice(message),
      // An answer comes as a promise: what is behind it must not come before.
      onnotify: (channel, payload) => queueMicrotask(() => listener.notification(channel, payload)),
      onclose: () => {
        if (isUp) listener.lost(new LiveError('the connection has ended'));
      },
      // Once: what is lost is to be told, and not made again.
      socket: async (to) => {
        if (socket !== undefined) throw new LiveError('the server has closed the connection');
        socket = await (given.socket ?? socketTo)(to);
        return socket;
      },
    };
    const sql = url === undefined ? postgres(own) : postgres(url, own);
    const destroy = (): void => {
      sql.end({ timeout: 0 }).catch(() => {});
      setTimeout(() => socket?.destroy(), LEAVE).unref();
    };
    signal.addEventListener('abort', destroy, { once: true });
    try {
      if ((sql.options as unknown as Undeclared).onnotify !== own.onnotify)
        throw new LiveError('this version of postgres.js does not tell notifications', { code: '0A000' });
      await sql.unsafe('SELECT 1');
      if (signal.aborted) throw new LiveError('given up');
      isUp = true;
    } catch (error) {
      destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', destroy);
    }
    return {
      query: ({ sql: text, values }, done) => {
        sql
          .unsafe(text, [...values])
          .values()
          .then(
            (rows) => done(undefined, [...rows] as unknown as Texts[]),
            (error: Error) => done(error, []),
          );
      },
      destroy,
    };
  };
}
